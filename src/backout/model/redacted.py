# SPDX-License-Identifier: Apache-2.0
"""Findings and plans without secrets: every text in a struct goes through redaction before it is sealed, kept or told. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from backout.model.redaction import redact_text
from backout.model.scope import ClusterScope
from backout.model.target import ObjectRef, Target

T = TypeVar("T")
_IDENTITIES = (ObjectRef, Target, ClusterScope)
"""They say what is meant, and are compared; a secret is never part of one."""
_EXACT = frozenset({"params", "precondition", "hash", "digest", "id", "action", "template", "captures"})
"""What steps act by (makers of steps keep secrets out of them), and English templates of ours."""


def without_secrets(value: T) -> T:
    """The same, with what redaction takes out of texts; itself where that is nothing."""
    found: T = _walk(value)
    return found


def _walk(value: Any) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, _IDENTITIES) or value is None:
        return value
    if isinstance(value, msgspec.Struct):
        changed = {}
        for name in _fields(type(value)):
            old = getattr(value, name)
            new = _walk(old)
            if new is not old and new != old:
                changed[name] = new
        return msgspec.structs.replace(value, **changed) if changed else value
    if isinstance(value, dict):
        return {key: _walk(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        walked = [_walk(inner) for inner in value]
        return type(value)(walked) if any(new is not old for new, old in zip(walked, value, strict=True)) else value
    return value


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.name not in _EXACT)
