# SPDX-License-Identifier: Apache-2.0
"""Definitions of custom kinds: the schema of a version. Pure but for what reads one from a cluster.

Facts: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions (versions, structural schemas).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
