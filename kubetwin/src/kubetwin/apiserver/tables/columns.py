# SPDX-License-Identifier: Apache-2.0
"""Columns of the server's tables: a head and what stands in the cells, together.

A column's description is either a text of its own or the description of an API field; the latter is looked up in the
published schema, so it is written as `@VERSION/KIND:path.of.field` (`@meta:` for fields of ObjectMeta), and within a
printer of that kind as `@path.of.field`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from kubetwin.apiserver import schema
from kubetwin.apiserver.tables.text import Obj, since

Cell = str | int | float | bool | None
Value = Callable[[Obj, datetime], Cell]
RowFunction = Callable[[Obj, datetime], list[Cell]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `priority` 1 marks what only `-o wide` shows. Without a `value` the printer's row function makes it."""

    name: str
    doc: str
    value: Value | None = None
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


@dataclass(frozen=True, slots=True)
class Printer:
    """How one resource is printed: its columns and a function that makes an object's cells."""

    columns: Sequence[Column]
    row: RowFunction
    conditions: Callable[[Obj], list[dict[str, Any]]] | None = None


def printer(
    kind: str,
    *columns: Column,
    row: RowFunction | None = None,
    conditions: Callable[[Obj], list[dict[str, Any]]] | None = None,
) -> Printer:
    """The printer of a kind (`VERSION/KIND`); `row` makes all cells at once, in place of the columns' values."""
    own = [
        replace(column, doc=f"@{kind}:{column.doc[1:]}")
        if column.doc.startswith("@") and ":" not in column.doc
        else column
        for column in columns
    ]
    return Printer(own, row or _cells(own), conditions)


def _cells(columns: Sequence[Column]) -> RowFunction:
    values = [column.value for column in columns if column.value is not None]
    return lambda obj, now: [value(obj, now) for value in values]


def part(path: str) -> Callable[[Obj], Any]:
    """What stands at a path of fields; None when any of them is missing."""
    fields = path.split(".")

    def find(obj: Obj) -> Any:
        found: Any = obj
        for field in fields:
            found = (found or {}).get(field)
        return found

    return find


def items(path: str) -> Callable[[Obj], Sequence[Any]]:
    """The list at a path; empty when it is missing."""
    find = part(path)
    return lambda obj: find(obj) or ()


def column(name: str, doc: str, cell: Callable[[Obj], Cell], type: str = "string", *, wide: bool = False) -> Column:
    """A column whose cells do not depend on the time."""
    return Column(name, doc, lambda obj, _: cell(obj), type, priority=int(wide))


def field(
    name: str,
    path: str,
    default: Cell = "",
    type: str = "string",
    *,
    doc: str | None = None,
    empty: Cell = None,
    wide: bool = False,
) -> Column:
    """A field of the object as it is, with `default` where it is not set; `empty` also in place of an empty text.

    The description is that of the field.
    """
    find = part(path)

    def cell(obj: Obj) -> Cell:
        found: Cell = find(obj)
        if empty is not None:
            return found or empty
        return default if found is None else found

    return column(name, f"@{path}" if doc is None else doc, cell, type, wide=wide)


def count(name: str, path: str, doc: str | None = None, type: str = "string") -> Column:
    """How many entries a list or map has."""
    find = items(path)
    return column(name, f"@{path}" if doc is None else doc, lambda obj: len(find(obj)), type)


def containers(path: str = "spec.template.spec.containers", *, wide: bool = True) -> tuple[Column, Column]:
    """Names and images of the containers of a template."""
    find = items(path)
    about = "Names of each container in the template.", "Images referenced by each container in the template."
    return (
        column("Containers", about[0], lambda obj: ",".join(c["name"] for c in find(obj)), wide=wide),
        column("Images", about[1], lambda obj: ",".join(c.get("image", "") for c in find(obj)), wide=wide),
    )


def name_with_default(*annotations: str) -> Column:
    """The name, which says so when an annotation makes the object the default one of its kind."""

    def cell(obj: Obj) -> str:
        metadata = obj["metadata"]
        found = metadata.get("annotations") or {}
        default = any(found.get(key) == "true" for key in annotations)
        return f"{metadata['name']} (default)" if default else str(metadata["name"])

    return replace(NAME, value=lambda obj, _: cell(obj))


CREATED = part("metadata.creationTimestamp")
NAME = Column("Name", "@meta:name", lambda obj, _: obj["metadata"]["name"], format="name")
AGE = Column("Age", "@meta:creationTimestamp", lambda obj, now: since(CREATED(obj), now))
CONTAINERS = containers()


@lru_cache(maxsize=1024)
def describe(doc: str) -> str:
    """The description text; empty when the schema has no such field (as for the real server's unknown names)."""
    if not doc.startswith("@"):
        return doc
    if doc.startswith("@@"):  # a text of somebody else's that happens to begin so
        return doc[1:]
    kind_part, _, path = doc[1:].partition(":")
    if kind_part == "meta":
        api_version, kind, path = "v1", "ConfigMap", f"metadata.{path}"
    else:
        api_version, _, kind = kind_part.rpartition("/")
    node: Any = schema.for_kind(api_version, kind)
    for name in path.split("."):
        if node is None:
            return ""
        properties: Mapping[str, Any] = node.properties or {}
        node = node.items if name == "[]" else properties.get(name)
    return "" if node is None else (node.description or "")
