# SPDX-License-Identifier: Apache-2.0
"""What Go's JSON decoder says of a text that is no JSON: clients quote it."""

from __future__ import annotations

_SPACE = " \t\r\n"
_HEX = "0123456789abcdefABCDEF"


class _Syntax(Exception):
    pass


def syntax_error(text: str) -> str:
    """The decoder's message for a malformed document; empty when it is well formed."""
    try:
        end = _value(text, _skip(text, 0))
        end = _skip(text, end)
        if end < len(text):
            _fail(text, end, "after top-level value")
    except _Syntax as error:
        return str(error)
    return ""


def _fail(text: str, at: int, context: str) -> None:
    if at >= len(text):
        raise _Syntax("unexpected end of JSON input")
    letter = text[at]
    shown = {"'": "'\\''", '"': "'\"'"}.get(letter) or f"'{_quoted(letter)}'"
    raise _Syntax(f"invalid character {shown} {context}")


def _quoted(letter: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}.get(letter) or (
        letter if letter.isprintable() else f"\\x{ord(letter):02x}" if letter < "\x80" else f"\\u{ord(letter):04x}"
    )


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _value(text: str, at: int) -> int:
    letter = text[at] if at < len(text) else ""
    if letter == "{":
        return _object(text, at + 1)
    if letter == "[":
        return _array(text, at + 1)
    if letter == '"':
        return _string(text, at + 1)
    if letter == "-" or letter.isdigit():
        return _number(text, at)
    for word in ("true", "false", "null"):
        if letter == word[0]:
            for offset, expected in enumerate(word[1:], 1):
                if at + offset >= len(text) or text[at + offset] != expected:
                    _fail(text, at + offset, f"in literal {word} (expecting '{expected}')")
            return at + len(word)
    _fail(text, at, "looking for beginning of value")
    raise AssertionError


def _object(text: str, at: int) -> int:
    at = _skip(text, at)
    if at < len(text) and text[at] == "}":
        return at + 1
    while True:
        if at >= len(text) or text[at] != '"':
            _fail(text, at, "looking for beginning of object key string")
        at = _skip(text, _string(text, at + 1))
        if at >= len(text) or text[at] != ":":
            _fail(text, at, "after object key")
        at = _skip(text, _value(text, _skip(text, at + 1)))
        if at < len(text) and text[at] == "}":
            return at + 1
        if at >= len(text) or text[at] != ",":
            _fail(text, at, "after object key:value pair")
        at = _skip(text, at + 1)


def _array(text: str, at: int) -> int:
    at = _skip(text, at)
    if at < len(text) and text[at] == "]":
        return at + 1
    while True:
        at = _skip(text, _value(text, at))
        if at < len(text) and text[at] == "]":
            return at + 1
        if at >= len(text) or text[at] != ",":
            _fail(text, at, "after array element")
        at = _skip(text, at + 1)


def _string(text: str, at: int) -> int:
    while at < len(text):
        letter = text[at]
        if letter == '"':
            return at + 1
        if letter == "\\":
            at += 1
            if at < len(text) and text[at] == "u":
                for offset in range(1, 5):
                    if at + offset >= len(text) or text[at + offset] not in _HEX:
                        _fail(text, at + offset, "in \\u hexadecimal character escape")
                at += 4
            elif at >= len(text) or text[at] not in 'bfnrt\\/"':
                _fail(text, at, "in string escape code")
        elif ord(letter) < 0x20:
            _fail(text, at, "in string literal")
        at += 1
    raise _Syntax("unexpected end of JSON input")


def _number(text: str, at: int) -> int:
    if text[at] == "-":
        at += 1
        if at >= len(text) or not text[at].isdigit():
            _fail(text, at, "in numeric literal")
    if text[at] == "0":
        at += 1
    else:
        at = _digits(text, at)
    if at < len(text) and text[at] == ".":
        at += 1
        if at >= len(text) or not text[at].isdigit():
            _fail(text, at, "after decimal point in numeric literal")
        at = _digits(text, at)
    if at < len(text) and text[at] in "eE":
        at += 1
        if at < len(text) and text[at] in "+-":
            at += 1
        if at >= len(text) or not text[at].isdigit():
            _fail(text, at, "in exponent of numeric literal")
        at = _digits(text, at)
    return at


def _digits(text: str, at: int) -> int:
    while at < len(text) and text[at].isdigit():
        at += 1
    return at
