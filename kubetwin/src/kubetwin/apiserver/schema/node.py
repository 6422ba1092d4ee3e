# SPDX-License-Identifier: Apache-2.0
"""One node of a resource schema, built lazily from its OpenAPI form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Resolver = Callable[[str], "Schema"]

_TYPES_OF_ONE = ("integer", "number", "boolean", "string")
_NO_FIELDS: dict[str, Schema] = {}


class Schema:
    """The type of one value: its fields, items and marks.

    Attributes that cost something to build (``properties``, ``items``, ``additional_properties`` …) come into being on
    first use and then are plain attributes: walks over objects read them on every write.

    ``keys`` tells how structured-merge-diff sees a list: None: atomic (one value); ``()``: a set of scalars;
    otherwise the fields that identify an item. ``atomic`` says the same of a map.
    """

    __slots__ = (
        "__weakref__",
        "additional_properties",
        "atomic",
        "definition",
        "dropped",
        "embedded_resource",
        "free_form",
        "int_or_string",
        "items",
        "keep",
        "keys",
        "list_map_keys",
        "list_type",
        "map_type",
        "nullable",
        "patch_merge_key",
        "patch_strategies",
        "preserve_unknown",
        "properties",
        "raw",
        "required",
        "resolver",
        "target",
        "type",
        "written",
    )

    properties: dict[str, Schema]
    items: Schema | None
    additional_properties: Schema | None
    type: str
    required: tuple[str, ...]
    int_or_string: bool
    preserve_unknown: bool
    embedded_resource: bool
    nullable: bool
    list_type: str | None
    list_map_keys: tuple[str, ...]
    map_type: str | None
    patch_strategies: tuple[str, ...]
    patch_merge_key: str | None
    keys: tuple[str, ...] | None
    atomic: bool
    free_form: bool
    dropped: frozenset[str]
    written: dict[str, Any]

    def __init__(self, raw: dict[str, Any], resolver: Resolver, definition: str = "", *, keep: bool = False) -> None:
        """``raw`` is the OpenAPI form; ``definition`` its name, if it has one; ``keep``: unknown fields are kept here
        because a node above says so."""
        self.raw = raw
        self.resolver = resolver
        self.definition = definition
        self.keep = keep
        reference = raw.get("$ref")
        if reference is None and len(raw.get("allOf", ())) == 1 and "type" not in raw:
            reference = raw["allOf"][0].get("$ref")
        self.target: Schema | None = resolver(reference.rsplit("/", 1)[-1]) if reference else None
        if self.target is not None:
            self.definition = self.target.definition

    def __getattr__(self, name: str) -> Any:
        build = _BUILDERS.get(name)
        if build is None:
            raise AttributeError(name)
        value = build(self)
        setattr(self, name, value)
        return value

    def mark(self, name: str) -> Any:
        """An ``x-kubernetes-…`` mark or keyword: the node's own, or that of the definition it refers to."""
        if name in self.raw:
            return self.raw[name]
        return self.target.mark(name) if self.target is not None else None

    @property
    def description(self) -> str:
        """The text that ``kubectl explain`` prints."""
        return str(self.mark("description") or "")

    @property
    def format(self) -> str | None:
        """``int32``, ``date-time``, ``byte`` …"""
        value: str | None = self.mark("format")
        return value

    @property
    def enum(self) -> list[Any] | None:
        """The allowed values."""
        value: list[Any] | None = self.mark("enum")
        return value

    @property
    def has_default(self) -> bool:
        """Whether the schema carries a default."""
        return "default" in self.raw

    @property
    def default(self) -> Any:
        """The default of this place (None also when there is none: see ``has_default``)."""
        return self.raw.get("default")

    def child(self, name: str) -> Schema | None:
        """The schema of a field or map value; None when the field is unknown."""
        return self.properties.get(name) or self.additional_properties

    def __repr__(self) -> str:
        return f"Schema({self.definition or self.type})"


def _type(node: Schema) -> str:
    if node.int_or_string:
        return ""
    return str(node.mark("type") or "")


def _properties(node: Schema) -> dict[str, Schema]:
    if node.target is not None:
        return node.target.properties
    raw = node.raw.get("properties")
    if not raw:
        return _NO_FIELDS
    keep = node.keep or bool(node.raw.get("x-kubernetes-preserve-unknown-fields"))
    return {name: Schema(value, node.resolver, keep=keep) for name, value in raw.items()}


def _items(node: Schema) -> Schema | None:
    if node.target is not None:
        return node.target.items
    raw = node.raw.get("items")
    return Schema(raw, node.resolver, keep=node.keep) if isinstance(raw, dict) else None


def _additional(node: Schema) -> Schema | None:
    if node.target is not None:
        return node.target.additional_properties
    raw = node.raw.get("additionalProperties")
    if isinstance(raw, dict):
        return Schema(raw, node.resolver, keep=node.keep)
    return FREE if raw is True else None


def _list_type(node: Schema) -> str | None:
    value: str | None = node.mark("x-kubernetes-list-type")
    return value


def _keys(node: Schema) -> tuple[str, ...] | None:
    # A list is what its list-type says; older types have only the marks of strategic merge, which then decide:
    # k8s.io/kube-openapi/pkg/schemaconv.
    if node.list_type is not None:
        if node.list_type == "map":
            return node.list_map_keys
        return () if node.list_type == "set" else None
    if "merge" in node.patch_strategies:
        return (node.patch_merge_key,) if node.patch_merge_key else ()
    return None


def _free_form(node: Schema) -> bool:
    """Anything may stand here: no type, or an object without any field."""
    if node.definition == "io.k8s.apimachinery.pkg.runtime.RawExtension":
        return True
    if node.type not in ("", "object") or node.int_or_string:
        return False
    return not node.properties and node.additional_properties is None


def _atomic(node: Schema) -> bool:
    if node.map_type is not None:
        return bool(node.map_type == "atomic")
    return node.definition == "io.k8s.apimachinery.pkg.runtime.RawExtension"


def _patch_strategies(node: Schema) -> tuple[str, ...]:
    value = node.raw.get("x-kubernetes-patch-strategy")
    return tuple(value.split(",")) if value else ()


_BUILDERS: dict[str, Callable[[Schema], Any]] = {
    "type": _type,
    "properties": _properties,
    "items": _items,
    "additional_properties": _additional,
    "required": lambda node: tuple(node.mark("required") or ()),
    "int_or_string": lambda node: (
        bool(node.mark("x-kubernetes-int-or-string")) or node.mark("format") == "int-or-string"
    ),
    "preserve_unknown": lambda node: bool(node.mark("x-kubernetes-preserve-unknown-fields")),
    "embedded_resource": lambda node: bool(node.mark("x-kubernetes-embedded-resource")),
    "nullable": lambda node: bool(node.mark("nullable")),
    "list_type": _list_type,
    "list_map_keys": lambda node: tuple(node.mark("x-kubernetes-list-map-keys") or ()),
    "map_type": lambda node: node.mark("x-kubernetes-map-type"),
    "patch_strategies": _patch_strategies,
    "patch_merge_key": lambda node: node.raw.get("x-kubernetes-patch-merge-key"),
    "keys": _keys,
    "atomic": _atomic,
    "free_form": _free_form,
    "dropped": lambda node: frozenset(node.mark("x-dropped") or ()),
    "written": lambda node: node.mark("x-written") or {},
}


def _no_references(name: str) -> Schema:
    raise KeyError(name)


#: Accepts any value and keeps every field.
FREE = Schema({}, _no_references)
