# SPDX-License-Identifier: Apache-2.0
"""A cluster for the effects of steps, which lets nothing be written that was not allowed right before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from backout.cluster.forwarding import ForwardingReader
from backout.cluster.port import Cluster, Fence, HeldLease, Instead, Object, OpenGate, PatchType, Propagation, Resource
from backout.errors import BackoutError


class GuardedCluster(ForwardingReader):
    """Asks ``allowed`` before each write of its own, whether the effect thought of that or not. What it raises keeps the write from
    being made. A gate for another program has a fence of its own."""

    def __init__(self, cluster: Cluster, allowed: Callable[[], Awaitable[None]]) -> None:
        super().__init__(cluster)
        self._cluster = cluster
        self._allowed = allowed

    async def create(self, obj: Object) -> Object:
        """See `Cluster.create`."""
        await self._allowed()
        return await self._cluster.create(obj)

    async def replace(self, obj: Object) -> Object:
        """See `Cluster.replace`."""
        await self._allowed()
        return await self._cluster.replace(obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
    ) -> Object:
        """See `Cluster.patch`."""
        await self._allowed()
        return await self._cluster.patch(resource, name, patch, namespace, type=type, subresource=subresource)

    async def apply(self, obj: Object, *, manager: str = "backout", force: bool = False) -> Object:
        """See `Cluster.apply`."""
        await self._allowed()
        return await self._cluster.apply(obj, manager=manager, force=force)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "Background",
        grace: int | None = None,
    ) -> None:
        """See `Cluster.delete`."""
        await self._allowed()
        await self._cluster.delete(
            resource, name, namespace, uid=uid, resource_version=resource_version, propagation=propagation, grace=grace
        )

    def lease(
        self, target: str, namespace: str, *, holder: str, about: Mapping[str, str]
    ) -> AbstractAsyncContextManager[HeldLease]:
        """See `Cluster.lease`."""
        return self._cluster.lease(target, namespace, holder=holder, about=about)

    async def give_back(self, target: str, namespace: str, *, holder: str) -> BackoutError | None:
        """See `Cluster.give_back`."""
        return await self._cluster.give_back(target, namespace, holder=holder)

    def gate(self, fence: Fence, instead: Instead = ()) -> AbstractAsyncContextManager[OpenGate]:
        """See `Cluster.gate`."""
        return self._cluster.gate(fence, instead)

    async def close(self) -> None:
        """See `Cluster.close`."""
        await self._cluster.close()


_protocol: type[Cluster] = GuardedCluster
