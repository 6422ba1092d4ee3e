# SPDX-License-Identifier: Apache-2.0
"""Column definitions of the server's tables.

A column's description is either a text of its own or the description of an API field; the latter is looked up in the
published schema, so it is written as `@VERSION/KIND:path.of.field` (`@meta:` for fields of ObjectMeta).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from kubetwin.apiserver.tables.text import Obj

Cell = str | int | float | bool | None
RowFunction = Callable[[Obj, datetime], list[Cell]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `priority` 1 marks what only `-o wide` shows."""

    name: str
    doc: str
    type: str = "string"
    format: str = ""
    priority: int = 0

    def definition(self) -> dict[str, Any]:
        """The column as it stands in a Table's `columnDefinitions`."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": describe(self.doc),
            "priority": self.priority,
        }


def wide(name: str, doc: str) -> Column:
    """A text column of `-o wide`."""
    return Column(name, doc, priority=1)


NAME = Column("Name", "@meta:name", format="name")
AGE = Column("Age", "@meta:creationTimestamp")
CONTAINERS = wide("Containers", "Names of each container in the template.")
IMAGES = wide("Images", "Images referenced by each container in the template.")


@dataclass(frozen=True, slots=True)
class Printer:
    """How one resource is printed: its columns and a function that makes an object's cells."""

    columns: Sequence[Column]
    row: RowFunction
    conditions: Callable[[Obj], list[dict[str, Any]]] | None = None


@lru_cache(maxsize=1024)
def describe(doc: str) -> str:
    """The description text; empty when the schema has no such field (as for the real server's unknown names)."""
    if not doc.startswith("@"):
        return doc
    if doc.startswith("@@"):  # a text of somebody else's that happens to begin so
        return doc[1:]
    from kubetwin.apiserver import schema  # lazy: the data file is only needed for descriptions

    kind_part, _, path = doc[1:].partition(":")
    if kind_part == "meta":
        api_version, kind, path = "v1", "ConfigMap", f"metadata.{path}"
    else:
        api_version, _, kind = kind_part.rpartition("/")
    node: Any = schema.for_kind(api_version, kind)
    for field in path.split("."):
        if node is None:
            return ""
        properties: Mapping[str, Any] = node.properties or {}
        node = node.items if field == "[]" else properties.get(field)
    return "" if node is None else (node.description or "")
