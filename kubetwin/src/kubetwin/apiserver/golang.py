# SPDX-License-Identifier: Apache-2.0
"""Values as Go prints them, in messages that quote what was sent."""

from __future__ import annotations

from typing import Any

_TYPES: dict[type, str] = {
    bool: "bool",
    dict: "map[string]interface {}",
    float: "float64",
    int: "int64",
    list: "[]interface {}",
    str: "string",
}


def text_of(value: Any) -> str:
    """A value as ``%v`` prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{text_of(item)}' for name, item in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(text_of(item) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def type_of(value: Any) -> str:
    """The Go type of a decoded JSON value."""
    return _TYPES.get(type(value), "%!s(<nil>)")
