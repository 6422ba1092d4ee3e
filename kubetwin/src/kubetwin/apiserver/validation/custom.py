# SPDX-License-Identifier: Apache-2.0
"""Validation of custom resources against the schema of their definition.

Of the rules in CEL (``x-kubernetes-validations``) only ``self == oldSelf`` is evaluated.
Wording: kube-openapi's pkg/validation and apiextensions-apiserver's pkg/apiserver/validation."""

from __future__ import annotations

import re
import weakref
from functools import lru_cache
from typing import Any

from kubetwin.apiserver.schema import Schema
from kubetwin.apiserver.validation.errors import Errors, shown

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_IMMUTABLE_RULES = ("self==oldSelf", "oldSelf==self")


def resource(errors: Errors, obj: dict[str, Any], old: dict[str, Any] | None, schema: Schema) -> None:
    """A custom resource, new or changed; its metadata is checked elsewhere."""
    before = len(errors.causes)
    _schema(errors, obj, schema)
    if not _has_rules(schema):
        return
    if len(errors.causes) > before:
        errors.invalid("<nil>", None, _UNCHECKED)
    elif old is not None:
        _unchanged(errors, obj, old, schema, "")


def _has_rules(schema: Schema) -> bool:
    """Whether the schema has rules anywhere."""
    known = _RULED.get(schema)
    if known is None:
        known = _RULED[schema] = _mentions_rules(schema.raw)
    return known


# Schemas of custom resources come and go with their definitions; an entry must not keep one alive.
_RULED: weakref.WeakKeyDictionary[Schema, bool] = weakref.WeakKeyDictionary()


def _mentions_rules(raw: Any) -> bool:
    if isinstance(raw, dict):
        return "x-kubernetes-validations" in raw or any(_mentions_rules(value) for value in raw.values())
    return isinstance(raw, list) and any(_mentions_rules(item) for item in raw)


def _unchanged(errors: Errors, new: Any, old: Any, node: Schema, path: str) -> None:
    """The one rule in CEL that is evaluated: a value that may not change."""
    for rule in node.raw.get("x-kubernetes-validations") or ():
        if rule.get("rule", "").replace(" ", "") in _IMMUTABLE_RULES and new != old:
            errors.invalid(path, new, rule.get("message") or f"failed rule: {rule['rule']}")
    if isinstance(new, dict) and isinstance(old, dict):
        for name, child in node.properties.items():
            if name in new and name in old and not child.definition:
                _unchanged(errors, new[name], old[name], child, f"{path}.{name}" if path else name)


def _schema(errors: Errors, obj: dict[str, Any], schema: Schema) -> None:
    for name in schema.required:
        if obj.get(name) is None and name not in ("apiVersion", "kind", "metadata"):
            errors.required(name)
    for name, child in schema.properties.items():
        if name not in ("apiVersion", "kind", "metadata") and name in obj:
            _value(errors, obj[name], child, name)
    _combined(errors, obj, schema, "")


def _value(errors: Errors, value: Any, node: Schema, path: str) -> None:
    if value is None and node.nullable:
        return
    if not _fits(value, node):
        kind = "integer,string" if node.int_or_string else node.type
        wrong = "null" if value is None else _type_of(value)
        errors.type_invalid(path, wrong, f"{path} in body must be of type {kind}: {shown(wrong)}")
        return
    raw = node.raw
    if isinstance(value, dict):
        _object(errors, value, node, path)
    elif isinstance(value, list):
        _array(errors, value, node, path)
    elif isinstance(value, str):
        _string(errors, value, raw, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _number(errors, value, raw, path)
    choices = node.enum
    if choices is not None and value not in choices:
        errors.not_supported(path, value, [str(choice) for choice in choices])
    _combined(errors, value, node, path)


def _fits(value: Any, node: Schema) -> bool:
    if node.int_or_string:
        return isinstance(value, str | int) and not isinstance(value, bool)
    wanted = _TYPES.get(node.type)
    if wanted is None:
        return True
    if isinstance(value, bool):
        return node.type == "boolean"
    if node.type == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, wanted)


