# SPDX-License-Identifier: Apache-2.0
"""Translation: templates, never lost facts, Korean particles; and the catalogue of the sentences that are ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backout.locales import say, translate
from backout.locales.korean import particles
from backout.model.message import Message, msg

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import translations  # noqa: E402


def test_english_is_the_source() -> None:
    message = msg("{ready} of {desired} pods ready", ready=1, desired=3)
    assert say(message, "en") == "1 of 3 pods ready"
    assert say(message, "ko") == "파드 3개 중 1개 준비"


def test_what_has_no_translation_stays_english() -> None:
    assert translate("no such sentence {x}", {"x": 1}, "ko") == "no such sentence 1"
    assert translate("a text with {braces}", {}, "ko") == "a text with {braces}"
    assert say(Message("stored without a template {x}"), "ko") == "stored without a template {x}"
    assert translate("Cause", {}, "xx") == "Cause"


@pytest.mark.parametrize(
    ("both", "right"),
    [
        ("리비전 2을(를)", "리비전 2를"), ("리비전 3을(를)", "리비전 3을"), ("리비전 2(으)로", "리비전 2로"),
        ("리비전 1(으)로", "리비전 1로"), ("리비전 6(으)로", "리비전 6으로"), ("파드은(는)", "파드는"),
        ("결과이(가)", "결과가"), ("`10`이(가)", "`10`이"), ("thanos이(가)", "thanos이(가)"), ("값(설명)", "값(설명)"),
    ],
)  # fmt: skip
def test_particles(both: str, right: str) -> None:
    assert particles(both) == right


def test_the_compiled_catalogue_is_that_of_the_source_and_names_no_other_arguments() -> None:
    wrong = [problem for problem in translations.problems("ko") if "no ko translation" not in problem]
    assert wrong == []


@pytest.mark.parametrize("place", ["report", "verify", "engine"])
def test_every_sentence_of_a_finished_part_is_in_korean(place: str) -> None:
    prefix = f"src/backout/{place}/"
    assert [problem for problem in translations.problems("ko") if problem.startswith(prefix)] == []


def test_the_extraction_finds_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "src" / "backout"
    source.mkdir(parents=True)
    (source / "errors.py").write_text("class BackoutError(Exception): ...\nclass Conflict(BackoutError): ...\n")
    (source / "x.py").write_text(
        'msg("one " "two {a}", a=1)\npage.say("three" if x else "four")\nN_("five")\nother("six")\nmsg(variable)\n'
        'raise Conflict("seven", expected="eight", hint=x and "nine", code="ten")\nmsg("{a}: {b}", a=1)\n'
    )
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    monkeypatch.setattr(translations, "SOURCE", source)
    found = set(translations.sentences())
    assert found == {"one two {a}", "three", "four", "five", "seven", "eight", "nine"}
