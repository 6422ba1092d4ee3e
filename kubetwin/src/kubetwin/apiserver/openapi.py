# SPDX-License-Identifier: Apache-2.0
"""The server's OpenAPI documents: ``/openapi/v2``, the index ``/openapi/v3`` and one document for each API version.

Documents are built when they are first asked for. Those of the built-in kinds are the same for every cluster of the
process; an address in the index carries the hash of the document, which may then be kept forever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from kubetwin.apiserver import openapi_models as models
from kubetwin.apiserver.openapi_paths import Paths, built_in_name, second
from kubetwin.apiserver.resources import Registry, ResourceType, builtin_types
from kubetwin.apiserver.schema import builtin
from kubetwin.apiserver.status import not_acceptable, path_not_found
from kubetwin.serving.http import Request, Response

_encode = msgspec.json.Encoder().encode
_SECURITY = {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2"
_V2_ACCEPTED = ("application/json", "*/*", "application/*")

GroupVersion = tuple[str, str]


class OpenApi:
    """The documents of one cluster."""

    def __init__(self, registry: Registry, git_version: str) -> None:
        """``git_version`` is shown as the documents' version, ``v1.36.2``."""
        self._registry = registry
        self._version = ".".join(git_version.removeprefix("v").split(".")[:2])
        self._generation = -1
        self._versions: dict[GroupVersion, list[ResourceType]] = {}
        self._documents: dict[str, bytes] = {}
        self._hashes: dict[GroupVersion, str] = {}

    def answer(self, request: Request) -> Response:
        """The document at the request's path. Raises ApiError 404, and 406 for a v2 document in an unknown form."""
        self._refresh()
        path = request.path.strip("/")
        if path == "openapi/v2":
            return self._second(request)
        if path == "openapi/v3":
            return _json(self._index(), {"Cache-Control": "no-cache, private"})
        for (group, version), digest in self._hashes.items():
            if path == f"openapi/v3/{_address(group, version)}":
                if request.headers.get("if-none-match", "").strip('"') == digest:
                    return Response(304, {"ETag": f'"{digest}"'}, b"")
                asked = request.param("hash")
                keep = "public, immutable" if asked == digest else "no-cache, private"
                headers = {"Cache-Control": keep, "ETag": f'"{digest}"', "Vary": "Accept"}
                return _json(self.third(group, version), headers)
        raise path_not_found()

    def third(self, group: str, version: str) -> bytes:
        """The v3 document of an API version. KeyError when it is not served."""
        self._refresh()
        types = self._versions[group, version]
        if all(resource.crd_version is None for resource in types):
            return _built_in_third(group, version, self._version)
        key = f"v3:{group}/{version}"
        if key not in self._documents:
            self._documents[key] = _third(group, version, types, self._version)
        return self._documents[key]

    def second(self) -> bytes:
        """The v2 document of everything."""
        self._refresh()
        if not any(resource.crd_version is not None for resource in self._registry):
            return _built_in_second(self._version)
        if "v2" not in self._documents:
            self._documents["v2"] = _second(self._versions, self._version)
        return self._documents["v2"]

    def _refresh(self) -> None:
        if self._generation == self._registry.generation:
            return
        self._generation = self._registry.generation
        self._documents = {}
        self._versions = _by_version(self._registry)
        self._hashes = {key: _digest(key, types) for key, types in self._versions.items()}

    def _index(self) -> bytes:
        if "index" not in self._documents:
            addresses = {
                _address(group, version): {"serverRelativeURL": f"/openapi/v3/{_address(group, version)}?hash={digest}"}
                for (group, version), digest in sorted(self._hashes.items(), key=lambda item: _address(*item[0]))
            }
            self._documents["index"] = _encode({"paths": addresses})
        return self._documents["index"]

    def _second(self, request: Request) -> Response:
        accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
        if accepted[0].startswith(_V2_PROTOBUF):
            headers = {"Content-Type": f"{_V2_PROTOBUF}.v1.0+protobuf", "Cache-Control": "no-cache, private"}
            return Response(200, headers, _empty_second(self._version))
        if accepted != [""] and not any(kind in _V2_ACCEPTED for kind in accepted):
            raise not_acceptable(["application/json"])
        return _json(self.second(), {"Cache-Control": "no-cache, private", "Vary": "Accept"})


