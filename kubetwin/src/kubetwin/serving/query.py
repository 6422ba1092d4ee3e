# SPDX-License-Identifier: Apache-2.0
"""Booleans and numbers in what a request says, read as Go's API machinery reads them.

Sources: apimachinery ``pkg/runtime/conversion.go`` (``Convert_Slice_string_To_bool``, ``_int64``), ``strconv``.
"""

from __future__ import annotations

import re

from kubetwin.serving.http import Request

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_LIMIT = 1 << 63
_PARSE_BOOL = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_MOST_DIGITS = 19  # of a number of 64 bits


class Unreadable(ValueError):
    """A parameter is not what it has to be; the text is what Go says of it."""


def boolean(request: Request, name: str) -> bool | None:
    """A boolean parameter, None when it is not there. All but ``0`` and ``false`` is true, also an empty value."""
    values = request.query.get(name)
    return values[0].lower() not in ("0", "false") if values else None


def flag(request: Request, name: str) -> bool:
    """A boolean parameter that is false when it is not there."""
    return bool(boolean(request, name))


def integer(request: Request, name: str) -> int | None:
    """A number of 64 bits, None when it is not there; raises Unreadable for all that is none, also an empty value."""
    values = request.query.get(name)
    return parse_int(values[0]) if values else None


def parse_int(text: str) -> int:
    """What ``strconv.ParseInt`` reads; raises Unreadable with its words."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if not _INTEGER.fullmatch(text):
        raise Unreadable(f'strconv.ParseInt: parsing "{quoted}": invalid syntax')
    digits = text.lstrip("+-").lstrip("0")
    value = int(text) if len(digits) <= _MOST_DIGITS else _LIMIT
    if not -_LIMIT <= value < _LIMIT:
        raise Unreadable(f'strconv.ParseInt: parsing "{quoted}": value out of range')
    return value


def pretty(request: Request) -> bool:
    """Whether an answer is to be indented: as ``pretty`` says (here as ``strconv.ParseBool`` reads it), else for the
    programs of people. Source: ``isPrettyPrint`` of apiserver ``pkg/endpoints/handlers/negotiation``."""
    if "pretty=1" in request.headers.get("accept", ""):
        return True
    if asked := request.param("pretty"):
        return asked in _PARSE_BOOL
    return request.headers.get("user-agent", "").startswith(("curl", "Wget", "Mozilla/5.0"))
