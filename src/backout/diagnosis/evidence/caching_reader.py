# SPDX-License-Identifier: Apache-2.0
"""What several parts of a diagnosis ask for in the same words is read once.

Ten broken workloads of one namespace have their revision histories in the same lists. What is kept here is not fresh,
so it serves a diagnosis and nothing that writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from backout.cluster.forwarding import ForwardingReader
from backout.cluster.port import ClusterReader, Object, Resource

T = TypeVar("T")


class CachingReader(ForwardingReader):
    """Lists and single objects are read once each, also when asked for at the same time; for as long as it is open."""

    def __init__(self, reader: ClusterReader) -> None:
        super().__init__(reader)
        self._found: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

    async def server_time(self) -> datetime:
        """The API server's own clock, at the first question."""
        return await self._once(("time",), super().server_time)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """One object."""
        return await self.get_as(dict, resource, name, namespace)

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        """One object as a struct."""
        key = ("get", type, resource, name, namespace)
        return await self._once(key, lambda: self._reader.get_as(type, resource, name, namespace))

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects as dicts."""
        key = ("all", resource, namespace, labels, fields)
        found = await self._once(key, lambda: self._reader.list_all(resource, namespace, labels=labels, fields=fields))
        return list(found)

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
        """All objects as structs."""
        key = ("as", type, resource, namespace, labels, fields, metadata_only)
        found = await self._once(
            key,
            lambda: self._reader.list_as(
                type, resource, namespace, labels=labels, fields=fields, metadata_only=metadata_only
            ),
        )
        return list(found)

    async def _once(self, key: tuple[Any, ...], read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task: asyncio.Task[T] | None = self._found.get(key)
        if task is None:
            task = self._found[key] = asyncio.create_task(read())
        # One of several who wait may be cancelled: the others still want the answer.
        return await asyncio.shield(task)

    async def __aenter__(self) -> CachingReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends what nobody waits for any more; the cluster itself stays open."""
        for task in self._found.values():
            task.cancel()
        await asyncio.gather(*self._found.values(), return_exceptions=True)
