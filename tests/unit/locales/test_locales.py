# SPDX-License-Identifier: Apache-2.0
"""Translation: templates, never lost facts, Korean particles; and the catalogue of the sentences that are ours."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import msgspec
import pytest

from backout.cli.render.screen import Screen, width
from backout.errors import RefusedError
from backout.locales import say, translate
from backout.locales.korean import particles
from backout.model.message import Message, joined, msg, of_error

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
        ("리비전 2을(를)", "리비전 2를"),
        ("리비전 3을(를)", "리비전 3을"),
        ("리비전 2(으)로", "리비전 2로"),
        ("리비전 1(으)로", "리비전 1로"),
        ("리비전 6(으)로", "리비전 6으로"),
        ("파드은(는)", "파드는"),
        ("결과이(가)", "결과가"),
        ("`10`이(가)", "`10`이"),
        ("thanos이(가)", "thanos이(가)"),
        ("값(설명)", "값(설명)"),
    ],
)
def test_particles(both: str, right: str) -> None:
    assert particles(both) == right


def test_every_sentence_is_in_korean_with_the_same_arguments_and_compiled() -> None:
    assert len(translations.sentences()) > 500
    assert list(translations.problems("ko")) == []


def test_what_is_missing_or_names_other_arguments_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    place = [("src/backout/x.py", 3)]
    more = {"revision {number}": place, "A sentence that nobody has translated: " + "x" * 99: place}
    monkeypatch.setattr(translations, "sentences", lambda: more)
    assert [line.split("…")[0] for line in translations.problems("ko")] == [
        "x.py:3: no ko: 'A sentence that nobody has translated: " + "x" * (translations.SHOWN - 39)
    ]
    monkeypatch.setattr(translations, "sentences", lambda: {"revision {number}": place})
    monkeypatch.setattr(translations, "fields", lambda text: {text})
    assert list(translations.problems("ko")) == ["x.py:3: other arguments in ko: 'revision {number}'"]


def test_phrases_of_ours_among_the_arguments_are_translated_and_names_are_not() -> None:
    reason = "the connection was cut"
    said = translate("The API server {server} can't be reached: {reason}.", {"server": "check", "reason": reason}, "ko")
    assert said == "API 서버 check에 연결할 수 없습니다: 연결이 끊어짐."
    assert translate("{reason}", {"reason": reason}, "en") == reason


def test_a_sentence_inside_a_sentence_is_translated_with_it_also_after_it_was_stored() -> None:
    inner = msg("{ready} of {desired} pods ready", ready=1, desired=3)
    message = msg("Take back: {step}", step=inner)
    assert message.text == "Take back: 1 of 3 pods ready"
    stored = msgspec.json.decode(msgspec.json.encode(message), type=Message)
    for one in (message, stored):
        assert say(one, "ko") == "취소: 파드 3개 중 1개 준비"
        assert translate(one.template, one.args, "en") == message.text


def test_a_sentence_among_the_arguments_of_an_error_is_translated_with_it() -> None:
    ready = msg("{ready} of {desired} pods ready", ready=1, desired=3)
    error = RefusedError("{why}", why=joined([ready, msg("{sentence}.", sentence=ready)]))
    assert error.message == "1 of 3 pods ready; 1 of 3 pods ready."
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert translate(one.template, one.arguments, "ko") == "파드 3개 중 1개 준비; 파드 3개 중 1개 준비."
        assert say(of_error(one), "en") == error.message
    assert joined([]).text == ""


def test_labels_and_tables_stay_aligned_with_wide_letters() -> None:
    screen = Screen("ko")
    assert {width(screen.label(text, 9)) for text in ("Cause", "Back to", "Now at")} == {11}
    screen.table(("target", "state"), [("helm/thanos", screen.say("good")), ("한글", screen.say("bad"))])
    assert len({width(line.rsplit("   ", 1)[0]) for line in screen.lines}) == 1


def test_the_extraction_finds_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "src" / "backout"
    source.mkdir(parents=True)
    (source / "model").mkdir()
    (source / "model" / "run.py").write_text('State = Literal["thirteen", "fourteen"]\nclass Run:\n    state: State\n')
    twin = tmp_path / "kubetwin"
    twin.mkdir()
    (twin / "errors.py").write_text("class TwinError(Exception): ...\n")
    (twin / "y.py").write_text('msg("a word of Kubernetes")\nScenario("A1", "fifteen", f)\nraise Conflict("sixteen")\n')
    (source / "errors.py").write_text("class BackoutError(Exception): ...\nclass Conflict(BackoutError): ...\n")
    (source / "x.py").write_text(
        'msg("one " "two {a}", a=1)\npage.say("three" if x else "four")\nN_("five")\nother("six")\nmsg(variable)\n'
        'raise Conflict("seven", expected="eight", hint=x and "nine", code="ten")\nmsg("{a}: {b}", a=1)\n'
        'screen.table(("eleven", "twelve"), rows)\npage.told("seventeen", 2, "head", a=1)\npage.say(run.state)\n'
        'words = {1: "eighteen"}\npage.say(words[1])\nfor _, word in words.items():\n    say(word)\n'
        'def why(x):\n    return "it is nineteen" if x else "it is twenty"\n'
        'def f():\n    text = "twenty one" if x else "twenty two"\n    screen.told(text, reason=why(x), name="web")\n'
        'kind("unseen", hint="twenty three")\nraise damaged(name, "it is cut")\nraise ValueError("not of ours")\n'
        'class Kind(StrEnum):\n    A = "twenty four"\n    B = "word"\n'
    )
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    monkeypatch.setattr(translations, "SOURCE", source)
    monkeypatch.setattr(translations, "TWIN", twin)
    found = set(translations.sentences())
    assert found == {
        "one two {a}",
        "three",
        "four",
        "five",
        "seven",
        "eight",
        "nine",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "it is nineteen",
        "it is twenty",
        "twenty one",
        "twenty two",
        "twenty three",
        "twenty four",
        "it is cut",
    }
