# SPDX-License-Identifier: Apache-2.0
"""Discovery: /api, /apis and below, plain and aggregated. Documents are built once for each registry generation."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from kubetwin.apiserver import encode
from kubetwin.apiserver.negotiate import accept
from kubetwin.apiserver.resources import Registry, ResourceType, Subresource, version_priority
from kubetwin.serving.http import Request, Response

_encode = msgspec.json.Encoder().encode
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Discovery:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._documents: dict[str, bytes] = {}
        self._etags: dict[str, str] = {}

    def answer(self, request: Request, address: str) -> Response | None:
        """The document at the request's path; None for groups and versions not served."""
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._documents = self._build(address)
            self._etags = {
                path: '"' + hashlib.sha512(body).hexdigest().upper() + '"'
                for path, body in self._documents.items()
                if path.startswith("aggregated:")
            }
        path = request.path.rstrip("/")
        media = accept(request.headers.get("accept", ""), ("APIGroupDiscoveryList",))
        if media.target and path in ("/api", "/apis") and media.version == "v2":
            return self._aggregated(request, "aggregated:" + path)
        body = self._documents.get(path)
        if body is None:
            return None
        return encode.render(body, media)

    def _aggregated(self, request: Request, key: str) -> Response:
        etag = self._etags[key]
        headers = {"Content-Type": AGGREGATED, "ETag": etag, "Vary": "Accept", "Cache-Control": "public"}
        if request.headers.get("if-none-match") == etag:
            return Response(304, headers, b"")
        return Response(200, headers, self._documents[key] + b"\n")

    def _build(self, address: str) -> dict[str, bytes]:
        groups: dict[str, dict[str, list[ResourceType]]] = {}
        for resource_type in self._registry:
            groups.setdefault(resource_type.group, {}).setdefault(resource_type.version, []).append(resource_type)
        documents = {
            "/api": _encode(
                {
                    "kind": "APIVersions",
                    "versions": ["v1"],
                    "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
                }
            )
        }
        listed = []
        aggregated: dict[str, list[dict[str, Any]]] = {"/api": [], "/apis": []}
        for group, versions in groups.items():
            ordered = sorted(versions, key=version_priority)
            for version in ordered:
                base = f"/apis/{group}/{version}" if group else f"/api/{version}"
                documents[base] = _encode(_resource_list(group, version, versions[version]))
            aggregated["/apis" if group else "/api"].append(_aggregate(group, ordered, versions))
            if group:
                entry = _group(group, ordered)
                listed.append(entry)
                documents[f"/apis/{group}"] = _encode({"kind": "APIGroup", "apiVersion": "v1", **entry})
        documents["/apis"] = _encode({"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
        for path, items in aggregated.items():
            documents["aggregated:" + path] = _encode(
                {
                    "kind": "APIGroupDiscoveryList",
                    "apiVersion": "apidiscovery.k8s.io/v2",
                    "metadata": {},
                    "items": items,
                }
            )
        return documents


def _group(group: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _ordered(item: ResourceType) -> list[Subresource]:
    """The subresources in the order in which a server lists them."""
    listed = list(item.subresources.values())
    return listed if item.crd_version is not None else sorted(listed, key=lambda s: s.name)


def _storage_hash(item: ResourceType) -> str:
    """Tells clients that two resources are one in storage. Source: apiserver's ``discovery.StorageVersionHash``."""
    text = f"{item.storage_group}/{item.storage_version}/{item.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _resource_list(group: str, version: str, types: list[ResourceType]) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for item in sorted(types, key=lambda t: t.resource):
        entry: dict[str, Any] = {
            "name": item.resource,
            "singularName": item.singular,
            "namespaced": item.namespaced,
            "kind": item.kind,
            "verbs": list(item.verbs),
        }
        if item.short_names:
            entry["shortNames"] = list(item.short_names)
        if item.categories:
            entry["categories"] = list(item.categories)
        if "get" in item.verbs and "create" in item.verbs:
            entry["storageVersionHash"] = _storage_hash(item)
        resources.append(entry)
        for sub in _ordered(item):
            extra = {"group": sub.group, "version": sub.version} if sub.foreign else {}
            resources.append(
                {
                    "name": f"{item.resource}/{sub.name}",
                    "singularName": "",
                    "namespaced": item.namespaced,
                    **extra,
                    "kind": sub.kind,
                    "verbs": list(sub.verbs),
                }
            )
    out: dict[str, Any] = {"kind": "APIResourceList"}
    if group:
        out["apiVersion"] = "v1"
    out["groupVersion"] = f"{group}/{version}" if group else version
    out["resources"] = resources
    return out


def _aggregate(group: str, ordered: list[str], versions: dict[str, list[ResourceType]]) -> dict[str, Any]:
    listed = []
    for version in ordered:
        resources = []
        for item in sorted(versions[version], key=lambda t: t.resource):
            kind = {"group": "", "version": "", "kind": item.kind}
            if item.crd_version is not None:
                kind = {"group": group, "version": version, "kind": item.kind}
            entry: dict[str, Any] = {
                "resource": item.resource,
                "responseKind": kind,
                "scope": "Namespaced" if item.namespaced else "Cluster",
                "singularResource": item.singular,
                "verbs": list(item.verbs),
            }
            if item.short_names:
                entry["shortNames"] = list(item.short_names)
            if item.categories:
                entry["categories"] = list(item.categories)
            if item.subresources:
                entry["subresources"] = [
                    {
                        "subresource": sub.name,
                        "responseKind": {
                            "group": sub.group if sub.foreign else kind["group"],
                            "version": sub.version if sub.foreign else kind["version"],
                            "kind": sub.kind,
                        },
                        "verbs": list(sub.verbs),
                    }
                    for sub in _ordered(item)
                ]
            resources.append(entry)
        listed.append({"version": version, "resources": resources, "freshness": "Current"})
    return {"metadata": {"name": group} if group else {}, "versions": listed}
