# SPDX-License-Identifier: Apache-2.0
"""Every kind of document, and its JSON Schema."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.documents import auditing, failing, machine, reading, running, snapshots
from backout.documents.base import Document
from backout.model.operation import Operation
from backout.model.spelling import HEAD, camel

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def kinds() -> dict[str, type[msgspec.Struct]]:
    """Kind → the struct of it, by name."""
    found: dict[str, type[msgspec.Struct]] = {"Operation": Operation, "Snapshot": snapshots.SnapshotDocument}
    for module in (auditing, failing, machine, reading, running, snapshots):
        for struct in vars(module).values():
            if isinstance(struct, type) and issubclass(struct, Document) and "kind" in struct.__struct_fields__:
                found[_kind(struct)] = struct
    return dict(sorted(found.items()))


def _kind(struct: type[msgspec.Struct]) -> str:
    field = next(field for field in msgspec.structs.fields(struct) if field.name == "kind")
    return str(field.default)


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind, made from its struct. ``KeyError`` when there is no such kind."""
    struct = kinds()[kind]
    (reference,), parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    name = reference["$ref"].rpartition("/")[2]
    defs = {key: _spelt(part) for key, part in parts.items()}
    for one in _structs(struct):
        _require(defs, one)
    top = defs.pop(name)
    top["properties"]["kind"] = {"const": kind}
    top["required"] = sorted({*top.get("required", ()), *HEAD})
    return {"$schema": DIALECT, **top, "title": kind, **({"$defs": defs} if defs else {})}


def _spelt(part: dict[str, Any]) -> dict[str, Any]:
    """With names as they are written."""
    if "properties" not in part:
        return part
    return {
        **part,
        "properties": {camel(name): inner for name, inner in part["properties"].items()},
        "required": [camel(name) for name in part.get("required", ())],
    }


def _structs(root: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A struct and all that are in it."""
    found: dict[type[msgspec.Struct], None] = {}

    def visit(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found[info.cls] = None
            for field in info.fields:
                visit(field.type)
        for inner in (getattr(info, name, None) for name in ("item_type", "key_type", "value_type")):
            if inner is not None:
                visit(inner)
        for inner in getattr(info, "types", ()) or getattr(info, "item_types", ()):
            visit(inner)

    visit(msgspec.inspect.type_info(root))
    return list(found)


def _require(defs: dict[str, Any], struct: type[msgspec.Struct]) -> None:
    """What is never left out is always there."""
    part = defs.get(struct.__name__)
    if part is not None and not struct.__struct_config__.omit_defaults:
        part["required"] = list(part["properties"])
