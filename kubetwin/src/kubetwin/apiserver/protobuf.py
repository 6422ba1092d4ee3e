# SPDX-License-Identifier: Apache-2.0
"""Reading request bodies that Go clients send as protobuf.

Generated clients (kubectl and Helm among them) write built-in kinds in this encoding and do not fall back to JSON when
it is refused. Answers are always JSON, which those clients accept. Field numbers come from the data file that
``kubetwin/tools/generate_twin_protobuf.py`` writes.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import msgspec

MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1."
_GROUPS = {"apiextensions": _EXTENSIONS, "apiregistration": "k8s.io.kube_aggregator.pkg.apis.apiregistration.v1."}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Field = tuple[int, str, str, str]


class ProtobufError(ValueError):
    """A body that is no protobuf of the kind it says it is."""


@cache
def _messages() -> dict[str, list[Field]]:
    packed = resources.files(__package__).joinpath("protobuf.json.zlib").read_bytes()
    return msgspec.json.decode(zlib.decompress(packed), type=dict[str, list[Field]])


@cache
def _fields(message: str) -> dict[int, Field]:
    return {field[0]: field for field in _messages()[message]}


def message_name(api_version: str, kind: str) -> str | None:
    """The message of a built-in kind, None when there is none."""
    group, _, version = api_version.rpartition("/")
    short = group.partition(".")[0] or "core"
    name = _GROUPS.get(short, f"k8s.io.api.{short}.{version}.") + kind
    if name not in _messages():
        name = _META + kind
    return name if name in _messages() else None


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body (with the ``k8s\\0`` prefix), as its JSON would be; raises ProtobufError."""
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = _message(memoryview(body)[4:], "k8s.io.apimachinery.pkg.runtime.Unknown")
        api_version, kind = envelope.get("apiVersion", ""), envelope.get("kind", "")
        name = message_name(api_version, kind)
        if name is None:
            raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
        obj = _message(memoryview(base64.b64decode(envelope.get("-", ""))), name)
    except (IndexError, struct.error, UnicodeDecodeError, KeyError, msgspec.DecodeError, OverflowError) as error:
        raise ProtobufError(f"proto: malformed message: {error}") from None
    return {"kind": kind, "apiVersion": api_version, **obj}


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ProtobufError("proto: integer overflow")


def _parts(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) pairs: numbers as unsigned integers, everything else as bytes."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        match key & 7:
            case 0:
                value, at = _varint(data, at)
                yield key >> 3, value
            case 1:
                yield key >> 3, data[at : at + 8]
                at += 8
            case 2:
                length, at = _varint(data, at)
                if at + length > end:
                    raise ProtobufError("unexpected EOF")
                yield key >> 3, data[at : at + length]
                at += length
            case 5:
                yield key >> 3, data[at : at + 4]
                at += 4
            case other:
                raise ProtobufError(f"proto: illegal wireType {other}")


def _message(data: memoryview, name: str) -> dict[str, Any]:
    fields = _fields(name)
    out: dict[str, Any] = {}
    for number, raw in _parts(data):
        field = fields.get(number)
        if field is None:
            continue
        _, key, kind, shape = field
        if shape == "map":
            entry_key, entry_value = _map_entry(raw, kind)
            out.setdefault(key, {})[entry_key] = entry_value
            continue
        value = _value(raw, kind)
        if shape == "repeated":
            out.setdefault(key, []).append(value)
        elif not key:
            out.update(value)
        elif value is not None:
            out[key] = value
    return out


def _map_entry(raw: int | memoryview, kind: str) -> tuple[str, Any]:
    if isinstance(raw, int):
        raise ProtobufError("proto: wrong wireType for a map")
    key, value = "", _value(memoryview(b""), kind) if "." in kind else _ZERO[kind]
    for number, part in _parts(raw):
        if number == 1:
            key = str(_value(part, "string"))
        elif number == 2:
            value = _value(part, kind)
    return key, value


_ZERO: dict[str, Any] = {"string": "", "bytes": "", "bool": False, "int32": 0, "int64": 0, "double": 0.0}


def _value(raw: int | memoryview, kind: str) -> Any:
    if isinstance(raw, int):
        if kind == "bool":
            return raw != 0
        if kind not in ("int32", "int64"):
            raise ProtobufError(f"proto: wrong wireType for {kind}")
        return raw - (1 << 64) if raw >= 1 << 63 else raw
    if kind == "string":
        return str(raw, "utf-8")
    if kind == "bytes":
        return base64.b64encode(raw).decode()
    if kind == "double":
        return struct.unpack("<d", raw)[0]
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(_message(raw, kind))
    if kind in _WRAPPERS:
        return _message(raw, kind).get("items", [])
    return _message(raw, kind)


def _time(value: dict[str, Any]) -> str | None:
    if not value:
        return None
    return (_EPOCH + timedelta(seconds=value.get("seconds", 0))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(value: dict[str, Any]) -> str | None:
    if not value:
        return None
    moment = _EPOCH + timedelta(seconds=value.get("seconds", 0), microseconds=value.get("nanos", 0) // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _duration(value: dict[str, Any]) -> str:
    return f"{value.get('duration', 0) / 1e9:g}s"


def _int_or_string(value: dict[str, Any]) -> int | str:
    chosen: int | str = value.get("strVal", "") if value.get("type") else value.get("intVal", 0)
    return chosen


def _embedded_json(value: dict[str, Any]) -> Any:
    raw = value.get("-", value.get("raw", value.get("Raw", "")))
    return msgspec.json.decode(base64.b64decode(raw)) if raw else None


def _schema_or_array(value: dict[str, Any]) -> Any:
    return value["jSONSchemas"] if value.get("jSONSchemas") else value.get("schema")


def _schema_or_bool(value: dict[str, Any]) -> Any:
    return value["schema"] if "schema" in value else value.get("allows", False)


def _schema_or_strings(value: dict[str, Any]) -> Any:
    return value["property"] if value.get("property") else value.get("schema")


_SPECIAL: dict[str, Any] = {
    _META + "Time": _time,
    _META + "MicroTime": _micro_time,
    _META + "Duration": _duration,
    _META + "FieldsV1": _embedded_json,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _embedded_json,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": lambda value: value.get("string", ""),
    _EXTENSIONS + "JSON": _embedded_json,
    _EXTENSIONS + "JSONSchemaPropsOrArray": _schema_or_array,
    _EXTENSIONS + "JSONSchemaPropsOrBool": _schema_or_bool,
    _EXTENSIONS + "JSONSchemaPropsOrStringArray": _schema_or_strings,
}
_WRAPPERS = frozenset(
    (
        "k8s.io.api.authentication.v1.ExtraValue",
        "k8s.io.api.authorization.v1.ExtraValue",
        "k8s.io.api.certificates.v1.ExtraValue",
        _META + "Verbs",
    )
)
