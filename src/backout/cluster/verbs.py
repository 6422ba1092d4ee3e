# SPDX-License-Identifier: Apache-2.0
"""Writes, by lightkube's verbs over our own wire. The only module that imports lightkube, and a read never does.

lightkube builds the request (path, patch type, field manager, dry run) and decodes the answer; the wire below sends it
with the user's credentials and raises the errors of the house, so that none of lightkube's is ever seen. Objects are
lightkube's generic dicts: unknown fields survive. DELETE is our own, because preconditions need a body.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable
from functools import cache
from typing import Any, cast

import httpx2
from lightkube import AsyncClient
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import Cluster as ClusterEntry
from lightkube.config.models import Context, User
from lightkube.core.resource import ApiInfo, NamespacedSubResource, ResourceDef
from lightkube.generic_resource import Generic, GenericGlobalResource, GenericNamespacedResource
from lightkube.types import PatchType

from backout.cluster.port import Object, Resource
from backout.cluster.wire import Wire, decode_failed

_VERBS = ["delete", "get", "list", "patch", "post", "put"]
_TYPES = {"json": PatchType.JSON, "merge": PatchType.MERGE, "strategic": PatchType.STRATEGIC}


class _OverWire(httpx2.AsyncBaseTransport):
    """Gives lightkube's requests to the wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._wire.send(request, read_only=False)


class Verbs:
    """POST, PUT and PATCH."""

    def __init__(self, wire: Wire, *, manager: str) -> None:
        self._manager = manager
        # Credentials, certificates and proxies are the wire's; with a transport given, lightkube opens nothing itself.
        # It makes a TLS context all the same: the system's whole trust store takes 30 ms to read, one authority 1 ms.
        authority = base64.b64encode(wire.connection.ca).decode() if wire.connection.ca else None
        entry = ClusterEntry(server=wire.server, certificate_auth_data=authority)
        config = SingleConfig("backout", Context(cluster="backout"), entry, User())
        self._client: Any = AsyncClient(
            config=config, namespace="default", field_manager=manager, trust_env=False, transport=_OverWire(wire)
        )

    async def create(self, resource: Resource, obj: Object, *, dry_run: bool) -> Object:
        """POST."""
        kind = _class(resource)
        answer = self._client.create(kind(obj), namespace=_namespace(resource, obj), dry_run=dry_run)
        return await _answered(resource, obj["metadata"].get("name") or "", answer)

    async def replace(self, resource: Resource, obj: Object, *, dry_run: bool) -> Object:
        """PUT."""
        kind = _class(resource)
        name = obj["metadata"]["name"]
        answer = self._client.replace(kind(obj), name, namespace=_namespace(resource, obj), dry_run=dry_run)
        return await _answered(resource, name, answer)

    async def patch(
        self, resource: Resource, name: str, patch: Any, namespace: str, *, type: str, subresource: str, dry_run: bool
    ) -> Object:
        """PATCH with a JSON, merge or strategic merge patch."""
        kind = _class(resource, subresource)
        answer = self._client.patch(
            kind, name, patch, namespace=namespace or None, patch_type=_TYPES[type], dry_run=dry_run
        )
        return await _answered(resource, name, answer)

    async def apply(self, resource: Resource, obj: Object, *, manager: str, force: bool, dry_run: bool) -> Object:
        """Server-side apply."""
        name = obj["metadata"]["name"]
        answer = self._client.patch(
            _class(resource),
            name,
            obj,
            namespace=_namespace(resource, obj),
            patch_type=PatchType.APPLY,
            field_manager=manager or self._manager,
            force=force,
            dry_run=dry_run,
        )
        return await _answered(resource, name, answer)

    async def close(self) -> None:
        """Closes lightkube's client; the wire stays open."""
        await self._client.close()


async def _answered(resource: Resource, name: str, answer: Awaitable[Any]) -> Object:
    """The object as it is stored.

    Raises:
        ServerError: what came is cut off, ``{}``, or another object: whether anything was written is not known.
    """
    what = f"{resource.plural} {name}".rstrip()
    try:
        stored = dict(await answer)
        found = stored["metadata"]["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise decode_failed(what) from error
    if name and found != name:
        raise decode_failed(what)
    return stored


@cache
def _class(resource: Resource, subresource: str = "") -> Any:
    """A class of lightkube's generic kind; not from its registry, which has typed models for built-in kinds."""
    group, version = resource.group, resource.api_version.rpartition("/")[2]
    definition = ResourceDef(group, version, resource.kind)
    if subresource:
        info = ApiInfo(definition, resource.plural, ["patch", "put", "get"], definition, subresource)
        bases: tuple[type, ...] = (NamespacedSubResource, Generic) if resource.namespaced else (GenericGlobalResource,)
    else:
        info = ApiInfo(definition, resource.plural, _VERBS)
        bases = (GenericNamespacedResource,) if resource.namespaced else (GenericGlobalResource,)
    return type(resource.kind, bases, {"_api_info": info})


def _namespace(resource: Resource, obj: Object) -> str | None:
    return cast("str | None", obj["metadata"].get("namespace") or "default") if resource.namespaced else None
