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
from backout.kube.projections import Projection

_MUTE = ("istio.io", "cilium.io")
"""Groups whose controllers write a status only where they were told so (istio.io/latest/docs/reference/commands/pilot-discovery,
PILOT_ENABLE_STATUS; docs.cilium.io/en/stable/security/policy: status of CiliumNetworkPolicies)."""
_TELLING = frozenset(
    {"conditions", "observedGeneration", "phase", "state", "health", "ready", "replicas", "readyReplicas"}
)
"""Fields of a status in which an operator says how the resource is. Others are notes for tools, such as the ``bindings`` of
prometheus-operator's configuration kinds, which it leaves out by default."""
CRDS = Resource("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)


class _Something(Projection, frozen=True):
    """Of which only the name counts."""


class _Column(Projection, frozen=True):
    json_path: str = ""


class _Status(Projection, frozen=True):
    properties: dict[str, _Something] | None = None


class _Top(Projection, frozen=True):
    status: _Status | None = None


class _Root(Projection, frozen=True):
    properties: _Top | None = None


class _Schema(Projection, frozen=True, rename={"root": "openAPIV3Schema"}):
    root: _Root | None = None


class _Version(Projection, frozen=True):
    name: str = ""
    subresources: dict[str, _Something] | None = None
    additional_printer_columns: tuple[_Column, ...] = ()
    schema: _Schema | None = None


class _Spec(Projection, frozen=True):
    group: str = ""
    versions: tuple[_Version, ...] = ()


class Answering(Projection, frozen=True):
    """Of a definition, what tells whether somebody is to say in its resources' status how they are."""

    spec: _Spec = _Spec()

    def answers(self, version: str) -> bool:
        """True where it has a status subresource, and its columns or its schema have a word of how the resource is, or no schema
        says what there is. Kinds that only configure something have none, and nobody answers them."""
        found = next((one for one in self.spec.versions if one.name == version), None)
        if found is None or "status" not in (found.subresources or {}):
            return False
        if any(self.spec.group == group or self.spec.group.endswith(f".{group}") for group in _MUTE):
            return False
        if any(column.json_path.startswith(".status") for column in found.additional_printer_columns):
            return True
        top = found.schema.root.properties if found.schema is not None and found.schema.root is not None else None
        fields = top.status.properties if top is not None and top.status is not None else None
        return fields is None or bool(_TELLING & fields.keys())


async def answers(reader: ClusterReader, resource: Resource) -> bool | None:
    """Whether somebody is to say in the status of such a resource how it is; None where its definition may not be read."""
    try:
        found = await reader.get_as(Answering, CRDS, f"{resource.plural}.{resource.group}")
    except NotFoundError:
        # Served by an API server of its own, which keeps no definition.
        return False
    except (AccessDenied, ServerError):
        return None
    return found.answers(resource.api_version.partition("/")[2])


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
