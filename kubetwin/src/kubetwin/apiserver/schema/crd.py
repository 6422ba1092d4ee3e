# SPDX-License-Identifier: Apache-2.0
"""Schemas of custom resources: the ``openAPIV3Schema`` of a CustomResourceDefinition's version."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.schema.builtin import OBJECT_META, definition
from kubetwin.apiserver.schema.node import Schema

_TYPE_META = {
    field: {"type": "string", "description": text}
    for field, text in (
        (
            "apiVersion",
            "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
            "recognized schemas to the latest internal value, and may reject unrecognized values. More info: "
            "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        ),
        (
            "kind",
            "Kind is a string value representing the REST resource this object represents. Servers may infer this "
            "from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
            "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        ),
    )
}
_METADATA = {
    "$ref": f"#/definitions/{OBJECT_META}",
    "description": "Standard object's metadata. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
}


def with_metadata(openapi_v3_schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as it is served: apiVersion, kind and metadata are the server's own, whatever it says there."""
    properties = {**openapi_v3_schema.get("properties", {}), **_TYPE_META, "metadata": _METADATA}
    return {**openapi_v3_schema, "type": "object", "properties": properties}


def from_crd(openapi_v3_schema: dict[str, Any]) -> Schema:
    """The schema of a custom resource."""
    return Schema(with_metadata(openapi_v3_schema), definition)


def object_meta() -> Schema:
    """The schema of ``metadata``."""
    return definition(OBJECT_META)


def metadata_only() -> Schema:
    """The schema of a custom resource without a schema: metadata is known, everything else is kept as it is."""
    return from_crd({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
