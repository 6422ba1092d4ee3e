# SPDX-License-Identifier: Apache-2.0
"""Merging an applied configuration into an object, and taking fields out of one.

Source: structured-merge-diff's typed package (merge, remove, validate)."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.fields.sets import SELF, FieldSet, element_text
from kubetwin.apiserver.fields.walk import UnkeyedItem, element_schema, field_schema, item_element
from kubetwin.apiserver.golang import text_of, type_of
from kubetwin.apiserver.schema import Schema

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def merge(live: Any, applied: Any, node: Schema) -> Any:
    """``live`` with what ``applied`` sets; neither is changed, but the result shares parts with them."""
    if applied is None:
        return live if live or isinstance(live, dict | list) else None
    if isinstance(applied, dict):
        if not isinstance(live, dict) or node.atomic or not live:
            return applied
        out = dict(live)
        for name, value in applied.items():
            before = out.get(name)
            out[name] = value if before is None else merge(before, value, field_schema(node, name))
        return out
    if isinstance(applied, list):
        if not isinstance(live, list) or node.keys is None or not live:
            return applied
        return _merge_lists(live, applied, node)
    return applied


def _merge_lists(live: list[Any], applied: list[Any], node: Schema) -> list[Any]:
    """Items of the configuration in its order, others where they were between them."""
    left = [item_element(item, node) for item in live]
    right = [item_element(item, node) for item in applied]
    observed_left: dict[str, Any] = {}
    for element, item in zip(left, live, strict=True):
        observed_left[element] = None if element in observed_left else item
    observed_right = dict(zip(right, applied, strict=True))
    shared = [element for element in right if element in observed_left]
    schema = element_schema(node)
    out: list[Any] = []
    merged: set[str] = set()
    next_shared = shared.pop(0) if shared else None

    def take(element: str) -> None:
        merged.add(element)
        before = observed_left.get(element)
        out.append(observed_right[element] if before is None else merge(before, observed_right[element], schema))

    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            if left[i] == right[j]:
                take(left[i])
                i += 1
                j += 1
                next_shared = shared.pop(0) if shared else None
                continue
            if left[i] in observed_right and next_shared is not None and next_shared != left[i]:
                i += 1
                continue
        if i < len(left):
            if left[i] not in observed_right:
                out.append(live[i])
                i += 1
                continue
            if left[i] in merged:
                i += 1
        if j < len(right):
            element = right[j]
            take(element)
            j += 1
            if next_shared == element:
                next_shared = shared.pop(0) if shared else None
    return out


def remove(value: Any, fields: FieldSet, node: Schema) -> Any:
    """``value`` without the members of ``fields``; a container that had something taken out stays, though empty."""
    if not fields:
        return value
    if isinstance(value, dict):
        if node.atomic:
            return None
        out: dict[str, Any] = {}
        for name, item in value.items():
            below = fields.get(f"f:{name}")
            if below is None:
                out[name] = item
            elif below and SELF not in below:
                out[name] = _remaining(item, remove(item, below, field_schema(node, name)))
        return out
    if isinstance(value, list):
        if node.keys is None:
            return None
        items: list[Any] = []
        schema = element_schema(node)
        for item in value:
            below = fields.get(item_element(item, node))
            if below is None:
                items.append(item)
            elif below and SELF not in below:
                items.append(_remaining(item, remove(item, below, schema)))
        return items
    return value


def _remaining(before: Any, after: Any) -> Any:
    if after is None and isinstance(before, dict | list):
        return type(before)()
    return after


def with_named_fields(fields: FieldSet, node: Schema) -> FieldSet:
    """The set in which every struct field on the way to a member is a member, too."""
    out: FieldSet = {}
    for element, below in fields.items():
        if element == SELF or not below:
            out[element] = below
            continue
        kind, _, name = element.partition(":")
        if kind == "f":
            child = node.properties.get(name)
            inner = with_named_fields(below, child or node.additional_properties or element_schema(node))
            out[element] = {SELF: {}, **inner} if child is not None else inner
        else:
            out[element] = with_named_fields(below, element_schema(node))
    return out


def schema_errors(value: Any, node: Schema, path: str = "") -> list[str]:
    """Why an applied configuration does not fit the schema, in the words of the merge library; empty when it does."""
    errors: list[str] = []
    _check(value, node, path, errors)
    return errors


def _check(value: Any, node: Schema, path: str, errors: list[str]) -> None:
    if value is None or (node.free_form and not node.properties):
        return
    if isinstance(value, dict):
        _check_map(value, node, path, errors)
    elif isinstance(value, list):
        _check_list(value, node, path, errors)
    else:
        problem = _scalar_problem(value, node)
        if problem:
            errors.append(f"{path}: {problem}" if path else problem)


def _check_map(value: dict[str, Any], node: Schema, path: str, errors: list[str]) -> None:
    if node.type not in ("object", "") or node.int_or_string or node.definition == _QUANTITY:
        errors.append(f"{path}: {_unexpected(node, value)}")
        return
    open_ended = node.keep or node.preserve_unknown
    for name, item in value.items():
        child = node.properties.get(name) or node.additional_properties
        if child is None:
            if not open_ended:
                errors.append(f"{path}.{name}: field not declared in schema")
                return
            continue
        _check(item, child, f"{path}.{name}", errors)


def _check_list(value: list[Any], node: Schema, path: str, errors: list[str]) -> None:
    if node.type not in ("array", ""):
        errors.append(f"{path}: {_unexpected(node, value)}")
        return
    seen: set[str] = set()
    schema = element_schema(node)
    for index, item in enumerate(value):
        element = f"i:{index}"
        if node.keys is not None:
            try:
                element = item_element(item, node)
            except UnkeyedItem as error:
                errors.append(f"{path}: element {index}: {error}")
                return
            if element in seen:
                errors.append(f"{path}: duplicate entries for key {element_text(element)}")
            seen.add(element)
        _check(item, schema, path + element_text(element), errors)


def _unexpected(node: Schema, value: Any) -> str:
    if node.type == "array":
        return f"expected list, got {_go(value)}"
    if node.type == "object":
        return f"expected map, got {_go(value)}"
    return _scalar_problem(value, node) or f"expected any scalar, got {_go(value)}"


def _scalar_problem(value: Any, node: Schema) -> str:
    if (
        node.int_or_string
        or node.definition == _QUANTITY
        or (node.type == "string" and node.format not in (None, "byte"))
    ):
        return f"expected any scalar, got {_go(value)}" if isinstance(value, dict | list) else ""
    if node.type in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"expected numeric (int or float), got {type_of(value)}"
    elif node.type == "boolean":
        if not isinstance(value, bool):
            return f"expected boolean, got {_go(value)}"
    elif node.type == "string":
        if not isinstance(value, str):
            return f"expected string, got &value.valueUnstructured{{Value:{_go(value)}}}"
    elif node.type == "object":
        return f"expected map, got {_go(value)}"
    elif node.type == "array":
        return f"expected list, got {_go(value)}"
    return ""


def _go(value: Any) -> str:
    text = text_of(value)
    return f"&{{{text}}}" if isinstance(value, dict | list) else text
