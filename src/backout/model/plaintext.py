# SPDX-License-Identifier: Apache-2.0
"""Text of others as it is shown: on one line, without anything that a terminal, a page or a reader would obey. Pure.

Out go C0 and C1 controls (ECMA-48: escape sequences, also those of one byte), marks that turn the direction of what is
read or take no room (Unicode's category Cf: bidi, zero-width, tags), line and paragraph separators, private and half
characters. A line break is shown, never made: whoever writes a change cause can't write a line of a plan.
"""

from __future__ import annotations

import re

_CLASS = (
    r"\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\uf8ff\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
OBEYED = re.compile(f"[{_CLASS}]")
"""What somebody or something would obey. Line breaks and tabs are among it."""
BREAK = "⏎"
"""Stands for a line break."""


def one_line(text: str) -> str:
    """The text on one line, and nothing in it that is obeyed: breaks become ``⏎``, tabs four columns, the rest ``?``."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", BREAK).replace("\n", BREAK).expandtabs(4)
    return OBEYED.sub("?", text)


def escaped(text: str) -> str:
    """A JSON or YAML document with each such character inside of its strings written as an escape, so that it means the
    same; line breaks, which both use between their parts, stay."""
    return _BUT_BREAKS.sub(_escape, text)


_BUT_BREAKS = re.compile(f"(?!\\n)[{_CLASS}]")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
