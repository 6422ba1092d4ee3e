# SPDX-License-Identifier: Apache-2.0
"""The built-in types, from the data file that ``kubetwin/tools/generate_twin_schema.py`` writes.

The file is unpacked on first use and every definition is parsed when it is first asked for."""

from __future__ import annotations

import zlib
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from kubetwin.apiserver.schema.node import Schema

DATA_FILE = "kubernetes.json.zlib"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
KIND_MARK = "x-kubernetes-group-version-kind"


class Facts(msgspec.Struct, frozen=True):
    """What the published schema leaves out, by definition and field: see the generator."""

    dropped: dict[str, list[str]]
    written: dict[str, dict[str, Any]]
    defaults: dict[str, dict[str, Any]]
    enums: dict[str, dict[str, list[str]]]


class Data(msgspec.Struct, frozen=True):
    """The data file."""

    source: dict[str, str]
    kinds: dict[str, str]
    definitions: dict[str, msgspec.Raw]
    facts: Facts


@cache
def data() -> Data:
    """The data file, unpacked; the definitions are still JSON text."""
    packed = resources.files(__package__).joinpath(DATA_FILE).read_bytes()
    return msgspec.json.decode(zlib.decompress(packed), type=Data)


@cache
def raw_definition(name: str) -> dict[str, Any]:
    """One definition as OpenAPI has it, with defaults and enumerations added. Read only. KeyError when unknown."""
    loaded = data()
    raw: dict[str, Any] = msgspec.json.decode(loaded.definitions[name])
    properties = raw.get("properties", {})
    for field, value in loaded.facts.defaults.get(name, {}).items():
        properties[field]["default"] = value
    for field, values in loaded.facts.enums.get(name, {}).items():
        properties[field].setdefault("enum", values)
    return raw


@cache
def definition(name: str) -> Schema:
    """The schema of one definition, ``io.k8s.api.apps.v1.Deployment``. KeyError when unknown."""
    facts = data().facts
    raw = raw_definition(name)
    if name in facts.dropped or name in facts.written:
        dropped = set(facts.dropped.get(name, ()))
        if name == OBJECT_META:
            # An empty list there is a request: stop tracking this object's fields.
            dropped.discard("managedFields")
        raw = {**raw, "x-dropped": dropped, "x-written": facts.written.get(name, {})}
    return Schema(raw, definition, name)


def definition_name(api_version: str, kind: str) -> str | None:
    """The definition's name of a kind; None when there is no such built-in kind."""
    return data().kinds.get(f"{api_version}/{kind}")


@cache
def for_kind(api_version: str, kind: str) -> Schema | None:
    """The schema of a built-in kind: ``for_kind("apps/v1", "Deployment")``; None when there is none."""
    name = definition_name(api_version, kind)
    return None if name is None else definition(name)


def kubernetes_version() -> str:
    """The version whose types these are, ``1.37.0``."""
    return data().source["kubernetes"]
