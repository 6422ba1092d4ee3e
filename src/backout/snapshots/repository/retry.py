# SPDX-License-Identifier: Apache-2.0
"""Tries again what may work later: the storage was busy, or the connection was lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from backout.errors import StorageUnreachable
from backout.snapshots.repository.backend import Backend, Exists, Stored

T = TypeVar("T")


class Retrying:
    """A backend that asks another one up to ``attempts`` times. Pauses double from ``first`` seconds, with jitter."""

    def __init__(self, backend: Backend, *, attempts: int = 6, first: float = 0.25, longest: float = 8.0) -> None:
        self._backend = backend
        self._attempts = attempts
        self._first = first
        self._longest = longest
        self.where = backend.where
        self.shared = backend.shared

    async def get(self, name: str, limit: int) -> bytes:
        return await self._again(lambda: self._backend.get(name, limit))

    async def get_range(self, name: str, start: int, length: int) -> bytes:
        return await self._again(lambda: self._backend.get_range(name, start, length))

    async def put(self, name: str, content: bytes, *, create: bool = False) -> None:
        tried = 0

        async def once() -> None:
            nonlocal tried
            tried += 1
            try:
                await self._backend.put(name, content, create=create)
            except Exists:
                # The answer to an earlier attempt may have been lost on its way, after the file was written.
                if tried == 1 or await self._backend.get(name, len(content)) != content:
                    raise

        await self._again(once)

    async def listing(self, prefix: str) -> list[Stored]:
        return await self._again(lambda: self._backend.listing(prefix))

    async def delete(self, name: str) -> None:
        await self._again(lambda: self._backend.delete(name))

    async def tidy(self) -> int:
        return await self._again(self._backend.tidy)

    async def close(self) -> None:
        await self._backend.close()

    async def _again(self, work: Callable[[], Awaitable[T]]) -> T:
        pause = self._first
        for attempt in range(1, self._attempts + 1):
            try:
                return await work()
            except StorageUnreachable:
                if attempt == self._attempts:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, self._longest)
        raise AssertionError("unreachable")
