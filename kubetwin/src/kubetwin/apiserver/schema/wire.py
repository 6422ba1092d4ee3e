# SPDX-License-Identifier: Apache-2.0
"""Decoding: what a typed server makes of a JSON object before anything else looks at it.

Unknown fields are dropped and named, nulls vanish, wrong types are refused with the decoder's words, quantities take
their canonical form, and (built-in kinds) empty optional fields disappear while some absent ones appear as zero
values (``resources: {}``, ``status: {}``), as a Go server's encoder writes them back."""

from __future__ import annotations

import base64
import binascii
import copy
from itertools import pairwise
from typing import Any

from kubetwin import quantity
from kubetwin.apiserver.schema import times
from kubetwin.apiserver.schema.node import Schema

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"

_STRING, _INTEGER, _NUMBER, _BOOLEAN, _LIST, _STRUCT, _MAP, _FREE, _INT_OR_STRING, _QUANTITY_KIND, _BYTES = range(11)
_TIME, _MICRO_TIME = range(11, 13)
_TIMES = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": _TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": _MICRO_TIME,
}


class TypeMismatch(Exception):
    """A value that does not fit its field; the text is the decoder's own."""

    def __init__(self, found: str, expected: str, plain: str = "") -> None:
        super().__init__(plain)
        self.found = found
        self.expected = expected
        self.plain = plain
        self.struct = ""
        self.fields: list[str] = []

    def __str__(self) -> str:
        if self.plain:
            return self.plain
        if not self.fields:
            return f"json: cannot unmarshal {self.found} into Go value of type {self.expected}"
        place = f"{self.struct}.{'.'.join(reversed(self.fields))}"
        return f"json: cannot unmarshal {self.found} into Go struct field {place} of type {self.expected}"


def decode(obj: dict[str, Any], schema: Schema, *, custom: bool = False) -> list[str]:
    """Bring ``obj`` (in place) into the form that a server holds; returns the paths of the unknown fields it dropped.

    ``custom``: a custom resource, whose own fields keep their zero values and whose types are a matter of validation.
    Raises TypeMismatch."""
    unknown: list[str] = []
    if custom:
        _custom(obj, schema, unknown, root=True)
    else:
        _struct(obj, schema, unknown)
    return unknown


def _kind_of(node: Schema) -> int:
    if node.definition == _QUANTITY:
        return _QUANTITY_KIND
    if node.definition in _TIMES:
        return _TIMES[node.definition]
    if node.int_or_string:
        return _INT_OR_STRING
    if node.free_form:
        return _FREE
    if node.type == "string":
        return _BYTES if node.format == "byte" else _STRING
    scalar = {"integer": _INTEGER, "number": _NUMBER, "boolean": _BOOLEAN, "array": _LIST}.get(node.type)
    if scalar is not None:
        return scalar
    return _STRUCT if node.properties else _MAP


_PLANS: dict[Schema, dict[str, tuple[Schema, int, bool]]] = {}
_KINDS: dict[Schema, int] = {}


def _plan(node: Schema) -> dict[str, tuple[Schema, int, bool]]:
    plan = _PLANS.get(node)
    if plan is None:
        dropped = node.dropped
        plan = {name: (child, _kind_of(child), name in dropped) for name, child in node.properties.items()}
        _PLANS[node] = plan
    return plan


def _kind(node: Schema) -> int:
    kind = _KINDS.get(node)
    if kind is None:
        kind = _KINDS[node] = _kind_of(node)
    return kind


