# SPDX-License-Identifier: Apache-2.0
"""Findings and plans without secrets: every text in a struct goes through redaction before it is sealed, kept or told. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import msgspec

from backout.errors import fill
from backout.model.message import Message
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
    if isinstance(value, Message):
        text, template, args = _sentence(value.text, value.template, value.args)
        return value if text == value.text and args == value.args else Message(text, template, args)
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


def _sentence(text: str, template: str, args: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """A sentence whose text, template and arguments still say the same; one that can't be is kept as its text alone."""
    if not template:
        return redact_text(text), "", args
    clean = {name: _argument(value) for name, value in args.items()}
    said = fill(template, clean)
    plain = redact_text(said)
    return (said, template, clean) if plain == said else (plain, "", {})


def _argument(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        text, template, args = _sentence(value["text"], value.get("template") or "", value.get("args") or {})
        return {**value, "text": text, "template": template, "args": args}
    return redact_text(value) if isinstance(value, str) else value


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name not in _EXACT)
