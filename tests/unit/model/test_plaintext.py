# SPDX-License-Identifier: Apache-2.0
"""What somebody would obey is found in every text, and nothing else."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
import yaml

from backout.model.plaintext import OBEYED, escaped, one_line
from backout.model.yamltext import Unbounded, load, load_all, to_yaml, to_yaml_all

HOSTILE = (
    "a\x1b[31m\x9b\x07\x7f\x00\r\n\t\x85\xad\u061c\u200b\u200f\u2028\u202e\u2066\ufeff\U000e0041\U000f0000 한글 é ✓ z"
)


def test_every_such_character_is_known() -> None:
    """Held against Unicode's own categories; unassigned ones between two of them may be named as well."""
    wanted = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    for code in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        # Variation selectors hide text as tags do.
        more = category == "Cn" or 0xE0100 <= code <= 0xE01EF
        assert bool(OBEYED.match(chr(code))) == (category in wanted) or more, hex(code)


@pytest.mark.parametrize("text", ["한글 é ✓ — … •••", "a b", "", "日本", "thanos:v0.36.1@sha256:" + "ab" * 32])
def test_ordinary_words_stay(text: str) -> None:
    assert one_line(text) == text == escaped(text)


def test_one_line_is_one_line() -> None:
    assert one_line("a\nb\r\nc\x1bd\u202ee\tf") == "a⏎b⏎c?d?e   f"
    assert not OBEYED.search(one_line(HOSTILE)) and len(one_line(HOSTILE).splitlines()) == 1


def test_documents_mean_the_same_and_steer_nobody() -> None:
    document = {"a": HOSTILE, HOSTILE: [HOSTILE, "x\ty", "two\nlines\n", "plain", 3, None, True, "yes", "12", ""]}
    as_json = escaped(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(as_json) == document
    as_yaml = to_yaml(document)
    assert yaml.safe_load(as_yaml) == document
    for text in (as_json, as_yaml, to_yaml_all([document, document])):
        assert not OBEYED.search(text.replace("\n", "")), ascii(text)
    assert list(yaml.safe_load_all(to_yaml_all([document, document]))) == [document, document]


def laughs(rows: int, wide: int = 9) -> str:
    lines = ["x0: &x0 [lol]"]
    lines += [f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * wide)}]" for n in range(1, rows)]
    return "\n".join(lines)


def merges(rows: int, wide: int = 9) -> str:
    lines = ["x0: &x0 {a: 1}"]
    lines += [f"x{n}: &x{n} {{<<: [{','.join([f'*x{n - 1}'] * wide)}]}}" for n in range(1, rows)]
    return "\n".join(lines)


BOMBS = {
    "aliases of aliases": laughs(12),
    "merge keys": merges(12),
    "keys": "? &a [x]\n: &b [*a,*a]\n" + laughs(10, 30),
    "of itself": "a: &a [*a]",
    "deep": "[" * 500 + "]" * 500,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_few_lines_never_stand_for_billions(text: str) -> None:
    for way in (load, load_all):
        with pytest.raises(Unbounded):
            way(text)
        with pytest.raises(Unbounded):
            way(text.encode()) if way is load else way(text)


def test_anchors_as_people_use_them_are_read() -> None:
    assert load("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n") == {
        "a": {"x": 1},
        "b": {"x": 1, "y": 2},
        "c": [{"x": 1}, {"x": 1}],
    }
    assert load("") is None and load_all("a: '*'\n---\nb: 1\n") == [{"a": "*"}, {"b": 1}]
