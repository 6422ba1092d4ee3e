# SPDX-License-Identifier: Apache-2.0
"""Holds a document to the schema that is shipped for its kind, and to nothing beyond it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from backout.documents.shipped import schema_text

SEEN: set[str] = set()
"""Kinds that were held in this process."""


def hold(document: dict[str, Any]) -> dict[str, Any]:
    """The document itself.

    Raises:
        AssertionError: it has no kind of ours, is not as its schema says, or has a field that the schema does not know.
    """
    assert document["apiVersion"] == "backout.dev/v1"
    kind = document["kind"]
    problems = [
        f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in _closed(kind).iter_errors(document)
    ]
    assert not problems, f"{kind}: {problems}"
    assert not any("_" in key for key in _words(document)), "keys of `data` are words of ours"
    SEEN.add(kind)
    return document


def _words(value: Any) -> Iterator[str]:
    """The keys of every ``data``, which no schema names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "data" and isinstance(inner, dict):
                yield from inner
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)


@cache
def _closed(kind: str) -> Draft202012Validator:
    schema = json.loads(schema_text(kind))
    Draft202012Validator.check_schema(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return Draft202012Validator(schema)
