# SPDX-License-Identifier: Apache-2.0
"""Readers that stand between a plan and the cluster: they count, make wait, and change the cluster between calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from backout.cluster.forwarding import ForwardingReader
from backout.cluster.port import AccessAnswer, ClusterReader, Object, PatchType, Resource
from backout.model.part import Access

T = TypeVar("T")
R = TypeVar("R")


async def idle() -> None:
    """Nothing happens between two calls."""


class SlowReader(ForwardingReader):
    """Every question takes ``delay`` seconds more; before it, ``happens`` is called. ``calls`` says what was asked.

    The cluster's clock stands at ``clock``, so that ages are the same however long it takes.
    """

    def __init__(
        self,
        reader: ClusterReader,
        clock: datetime,
        *,
        delay: float = 0.0,
        happens: Callable[[], Awaitable[None]] = idle,
    ) -> None:
        super().__init__(reader)
        self._clock, self._delay, self._happens = clock, delay, happens
        self.calls: list[str] = []

    async def _asked(self, what: str) -> None:
        self.calls.append(what)
        await asyncio.sleep(self._delay)
        await self._happens()

    async def server_time(self) -> datetime:
        await self._asked("time")
        return self._clock

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        await self._asked(f"get {resource.plural} {name}")
        return await super().get(resource, name, namespace)

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        await self._asked(f"get {resource.plural} {name}")
        return await super().get_as(type, resource, name, namespace)

    async def pages(self, resource: Resource, namespace: str = "", **more: Any) -> AsyncIterator[list[Object]]:  # type: ignore[override]
        await self._asked(f"list {resource.plural}")
        async for page in super().pages(resource, namespace, **more):
            yield page

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        await self._asked(f"list {resource.plural}")
        return await super().list_all(resource, namespace, labels=labels, fields=fields)

    async def list_as(self, type: type[T], resource: Resource, namespace: str = "", **more: Any) -> list[T]:  # type: ignore[override]
        await self._asked(f"list {resource.plural}")
        return await super().list_as(type, resource, namespace, **more)

    async def fold(  # type: ignore[override]
        self, type: type[T], resource: Resource, fold: Callable[[list[T]], R], namespace: str = "", **more: Any
    ) -> list[R]:
        await self._asked(f"list {resource.plural}")
        return await super().fold(type, resource, fold, namespace, **more)

    async def dry_run_create(self, obj: Object) -> Object:
        await self._asked(f"dry run {obj['kind']} {obj['metadata']['name']}")
        return await super().dry_run_create(obj)

    async def dry_run_replace(self, obj: Object) -> Object:
        await self._asked(f"dry run {obj['kind']} {obj['metadata']['name']}")
        return await super().dry_run_replace(obj)

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
        await self._asked(f"dry run {resource.kind} {name}")
        return await super().dry_run_patch(resource, name, patch, namespace, type=type, subresource=subresource)

    async def dry_run_apply(self, obj: Object, *, manager: str = "backout", force: bool = False) -> Object:
        await self._asked(f"dry run {obj['kind']} {obj['metadata']['name']}")
        return await super().dry_run_apply(obj, manager=manager, force=force)

    async def may(self, accesses: Sequence[Access]) -> list[AccessAnswer]:
        await self._asked("access review")
        return await super().may(accesses)
