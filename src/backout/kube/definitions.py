# SPDX-License-Identifier: Apache-2.0
"""Definitions of custom kinds: the schema of a version. Pure but for what reads one from a cluster.

Facts: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions (versions, structural schemas).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied, NotFoundError, ServerError

CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)


async def definition_of(reader: ClusterReader, api_version: str, kind: str) -> Object | None:
    """The definition of a custom kind; None where there is none, or it may not be read."""
    try:
        resource = await reader.resource(api_version, kind)
        return await reader.get(CRDS, f"{resource.plural}.{resource.group}")
    except (NotFoundError, AccessDenied, ServerError):
        return None


async def schema_of(reader: ClusterReader, obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of a custom resource's version; None where it is not known."""
    api_version = str(obj.get("apiVersion") or "")
    definition = await definition_of(reader, api_version, str(obj.get("kind") or ""))
    return schema_in(definition, api_version.partition("/")[2]) if definition is not None else None


def schema_in(definition: Mapping[str, Any], version: str) -> dict[str, Any] | None:
    """The schema that a definition has for one of its versions."""
    for one in (definition.get("spec") or {}).get("versions") or ():
        if one.get("name") == version:
            found = (one.get("schema") or {}).get("openAPIV3Schema")
            return dict(found) if isinstance(found, Mapping) else None
    return None


class DefinitionGap(msgspec.Struct, frozen=True, kw_only=True):
    """How a live definition differs from one that a chart brings.

    ``live``, ``wanted``: what they call themselves, where they do. ``lacks``: fields that the live one has not, and so prunes;
    ``more``: fields that it has beyond. ``unserved``: versions of the chart's that are not served; ``stored``: versions in
    which objects are stored and that the chart's definition does not know.
    """

    name: str
    missing: bool = False
    live: str = ""
    wanted: str = ""
    lacks: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()


def compare_definitions(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> DefinitionGap | None:
    """What differs in versions, schema and what they call themselves; None where nothing does. Words of a schema do not count."""
    name = str((wanted.get("metadata") or {}).get("name") or "")
    if live is None:
        return DefinitionGap(name=name, missing=True, wanted=_called(wanted))
    here, there = _versions(live), _versions(wanted)
    lacks: dict[str, None] = {}
    more: dict[str, None] = {}
    for version in here.keys() & there.keys():
        mine, theirs = _fields(schema_in(live, version)), _fields(schema_in(wanted, version))
        lacks |= dict.fromkeys(sorted(path for path, kind in theirs.items() if mine.get(path) != kind))
        more |= dict.fromkeys(sorted(mine.keys() - theirs.keys()))
    served = {version for version, one in here.items() if one.get("served")}
    gap = DefinitionGap(
        name=name,
        live=_called(live),
        wanted=_called(wanted),
        lacks=tuple(lacks),
        more=tuple(more),
        unserved=tuple(sorted({version for version, one in there.items() if one.get("served")} - served)),
        stored=tuple(
            version for version in (live.get("status") or {}).get("storedVersions") or () if version not in there
        ),
    )
    return gap if gap.live != gap.wanted or gap.lacks or gap.more or gap.unserved or gap.stored else None


def _versions(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(one.get("name")): one for one in (definition.get("spec") or {}).get("versions") or ()}


def _called(definition: Mapping[str, Any]) -> str:
    """The version of the project that it is of, by the notes that projects put on it."""
    meta = definition.get("metadata") or {}
    notes = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    own = [str(v) for k, v in sorted(notes.items()) if k.endswith("/version") and "controller-gen" not in k]
    return own[0] if own else ""


def _fields(schema: Mapping[str, Any] | None, path: str = "") -> dict[str, str]:
    """Every field of a schema with its type."""
    found: dict[str, str] = {}
    if not isinstance(schema, Mapping):
        return found
    if path:
        found[path] = str(schema.get("type") or "")
    for name, inner in (schema.get("properties") or {}).items():
        found |= _fields(inner, f"{path}.{name}" if path else str(name))
    found |= _fields(schema.get("items"), f"{path}[]") if isinstance(schema.get("items"), Mapping) else {}
    more = schema.get("additionalProperties")
    return found | (_fields(more, f"{path}.*") if isinstance(more, Mapping) else {})