def _struct(value: dict[str, Any], node: Schema, unknown: list[str]) -> None:
    plan = _plan(node.target or node)
    stale: list[str] | None = None
    for name, item in value.items():
        entry = plan.get(name)
        if entry is None:
            unknown.append(name)
        elif item is not None:
            child, kind, dropped = entry
            if kind == _STRING and type(item) is str:
                if item or not dropped:
                    continue
            else:
                before = len(unknown)
                try:
                    replaced = _value(item, child, kind, unknown)
                except TypeMismatch as error:
                    error.struct = error.struct or _go_name(node)
                    error.fields.append(name)
                    raise
                if len(unknown) != before:
                    _prefix(unknown, before, name)
                if replaced is not item:
                    value[name] = item = replaced
                if not dropped or item:
                    continue
        stale = [name] if stale is None else [*stale, name]
    if stale is not None:
        for name in stale:
            del value[name]
    for name, zero in node.written.items():
        if name not in value:
            if zero == {} and name in plan:
                zero = {}
                _struct(zero, plan[name][0], unknown)
            value[name] = copy.copy(zero)


def _value(item: Any, node: Schema, kind: int, unknown: list[str]) -> Any:
    if kind == _STRUCT:
        if type(item) is not dict:
            raise TypeMismatch(_found(item), _go_type(node))
        _struct(item, node, unknown)
        return item
    if kind == _LIST:
        if type(item) is not list:
            raise TypeMismatch(_found(item), _go_type(node))
        return _list(item, node, unknown)
    if kind == _MAP:
        if type(item) is not dict:
            raise TypeMismatch(_found(item), _go_type(node))
        return _map(item, node, unknown)
    return _scalar(item, node, kind)


def _list(items: list[Any], node: Schema, unknown: list[str]) -> list[Any]:
    element = node.items
    if element is None:
        return items
    kind = _kind(element)
    for index, item in enumerate(items):
        if kind == _STRING and type(item) is str:
            continue
        if item is None:
            if kind == _STRUCT:
                item = {}
            elif kind == _STRING:
                item = ""
            else:
                continue
        before = len(unknown)
        items[index] = _value(item, element, kind, unknown)
        if len(unknown) != before:
            _prefix(unknown, before, f"[{index}]")
    return items


def _map(value: dict[str, Any], node: Schema, unknown: list[str]) -> dict[str, Any]:
    _sort(value)
    element = node.additional_properties
    if element is None:
        return value
    kind = _kind(element)
    for name, item in value.items():
        if kind == _STRING and type(item) is str:
            continue
        if item is None:
            if kind == _STRING:
                value[name] = ""
            continue
        before = len(unknown)
        value[name] = _value(item, element, kind, unknown)
        if len(unknown) != before:
            _prefix(unknown, before, name)
    return value


def _sort(value: dict[str, Any]) -> None:
    """Go's maps have no order of their own: their encoder sorts them."""
    if len(value) > 1 and any(first > second for first, second in pairwise(value)):
        items = sorted(value.items())
        value.clear()
        value.update(items)


# The types in which JSON gives a kind, and what Go calls it.
_PLAIN: dict[int, tuple[tuple[type, ...], str]] = {
    _BOOLEAN: ((bool,), "bool"),
    _STRING: ((str,), "string"),
    _NUMBER: ((int, float), "float64"),
    _INT_OR_STRING: ((int, str), "int32"),
}


def _scalar(item: Any, node: Schema, kind: int) -> Any:
    if kind == _INTEGER:
        return _integer(item, node)
    if plain := _PLAIN.get(kind):
        if type(item) not in plain[0]:
            raise TypeMismatch(_found(item), plain[1])
    elif kind == _QUANTITY_KIND:
        return _canonical_quantity(item)
    elif kind == _BYTES:
        return _canonical_bytes(item)
    elif kind in (_TIME, _MICRO_TIME):
        return _canonical_time(item, micro=kind == _MICRO_TIME)
    return item


def _integer(item: Any, node: Schema) -> int:
    bits = 31 if node.format == "int32" else 63
    if type(item) is not int or not -(1 << bits) <= item < (1 << bits):
        raise TypeMismatch(_found(item), _go_type(node))
    return item


def _canonical_time(item: Any, *, micro: bool) -> str:
    if type(item) is not str:
        raise TypeMismatch("", "", f"json: cannot unmarshal {_found(item)} into Go value of type string")
    try:
        return times.canonical(item, micro)
    except ValueError as error:
        raise TypeMismatch("", "", str(error)) from None


