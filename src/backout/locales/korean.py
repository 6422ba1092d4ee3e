# SPDX-License-Identifier: Apache-2.0
"""Particles of Korean, which depend on the sound before them: ``2을(를)`` → ``2를``, ``3은(는)`` → ``3은``.

Catalogues write both forms where an argument comes before the particle. After Hangul and digits the right one is known;
after Latin letters it depends on how the word is read, so both forms stay.
"""

from __future__ import annotations

import re

_PAIRS = re.compile(
    r"(?P<last>[가-힣0-9])(?P<mark>[)\]`'\"”]*)(?P<pair>을\(를\)|은\(는\)|이\(가\)|과\(와\)|\(으\)로|\(이\)라)"
)
_FORMS = {
    "을(를)": ("을", "를"),
    "은(는)": ("은", "는"),
    "이(가)": ("이", "가"),
    "과(와)": ("과", "와"),
    "(이)라": ("이라", "라"),
}
_CLOSED_DIGITS = frozenset("013678")
_RIEUL = 8


def particles(text: str) -> str:
    """The text with the particles that can be known."""
    return _PAIRS.sub(_chosen, text) if "(" in text else text


def _chosen(found: re.Match[str]) -> str:
    last, mark, pair = found["last"], found["mark"], found["pair"]
    if last.isdigit():
        closed, rieul = last in _CLOSED_DIGITS, last in "178"
    else:
        final = (ord(last) - ord("가")) % 28
        closed, rieul = final != 0, final == _RIEUL
    if pair == "(으)로":
        return f"{last}{mark}{'으로' if closed and not rieul else '로'}"
    return f"{last}{mark}{_FORMS[pair][0 if closed else 1]}"
