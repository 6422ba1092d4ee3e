# SPDX-License-Identifier: Apache-2.0
"""One reading of a target for all the questions of one plan, so that its parts speak of the same state."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from backout.cluster.port import ClusterReader
from backout.model.target import Target

L = TypeVar("L")
FRESH = 5.0
"""Seconds for which one look serves."""


class Looks(Generic[L]):
    """What ``read`` gave, by cluster and target; gone with the cluster."""

    def __init__(self, read: Callable[[ClusterReader, Target], Awaitable[L]]) -> None:
        self._read = read
        self._kept: WeakKeyDictionary[ClusterReader, dict[Target, tuple[float, L]]] = WeakKeyDictionary()

    async def fresh(self, cluster: ClusterReader, target: Target) -> L:
        """Reads anew; what is asked within the next seconds builds on it."""
        look = await self._read(cluster, target)
        self._kept.setdefault(cluster, {})[target] = (time.monotonic(), look)
        return look

    async def recent(self, cluster: ClusterReader, target: Target) -> L:
        """The last look while it is fresh, else a new one."""
        at, look = self._kept.get(cluster, {}).get(target, (0.0, None))
        if look is not None and time.monotonic() - at < FRESH:
            return look
        return await self.fresh(cluster, target)