def _canonical_quantity(item: Any) -> str:
    if type(item) not in (str, int, float):
        raise TypeMismatch("", "", quantity.MALFORMED)
    try:
        return quantity.canonical(item)
    except ValueError as error:
        raise TypeMismatch("", "", str(error)) from None


def _canonical_bytes(item: Any) -> str:
    if type(item) is not str:
        raise TypeMismatch(_found(item), "[]uint8")
    try:
        base64.b64decode(item, validate=True)
    except (binascii.Error, ValueError):
        # Line breaks are allowed in base64 text; anything else names the byte where reading stopped.
        stripped = item.replace("\n", "").replace("\r", "")
        try:
            base64.b64decode(stripped, validate=True)
        except (binascii.Error, ValueError):
            raise TypeMismatch("", "", f"illegal base64 data at input byte {_bad_byte(item)}") from None
        return stripped
    return item


def _bad_byte(text: str) -> int:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for index, letter in enumerate(text):
        if letter not in alphabet:
            return index
    return len(text) - len(text) % 4


def _custom(value: dict[str, Any], node: Schema, unknown: list[str], *, root: bool) -> None:
    """A custom resource: structural pruning; its metadata is typed."""
    properties = node.properties
    keep = node.preserve_unknown or node.keep
    free = node.additional_properties
    for name in list(value):
        child = properties.get(name) or free
        item = value[name]
        if child is None:
            if not keep and not (root and name in ("apiVersion", "kind", "metadata")):
                unknown.append(name)
                del value[name]
            continue
        if item is None:
            if name in properties and not child.nullable:
                del value[name]
            continue
        before = len(unknown)
        if (root and name == "metadata") and type(item) is dict:
            try:
                _struct(item, child, unknown)
            except TypeMismatch as error:
                error.fields.append(name)
                raise
        else:
            _custom_value(item, child, unknown)
        if len(unknown) != before:
            _prefix(unknown, before, name)


def _custom_value(item: Any, node: Schema, unknown: list[str]) -> None:
    if type(item) is dict:
        if node.definition:
            _struct(item, node, unknown)
        elif node.properties or node.additional_properties is not None or not (node.preserve_unknown or node.keep):
            _custom(item, node, unknown, root=node.embedded_resource)
    elif type(item) is list and node.items is not None:
        for index, element in enumerate(item):
            before = len(unknown)
            _custom_value(element, node.items, unknown)
            if len(unknown) != before:
                _prefix(unknown, before, f"[{index}]")


def _prefix(unknown: list[str], start: int, name: str) -> None:
    for index in range(start, len(unknown)):
        rest = unknown[index]
        unknown[index] = f"{name}{rest}" if rest.startswith("[") else f"{name}.{rest}"


def _found(item: Any) -> str:
    if item is None:
        return "null"
    if type(item) is bool:
        return "bool"
    if type(item) is str:
        return "string"
    if type(item) is int:
        return "number" if -(1 << 63) <= item < (1 << 63) and not _too_long(item) else f"number {item}"
    if type(item) is float:
        return f"number {item}"
    return "array" if type(item) is list else "object"


def _too_long(item: int) -> bool:
    return not -(1 << 31) <= item < (1 << 31)


def _go_name(node: Schema) -> str:
    return node.definition.rpartition(".")[2]


def _go_type(node: Schema) -> str:
    """The Go type that the decoder names."""
    if node.type == "integer":
        return "int32" if node.format == "int32" else "int64"
    if node.type == "array":
        return f"[]{_go_type(node.items)}" if node.items is not None else "[]interface {}"
    if node.type == "boolean":
        return "bool"
    if node.type == "string":
        return "string"
    if node.additional_properties is not None:
        element = node.additional_properties
        return f"map[string]{'[]uint8' if element.format == 'byte' else _go_type(element)}"
    package, _, name = node.definition.rpartition(".")
    return f"{package.rpartition('.')[2]}.{name}" if name else "map[string]interface {}"