def _type_of(value: Any) -> str:
    for name, kind in (("boolean", bool), ("object", dict), ("array", list), ("string", str), ("integer", int)):
        if isinstance(value, kind):
            return name
    return "number"


def _object(errors: Errors, value: dict[str, Any], node: Schema, path: str) -> None:
    raw = node.raw
    for name in node.required:
        if name not in value:
            errors.required(f"{path}.{name}")
    for name, item in value.items():
        child = node.properties.get(name)
        if child is not None:
            _value(errors, item, child, f"{path}.{name}")
        elif node.additional_properties is not None:
            _value(errors, item, node.additional_properties, f"{path}.{name}")
    low, high = raw.get("minProperties"), raw.get("maxProperties")
    if high is not None and len(value) > high:
        errors.too_many(path, len(value), high)
    if low is not None and len(value) < low:
        errors.invalid(path, value, f"{path} in body should have at least {low} properties")


def _array(errors: Errors, value: list[Any], node: Schema, path: str) -> None:
    raw = node.raw
    low, high = raw.get("minItems"), raw.get("maxItems")
    if node.items is not None:
        for index, item in enumerate(value):
            _value(errors, item, node.items, f"{path}[{index}]")
    if low is not None and len(value) < low:
        errors.invalid(path, len(value), f"{path} in body should have at least {low} items")
    if high is not None and len(value) > high:
        errors.too_many(path, len(value), high)
    if node.list_type in ("set", "map"):
        seen: list[Any] = []
        for index, item in enumerate(value):
            key = item
            if node.list_type == "map" and isinstance(item, dict):
                key = {name: item[name] for name in node.list_map_keys if name in item}
            if key in seen:
                errors.duplicate(f"{path}[{index}]", key)
            seen.append(key)


def _string(errors: Errors, value: str, raw: dict[str, Any], path: str) -> None:
    low, high, pattern = raw.get("minLength"), raw.get("maxLength"), raw.get("pattern")
    if high is not None and len(value) > high:
        errors.too_long(path, high)
    elif low is not None and len(value) < low:
        errors.invalid(path, value, f"{path} in body should be at least {low} chars long")
    elif pattern is not None and not _pattern(pattern).search(value):
        errors.invalid(path, value, f"{path} in body should match '{pattern}'")


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error:
        # Forms of RE2 that Python does not know accept everything rather than refuse what may be right.
        return re.compile("")


def _number(errors: Errors, value: float, raw: dict[str, Any], path: str) -> None:
    low, high, step = raw.get("minimum"), raw.get("maximum"), raw.get("multipleOf")
    if low is not None and (value <= low if raw.get("exclusiveMinimum") else value < low):
        word = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        errors.invalid(path, value, f"{path} in body should be {word} {low}")
    if high is not None and (value >= high if raw.get("exclusiveMaximum") else value > high):
        word = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        errors.invalid(path, value, f"{path} in body should be {word} {high}")
    if step and value % step:
        errors.invalid(path, value, f"{path} in body should be a multiple of {step}")


def _combined(errors: Errors, value: Any, node: Schema, path: str) -> None:
    """``allOf``, ``anyOf``, ``oneOf`` and ``not``."""
    place = path or "<nil>"
    for part in node.raw.get("allOf") or ():
        if "$ref" not in part:
            _value(errors, value, Schema(part, node.resolver), path)
    options = node.raw.get("anyOf")
    if options and not node.int_or_string and not any(_passes(value, part, node) for part in options):
        errors.invalid(place, "", f"{place} in body must validate at least one schema (anyOf)")
    exclusive = node.raw.get("oneOf")
    if exclusive and not node.int_or_string and sum(_passes(value, part, node) for part in exclusive) != 1:
        errors.invalid(place, "", f"{place} in body must validate one and only one schema (oneOf)")
    refused = node.raw.get("not")
    if refused and _passes(value, refused, node):
        errors.invalid(place, "", f"{place} in body must not validate the schema (not)")


def _passes(value: Any, raw: dict[str, Any], node: Schema) -> bool:
    found = Errors()
    part = Schema(raw, node.resolver)
    _value(found, value, part, "x")
    if "required" in raw and isinstance(value, dict):
        return not found and all(name in value for name in raw["required"])
    return not found
