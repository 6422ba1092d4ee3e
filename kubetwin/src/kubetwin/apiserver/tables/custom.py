# SPDX-License-Identifier: Apache-2.0
"""Tables of custom resources, from the additionalPrinterColumns of their definition."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kubetwin.apiserver.tables import jsonpath
from kubetwin.apiserver.tables.columns import NAME, Cell, Column, Printer
from kubetwin.apiserver.tables.text import Obj, parse_time, since

_DEFAULT: Sequence[Obj] = (
    {
        "name": "Age",
        "type": "date",
        "description": "@meta:creationTimestamp",
        "jsonPath": ".metadata.creationTimestamp",
    },
)


def printer(columns: Sequence[Obj]) -> Printer:
    """The printer of a definition's version; without columns, name and age are shown.

    A path that cannot be read makes the server fall back to the name alone, so does this.
    """
    chosen = columns or _DEFAULT
    try:
        for column in chosen:
            jsonpath.parse(column["jsonPath"])
    except jsonpath.JSONPathError:
        chosen = ()
    headers = [NAME]
    for column in chosen:
        path = column["jsonPath"]
        doc = column.get("description") or ""
        if column not in _DEFAULT and doc.startswith("@"):
            doc = f"@{doc}"
        doc = doc or f"Custom resource definition column (in JSONPath format): {path}"
        shown = column.get("format", ""), column.get("priority", 0)
        headers.append(Column(column["name"], doc, None, column["type"], *shown))
    cells = [(column["type"], column["jsonPath"]) for column in chosen]

    def row(obj: Obj, now: datetime) -> list[Cell]:
        return [obj["metadata"]["name"], *(_cell(kind, path, obj, now) for kind, path in cells)]

    return Printer(headers, row)


def _cell(kind: str, path: str, obj: Obj, now: datetime) -> Cell:
    found = jsonpath.find(path, obj)
    if not found or (value := found[0]) is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "string":
            return _text(value)
        case "integer":
            return int(value) if number else None
        case "number":
            return float(value) if number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date" if isinstance(value, str):
            return since(value, now) if parse_time(value) else "<invalid>"
    return None


def _text(value: Any) -> str:
    """A value as the server writes it: objects and lists as JSON with sorted keys, numbers and booleans as Go does."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        # Go's encoder escapes these for HTML.
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)
