# SPDX-License-Identifier: Apache-2.0
"""Typed walks over objects: which fields one has, and which differ between two.

Source: structured-merge-diff's typed package. A list is indexed by its keys, by its values (a set), or is one field
(atomic); maps and structs are walked unless they are atomic."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from kubetwin.apiserver.fields.sets import SELF, FieldSet, key_element, value_element
from kubetwin.apiserver.schema import FREE, Schema


class Comparison(NamedTuple):
    """What changed from one object to another; no path is in two of the sets."""

    removed: FieldSet
    modified: FieldSet
    added: FieldSet

    @property
    def same(self) -> bool:
        """Nothing changed."""
        return not (self.removed or self.modified or self.added)


class UnkeyedItem(ValueError):
    """A list item without any of the keys that would tell it from others."""


@lru_cache(maxsize=8192)
def _single_key(name: str, value: str) -> str:
    return f'k:{{"{name}":{msgspec.json.encode(value).decode()}}}'


def item_element(item: Any, node: Schema) -> str:
    """The path element of an item of a keyed list or a set. Raises UnkeyedItem."""
    keys = node.keys
    if not keys:
        if isinstance(item, dict):
            raise UnkeyedItem("associative list without keys has an element that's a map type")
        if isinstance(item, list):
            raise UnkeyedItem("not supported: associative list with lists as elements")
        if item is None:
            raise UnkeyedItem("associative list without keys has an element that's an explicit null")
        return value_element(item)
    if item is None:
        raise UnkeyedItem("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise UnkeyedItem("associative list with keys may not have non-map elements")
    if len(keys) == 1:
        value = item.get(keys[0])
        if type(value) is str:
            return _single_key(keys[0], value)
    found: dict[str, Any] = {}
    for name in keys:
        if name in item:
            found[name] = item[name]
        elif node.items is not None:
            child = node.items.properties.get(name)
            if child is not None and child.has_default:
                found[name] = child.default
    if not found:
        named = " ".join(f'"{name}"' for name in keys)
        raise UnkeyedItem(
            f"associative list with keys has an element that omits all key fields [{named}] "
            "(and doesn't have default values for any key fields)"
        )
    return key_element(found)


def element_schema(node: Schema) -> Schema:
    """The schema of a list's items."""
    return node.items or FREE


def field_schema(node: Schema, name: str) -> Schema:
    """The schema of a field or of a map's value."""
    return node.properties.get(name) or node.additional_properties or FREE


def field_set(value: dict[str, Any], node: Schema) -> FieldSet:
    """The fields that an applied configuration sets."""
    return _fields(value, node)[1]


def _fields(value: Any, node: Schema) -> tuple[bool, FieldSet]:
    """(the place itself is a member, what is below it)."""
    if isinstance(value, dict):
        if node.atomic:
            return True, {}
        out: FieldSet = {}
        properties = node.properties
        for name, item in value.items():
            child = properties.get(name)
            member, below = _fields(item, child or node.additional_properties or FREE)
            if child is None or item is None or item == {}:
                member = True
            _insert(out, f"f:{name}", member, below)
        return False, out
    if isinstance(value, list):
        if node.keys is None:
            return True, {}
        out = {}
        items = element_schema(node)
        seen: set[str] = set()
        for item in value:
            element = item_element(item, node)
            if element in seen:
                out[element] = {}
                continue
            seen.add(element)
            _insert(out, element, True, _fields(item, items)[1])
        return False, out
    return value is not None or node.type in ("string", "integer", "number", "boolean"), {}


def _insert(out: FieldSet, element: str, member: bool, below: FieldSet) -> None:
    if below:
        out[element] = {SELF: {}, **below} if member else below
    elif member:
        out[element] = {}


def compare(old: dict[str, Any], new: dict[str, Any], node: Schema) -> Comparison:
    """What changed from ``old`` to ``new``."""
    removed: FieldSet = {}
    modified: FieldSet = {}
    added: FieldSet = {}
    _compare_maps(old, new, node, removed, modified, added)
    return Comparison(removed, modified, added)


def _whole(value: Any, node: Schema) -> FieldSet:
    """The node of something that came or went: the place and all below it."""
    if isinstance(value, dict):
        if node.atomic or not value:
            return {}
        out: FieldSet = {SELF: {}}
        properties, others = node.properties, node.additional_properties or FREE
        for name, item in value.items():
            if type(item) is dict or type(item) is list:
                out[f"f:{name}"] = _whole(item, properties.get(name) or others)
            else:
                out[f"f:{name}"] = {}
        return out
    if isinstance(value, list):
        if node.keys is None or not value:
            return {}
        out = {SELF: {}}
        items = element_schema(node)
        for item in value:
            element = item_element(item, node)
            out[element] = {} if element in out else _whole(item, items)
        return out
    return {}


def _compare(
    old: Any, new: Any, node: Schema, element: str, removed: FieldSet, modified: FieldSet, added: FieldSet
) -> None:
    """Both are there and differ."""
    below: tuple[FieldSet, FieldSet, FieldSet] = ({}, {}, {})
    if (old or new) and not node.atomic and _is(dict, old, new):
        _compare_maps(old or {}, new or {}, node, *below)
    elif (old or new) and node.keys is not None and _is(list, old, new):
        _compare_lists(old or [], new or [], node, *below)
    else:
        modified[element] = {}
        return
    for fields, out in zip(below, (removed, modified, added), strict=True):
        if fields:
            out[element] = fields


def _is(kind: type, old: Any, new: Any) -> bool:
    """Both of a kind; null goes with anything."""
    return (old is None or type(old) is kind) and (new is None or type(new) is kind)


def _compare_maps(
    old: dict[str, Any], new: dict[str, Any], node: Schema, removed: FieldSet, modified: FieldSet, added: FieldSet
) -> None:
    properties, others = node.properties, node.additional_properties or FREE
    for name, value in new.items():
        if name not in old:
            added[f"f:{name}"] = _whole(value, properties.get(name) or others)
            continue
        before = old[name]
        if before is not value and before != value:
            _compare(before, value, properties.get(name) or others, f"f:{name}", removed, modified, added)
    for name, value in old.items():
        if name not in new:
            removed[f"f:{name}"] = _whole(value, properties.get(name) or others)


def _indexed(items: list[Any], node: Schema) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for item in items:
        out.setdefault(item_element(item, node), []).append(item)
    return out


def _compare_lists(
    old: list[Any], new: list[Any], node: Schema, removed: FieldSet, modified: FieldSet, added: FieldSet
) -> None:
    left, right = _indexed(old, node), _indexed(new, node)
    schema = element_schema(node)
    for element, values in right.items():
        before = left.get(element, [])
        if len(values) == 1 and len(before) <= 1:
            if not before:
                added[element] = _whole(values[0], schema)
            elif before[0] != values[0]:
                _compare(before[0], values[0], schema, element, removed, modified, added)
        elif len(values) > 1 and len(before) > 1:
            if before != values:
                modified[element] = {}
        elif len(before) > 1:
            # An item stops being a duplicate: the mark goes, the item comes.
            removed[element] = {}
            added[element] = _whole(values[0], schema)
        else:
            if before:
                removed[element] = _whole(before[0], schema)
            added[element] = {}
    for element, before in left.items():
        if element not in right:
            removed[element] = _whole(before[0], schema) if len(before) == 1 else {}