def _empty_second(version: str) -> bytes:
    """A v2 document in protobuf (gnostic's `openapi.v2.Document`) without paths and definitions.

    kubectl and helm ask for this form only, for a kind that no v3 document has: from a document without it they
    learn that the kind is unknown, where a refusal would make them fail with another error.
    """
    info = _field(1, b"Kubernetes") + _field(2, version.encode())
    return _field(1, b"2.0") + _field(2, info)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field of fewer than 128 bytes."""
    return bytes((number << 3 | 2, len(content))) + content


def _json(body: bytes, headers: dict[str, str]) -> Response:
    return Response(200, {"Content-Type": "application/json", **headers}, body, fixed=True)


def _address(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _by_version(types: Iterable[ResourceType]) -> dict[GroupVersion, list[ResourceType]]:
    versions: dict[GroupVersion, list[ResourceType]] = {}
    for resource in types:
        versions.setdefault((resource.group, resource.version), []).append(resource)
    return versions


def _digest(key: GroupVersion, types: list[ResourceType]) -> str:
    """A hash that changes with whatever the document is made of."""
    custom = [[r.resource, r.kind, r.namespaced, sorted(r.subresources), r.crd_version] for r in types if r.crd_version]
    made_of = [key, builtin.data().source, [r.resource for r in types], custom]
    return hashlib.sha512(_encode(made_of)).hexdigest().upper()


def _custom_models(types: Iterable[ResourceType]) -> dict[str, models.Model]:
    out: dict[str, models.Model] = {}
    for resource in types:
        if resource.crd_version is not None:
            schema = (resource.crd_version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
            out |= models.custom_models(resource.group, resource.version, resource.kind, resource.list_kind, schema)
    return out


def _paths(group: str, version: str, types: list[ResourceType], custom: dict[str, models.Model]) -> Paths:
    def name_of(api_version: str, kind: str) -> str:
        of_group, _, of_version = api_version.rpartition("/")
        name = models.custom_name(of_group, of_version, kind)
        return name if name in custom else built_in_name(api_version, kind)

    paths = Paths(group, version, name_of)
    for resource in types:
        paths.add(resource)
    return paths


def _third(group: str, version: str, types: list[ResourceType], shown: str) -> bytes:
    custom = _custom_models(types)
    paths = _paths(group, version, types, custom)
    schemas = {
        name: models.custom_third(model) if name in custom else models.third(name)
        for name, model in models.closure(paths.names, custom).items()
    }
    return _encode(
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": shown},
            "paths": dict(sorted(paths.items.items())),
            "components": {"schemas": schemas, "securitySchemes": {"BearerToken": _SECURITY}},
        }
    )


def _second(versions: dict[GroupVersion, list[ResourceType]], shown: str) -> bytes:
    items: dict[str, Any] = {}
    names: set[str] = set()
    custom: dict[str, models.Model] = {}
    for types in versions.values():
        custom |= _custom_models(types)
    for (group, version), types in versions.items():
        paths = _paths(group, version, types, custom)
        items |= {path: second(item) for path, item in paths.items.items()}
        names |= paths.names
    definitions = {name: models.second(model) for name, model in models.closure(names, custom).items()}
    return _encode(
        {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": shown},
            "paths": dict(sorted(items.items())),
            "definitions": definitions,
            "securityDefinitions": {"BearerToken": _SECURITY},
            "security": [{"BearerToken": []}],
        }
    )


@cache
def _built_in_third(group: str, version: str, shown: str) -> bytes:
    return _third(group, version, _by_version(builtin_types())[group, version], shown)


@cache
def _built_in_second(shown: str) -> bytes:
    return _second(_by_version(builtin_types()), shown)
