# SPDX-License-Identifier: Apache-2.0
"""The JSONPath dialect of Kubernetes, as far as printer columns of custom resources use it.

Fields, quoted fields, indexes, slices, wildcards, unions, recursive descent and filters with one comparison. Missing
keys are not errors: they find nothing. Source: client-go `util/jsonpath`.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""\.\.(?P<deep>[\w-]+|\*)"""
    r"""|\.(?P<field>(?:\\.|[^.\[\]\s\\])+)"""
    r"""|\[\?\((?P<filter>(?:[^()'"]|'[^']*'|"[^"]*")*)\)\]"""
    r"""|\[(?P<bracket>(?:'(?:\\.|[^'])*'|"(?:\\.|[^"])*"|[^\]])*)\]"""
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FILTER = re.compile(r"""\s*(?P<left>@[^=!<>]*?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>.+?)\s*)?$""")


class JSONPathError(ValueError):
    """The text is not a path of this dialect."""


@lru_cache(maxsize=1024)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path such as `.status.conditions[?(@.type=="Ready")].status`.

    Raises JSONPathError when the path cannot be read.
    """
    text = path.strip()
    if text.startswith("$"):
        text = text[1:]
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            if text[position] == "." and position == len(text) - 1:
                break
            raise JSONPathError(f"unrecognized path at {text[position:]!r}")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def find(path: str, data: Any) -> list[Any]:
    """Everything a path finds, in order."""
    values = [data]
    for step in parse(path):
        values = [found for value in values for found in step(value)]
    return values


def _step(match: re.Match[str]) -> Step:
    if (deep := match["deep"]) is not None:
        return lambda value: _deep(value, deep)
    if (name := match["field"]) is not None:
        return _wildcard if name == "*" else _field(re.sub(r"\\(.)", r"\1", name))
    if (condition := match["filter"]) is not None:
        return _filter(condition)
    return _bracket(match["bracket"].strip())


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _wildcard(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _deep(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if name == "*":
            yield from value.values()
        elif name in value:
            yield value[name]
    for child in _wildcard(value):
        yield from _deep(child, name)


def _bracket(text: str) -> Step:
    if text == "*":
        return _wildcard
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return _field(re.sub(r"\\(.)", r"\1", text[1:-1]))
    if "," in text:
        parts = [_bracket(part.strip()) for part in text.split(",")]
        return lambda value: (found for part in parts for found in part(value))
    try:
        bounds = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        raise JSONPathError(f"invalid array index {text!r}") from None
    if len(bounds) == 1 and bounds[0] is not None:
        index = bounds[0]
        chosen = slice(index, index + 1 or None)
    elif 2 <= len(bounds) <= 3:
        chosen = slice(*bounds)
    else:
        raise JSONPathError(f"invalid array index {text!r}")

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[chosen]

    return step


def _operand(text: str) -> Callable[[Any], list[Any]]:
    if text.startswith("@"):
        path = text[1:]
        parse(path)
        return lambda item: find(path, item)
    if text[:1] in "'\"" and text[-1:] == text[:1] and len(text) > 1:
        return lambda item: [text[1:-1]]
    try:
        value = json.loads(text)
    except ValueError:
        raise JSONPathError(f"unrecognized value {text!r} in a filter") from None
    return lambda item: [value]


def _filter(text: str) -> Step:
    match = _FILTER.match(text)
    if match is None:
        raise JSONPathError(f"unrecognized filter {text!r}")
    left = _operand(match["left"])
    if match["op"] is None:
        return lambda value: (item for item in _wildcard(value) if left(item))
    right, compare = _operand(match["right"]), _COMPARE[match["op"]]

    def matches(item: Any) -> bool:
        first, second = left(item), right(item)
        try:
            return len(first) == 1 and len(second) == 1 and compare(first[0], second[0])
        except TypeError:
            return False

    return lambda value: (item for item in _wildcard(value) if matches(item))
