# SPDX-License-Identifier: Apache-2.0
"""JSON merge patch, RFC 7386."""

from __future__ import annotations

from typing import Any


def apply(doc: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The patched document. ``doc`` is left alone; the result shares what did not change with it."""
    merged = dict(doc)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = apply(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged
