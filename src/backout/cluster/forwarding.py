# SPDX-License-Identifier: Apache-2.0
"""A reader that asks another one: the base of readers that remember, count or limit what is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from backout.cluster.port import (
    PROXY_BYTES,
    AccessAnswer,
    Catalogue,
    ClusterReader,
    Object,
    PatchType,
    Propagation,
    ProxyAnswer,
    Resource,
    WatchEvent,
)
from backout.model.part import Access
from backout.model.scope import ClusterIdentity

T = TypeVar("T")
R = TypeVar("R")


class ForwardingReader:
    """Every question goes to ``reader`` as it is. It can't write, whatever it is given."""

    def __init__(self, reader: ClusterReader) -> None:
        self._reader = reader
        self.name = reader.name
        self.context = reader.context
        self.kubeconfig = reader.kubeconfig

    async def identity(self) -> ClusterIdentity:
        """See `ClusterReader.identity`."""
        return await self._reader.identity()

    async def server_time(self) -> datetime:
        """See `ClusterReader.server_time`."""
        return await self._reader.server_time()

    async def resource(self, api_version: str, kind: str) -> Resource:
        """See `ClusterReader.resource`."""
        return await self._reader.resource(api_version, kind)

    async def catalogue(self) -> Catalogue:
        """See `ClusterReader.catalogue`."""
        return await self._reader.catalogue()

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """See `ClusterReader.get`."""
        return await self._reader.get(resource, name, namespace)

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        """See `ClusterReader.get_as`."""
        return await self._reader.get_as(type, resource, name, namespace)

    def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncIterator[list[Object]]:
        """See `ClusterReader.pages`."""
        return self._reader.pages(resource, namespace, labels=labels, fields=fields, limit=limit)

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """See `ClusterReader.list_all`."""
        return await self._reader.list_all(resource, namespace, labels=labels, fields=fields)

    async def list_as(
        self,
        type: type[T],
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[T]:
        """See `ClusterReader.list_as`."""
        return await self._reader.list_as(
            type, resource, namespace, labels=labels, fields=fields, metadata_only=metadata_only
        )

    async def fold(
        self,
        type: type[T],
        resource: Resource,
        fold: Callable[[list[T]], R],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
    ) -> list[R]:
        """See `ClusterReader.fold`."""
        return await self._reader.fold(type, resource, fold, namespace, labels=labels, fields=fields, limit=limit)

    def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """See `ClusterReader.watch`."""
        return self._reader.watch(resource, namespace, labels=labels, fields=fields)

    async def dry_run_create(self, obj: Object) -> Object:
        """See `ClusterReader.dry_run_create`."""
        return await self._reader.dry_run_create(obj)

    async def dry_run_replace(self, obj: Object) -> Object:
        """See `ClusterReader.dry_run_replace`."""
        return await self._reader.dry_run_replace(obj)

    async def dry_run_patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> Object:
        """See `ClusterReader.dry_run_patch`."""
        return await self._reader.dry_run_patch(resource, name, patch, namespace, type=type, subresource=subresource)

    async def dry_run_apply(self, obj: Object, *, manager: str = "backout", force: bool = False) -> Object:
        """See `ClusterReader.dry_run_apply`."""
        return await self._reader.dry_run_apply(obj, manager=manager, force=force)

    async def dry_run_delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
    ) -> None:
        """See `ClusterReader.dry_run_delete`."""
        await self._reader.dry_run_delete(
            resource, name, namespace, uid=uid, resource_version=resource_version, propagation=propagation
        )

    async def logs(
        self, pod: str, namespace: str, container: str = "", *, previous: bool = False, tail: int = 20
    ) -> str:
        """See `ClusterReader.logs`."""
        return await self._reader.logs(pod, namespace, container, previous=previous, tail=tail)

    async def proxied(
        self,
        kind: Literal["pods", "services"],
        name: str,
        namespace: str,
        port: int | str,
        path: str = "/",
        *,
        scheme: Literal["http", "https"] = "http",
        limit: int = PROXY_BYTES,
        timeout: float = 5.0,
    ) -> ProxyAnswer:
        """See `ClusterReader.proxied`."""
        return await self._reader.proxied(
            kind, name, namespace, port, path, scheme=scheme, limit=limit, timeout=timeout
        )

    async def may(self, accesses: Sequence[Access]) -> list[AccessAnswer]:
        """See `ClusterReader.may`."""
        return await self._reader.may(accesses)


_protocol: type[ClusterReader] = ForwardingReader
