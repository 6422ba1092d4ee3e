# SPDX-License-Identifier: Apache-2.0
"""A diagnosis is one look: what several of its parts ask for in the same words is read once.

Ten broken workloads of one namespace have their histories in the same lists. What is kept here is not fresh, so it
serves a diagnosis and nothing that writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, cast

from backout.cluster.port import Cluster, Object, Resource


class MemoReader:
    """Wraps a cluster; lists and single objects are read once each, also when asked for at the same time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._found: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def server_time(self) -> datetime:
        """The API server's own clock, at the first question."""
        return cast(datetime, await self._once(("time",), self._cluster.server_time))

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """One object."""
        return cast(Object, await self.get_as(dict, resource, name, namespace))

    async def get_as(self, type: type[Any], resource: Resource, name: str, namespace: str = "") -> Any:
        """One object as a struct."""
        key = ("get", type, resource, name, namespace)
        return await self._once(key, lambda: self._cluster.get_as(type, resource, name, namespace))

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All objects as dicts."""
        key = ("all", resource, namespace, labels, fields)
        return list(
            await self._once(key, lambda: self._cluster.list_all(resource, namespace, labels=labels, fields=fields))
        )

    async def list_as(
        self,
        type: type[Any],
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[Any]:
        """All objects as structs."""
        key = ("as", type, resource, namespace, labels, fields, metadata_only)
        return list(
            await self._once(
                key,
                lambda: self._cluster.list_as(
                    type, resource, namespace, labels=labels, fields=fields, metadata_only=metadata_only
                ),
            )
        )

    async def _once(self, key: tuple[Any, ...], read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        task = self._found.get(key)
        if task is None:
            task = self._found[key] = asyncio.create_task(read())
        # One of several who wait may be cancelled: the others still want the answer.
        return await asyncio.shield(task)

    async def __aenter__(self) -> MemoReader:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends what nobody waits for any more; the cluster itself stays open."""
        for task in self._found.values():
            task.cancel()
        await asyncio.gather(*self._found.values(), return_exceptions=True)
