# SPDX-License-Identifier: Apache-2.0
"""How names are spelt outside: camelCase in every document, whatever the code calls the field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

HEAD = ("apiVersion", "kind")
"""What says which document it is: never left out."""


def camel(name: str) -> str:
    """``taken_at`` → ``takenAt``; what has no underscore stays."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def written(value: msgspec.Struct) -> dict[str, Any]:
    """A struct as JSON and YAML have it: names of fields in camelCase; keys of mappings are data, and stay.

    What is left out is what msgspec leaves out, so that a hash over the struct that `read` gives is the same. What no
    type describes is written as it is.
    """
    plain = _write(value, _info(type(value)))
    assert isinstance(plain, dict)
    return plain


def _write(value: Any, info: inspect.Type) -> Any:
    if isinstance(value, msgspec.Struct) and not isinstance(info, inspect.AnyType):
        return _struct(value)
    if isinstance(info, inspect.UnionType):
        info = next((one for one in info.types if _holds(value, one)), info)
    if isinstance(value, Mapping) and isinstance(info, inspect.DictType):
        return {str(key): _write(item, info.value_type) for key, item in value.items()}
    if isinstance(info, inspect.ListType | inspect.VarTupleType | inspect.SetType | inspect.FrozenSetType):
        return [_write(item, info.item_type) for item in value]
    return msgspec.to_builtins(value)


def _holds(value: Any, info: inspect.Type) -> bool:
    if isinstance(value, Mapping):
        return isinstance(info, inspect.DictType)
    return isinstance(value, list | tuple) and isinstance(info, inspect.ListType | inspect.VarTupleType)


def _struct(value: msgspec.Struct) -> dict[str, Any]:
    config = value.__struct_config__
    found: dict[str, Any] = {config.tag_field: config.tag} if config.tag_field else {}
    for field, name, info in _fields(type(value)):
        item = getattr(value, field.name)
        if item is msgspec.UNSET or (config.omit_defaults and field.name not in HEAD and _left_out(field, item)):
            continue
        found[name] = _write(item, info)
    return found


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[msgspec.structs.FieldInfo, str, inspect.Type], ...]:
    """The fields in the order in which they are written, each with its name outside and its type: to look at a class again for
    each of its values would take most of the time."""
    info = _info(kind)
    assert isinstance(info, inspect.StructType)
    types = {field.name: field.type for field in info.fields}
    ordered = sorted(msgspec.structs.fields(kind), key=lambda field: field.name not in HEAD)
    return tuple((field, camel(field.encode_name), types[field.name]) for field in ordered)


def _left_out(field: msgspec.structs.FieldInfo, item: Any) -> bool:
    """What msgspec leaves out of a struct with ``omit_defaults``: the very default, or an empty container."""
    if field.default is not msgspec.NODEFAULT:
        return item is field.default
    factory = field.default_factory
    return factory in (list, dict, set) and type(item) is factory and not item


def read(document: Any, kind: Any) -> Any:
    """What `written` gave, as plain data that `msgspec.convert` takes for ``kind``; unknown names stay as they are."""
    return _read(document, _info(kind))


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _read(value: Any, info: inspect.Type) -> Any:
    if isinstance(info, inspect.UnionType):
        chosen = next((one for one in info.types if _fits(value, one)), None)
        return value if chosen is None else _read(value, chosen)
    if isinstance(info, inspect.StructType) and isinstance(value, dict):
        fields = {camel(field.encode_name): field for field in info.fields}
        return {
            (fields[key].encode_name if key in fields else key): (
                _read(item, fields[key].type) if key in fields else item
            )
            for key, item in value.items()
        }
    if isinstance(info, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        return [_read(item, info.item_type) for item in value]
    if isinstance(info, inspect.DictType) and isinstance(value, dict):
        return {key: _read(item, info.value_type) for key, item in value.items()}
    return value


def _fits(value: Any, info: inspect.Type) -> bool:
    if isinstance(value, dict):
        if isinstance(info, inspect.StructType):
            return info.tag is None or value.get(str(info.tag_field)) == info.tag
        return isinstance(info, inspect.DictType)
    return isinstance(value, list) and isinstance(info, inspect.ListType | inspect.VarTupleType)
