# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: JSON and YAML decoded, with the fields that appear twice.

Unknown fields are found by :func:`kubetwin.apiserver.schema.decode`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from kubetwin.apiserver.status import ApiError
from kubetwin.decoding import UNREADABLE
from kubetwin.gojson import syntax_error

Object = dict[str, Any]

_SUMMARY = 30


def decode_json(body: bytes, kind: str = "") -> tuple[Object, list[str]]:
    """(the object, paths of the fields that appear more than once). ``kind`` is what the resource expects, for the
    message. Raises ApiError 400."""
    try:
        value = msgspec.json.decode(body)
    except UNREADABLE as error:
        problem = syntax_error(body.decode("utf-8", "replace")) or str(error)
        raise _unrecognized(f"couldn't get version/kind; json parse error: {problem}", body, kind) from None
    if value is None:
        return {}, []  # an object without any field, to Go
    if not isinstance(value, dict):
        found = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
        text = (
            "couldn't get version/kind; json parse error: json: cannot unmarshal "
            f"{found} into Go value of type struct {{ APIVersion string "
            '"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        )
        raise _unrecognized(text, body, kind)
    # A compact document without a repeated field is as long as its own encoding: that settles most requests at once.
    if len(msgspec.json.encode(value)) == len(body.strip()):
        return value, []
    duplicates: list[str] = []
    return _resolved(json.loads(body, object_pairs_hook=_Pairs), "", duplicates), duplicates


class _Pairs(list[tuple[str, Any]]):
    """An object as the list of its fields, before repeated ones fall together."""


def _resolved(value: Any, path: str, duplicates: list[str]) -> Any:
    if isinstance(value, _Pairs):
        out: Object = {}
        for name, item in value:
            place = f"{path}.{name}" if path else name
            if name in out and place not in duplicates:
                duplicates.append(place)
            out[name] = _resolved(item, place, duplicates)
        return out
    if isinstance(value, list):
        return [_resolved(item, f"{path}[{index}]", duplicates) for index, item in enumerate(value)]
    return value


def decode_apply(body: bytes) -> tuple[Object, list[str]]:
    """As ``decode_yaml``, of the body of an apply patch. Raises ApiError 400."""
    try:
        value, repeated = _yaml_value(body)
    except _YamlProblem as problem:
        text = f"error decoding YAML: error converting YAML to JSON: {problem}"
        raise ApiError(400, "BadRequest", text) from None
    if value is None:
        return {}, repeated
    if not isinstance(value, _Pairs):
        found = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
        text = f"error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} "
        raise ApiError(400, "BadRequest", f"{text}into Go value of type map[string]interface {{}}")
    return _resolved(value, "", []), repeated


class _YamlProblem(Exception):
    pass


def _yaml_value(body: bytes) -> tuple[Any, list[str]]:
    loader = None
    try:
        loader = _Loader(body)
        loader.repeated = []
        return loader.get_single_data(), loader.repeated
    except yaml.YAMLError as error:
        raise _YamlProblem(f"yaml: {_yaml_problem(error)}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _YamlProblem(f"yaml: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


def decode_yaml(body: bytes, kind: str = "") -> tuple[Object, list[str]]:
    """(the object, a line for every key that its mapping has already) of a YAML document (JSON is one).

    Raises ApiError 400."""
    try:
        value, repeated = _yaml_value(body)
    except _YamlProblem as problem:
        raise _unrecognized(str(problem), body, kind) from None
    if not isinstance(value, _Pairs):
        raise _unrecognized("couldn't get version/kind; json parse error: unexpected end of JSON input", body, kind)
    return _resolved(value, "", []), repeated


def _yaml_problem(error: yaml.YAMLError) -> str:
    # The server's parser counts lines from 0 and does not name the first.
    line = 0
    problem_mark, context_mark = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if problem_mark is not None and problem_mark.line:
        line = problem_mark.line + isinstance(error, yaml.scanner.ScannerError)
    elif context_mark is not None:
        line = context_mark.line
    problem = getattr(error, "problem", None) or str(error)
    return f"line {line}: {problem}" if line else problem


def kind_missing(body: bytes, kind: str) -> ApiError:
    """The refusal of a custom resource that does not name its kind; built-in ones need not."""
    return _unrecognized(f"Object 'Kind' is missing in '{body.decode('utf-8', 'replace')}'", body, kind)


def _unrecognized(problem: str, body: bytes, kind: str) -> ApiError:
    return ApiError(
        400,
        "BadRequest",
        f"the object provided is unrecognized (must be of type {kind or 'object'}): {problem} ({_summary(body)})",
    )


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    tail = " ..." if len(body) > _SUMMARY else ""
    if body.startswith(b"{"):
        return body[:_SUMMARY].decode("utf-8", "replace") + tail
    return body[:_SUMMARY].hex() + tail


if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    # The C parser where there is one: faster, and its messages are those of the server's.
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """YAML as the server reads it: no dates, no base-60 numbers, every key a string, repeated keys kept and told."""

    repeated: list[str]


def _mapping(loader: _Loader, node: yaml.MappingNode) -> _Pairs:
    own = {id(key_node) for key_node, _ in node.value}  # what "<<" brings in may be set again
    loader.flatten_mapping(node)
    pairs = _Pairs()
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, bool):
            key = "true" if key else "false"
        elif not isinstance(key, str):
            if not isinstance(key, int | float):
                raise yaml.constructor.ConstructorError(None, None, "invalid map key", key_node.start_mark)
            key = str(key)
        pairs.append((key, loader.construct_object(value_node, deep=True)))
        if id(key_node) in own:
            if key in seen:
                loader.repeated.append(f'line {value_node.start_mark.line + 1}: key "{key}" already set in map')
            seen.add(key)
    return pairs


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    if digits.startswith("0o"):
        return sign * int(digits[2:], 8)
    if digits.startswith("0x"):
        return sign * int(digits, 16)
    if digits.startswith("0b"):
        return sign * int(digits, 2)
    if len(digits) > 1 and digits.startswith("0"):
        return sign * int(digits, 8)
    return sign * int(digits)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$", "yYnNtTfFoO"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("merge", r"^(?:<<)$", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _sequence)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
