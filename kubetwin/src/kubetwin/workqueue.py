# SPDX-License-Identifier: Apache-2.0
"""A work queue of keys: each key is processed by one worker at a time and never queued twice."""

from __future__ import annotations

import asyncio
from collections import deque

from kubetwin.client import retry_delay


class WorkQueue:
    """Deduplicating queue with delayed and rate-limited additions, for use on one event loop."""

    def __init__(self, *, retry_initial: float = 0.01, retry_max: float = 30.0) -> None:
        self._queue: deque[str] = deque()
        self._dirty: set[str] = set()
        self._processing: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._retry = (retry_initial, retry_max)
        self._closed = False

    def __len__(self) -> int:
        return len(self._dirty)

    def wanted(self, key: str) -> bool:
        """Whether the key is queued, also while it is being processed."""
        return key in self._dirty

    def add(self, key: str) -> None:
        if key in self._dirty or self._closed:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._queue.append(key)
            self._wake()

    def add_after(self, key: str, delay: float) -> None:
        """Add after ``delay`` seconds; an earlier pending timer for the key wins."""
        if delay <= 0:
            self.add(key)
            return
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def add_rate_limited(self, key: str) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        initial, maximum = self._retry
        self.add_after(key, retry_delay(failures, initial=initial, maximum=maximum))

    def forget(self, key: str) -> None:
        self._failures.pop(key, None)

    async def get(self) -> str:
        while not self._queue:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                else:
                    self._wake()
                raise
        key = self._queue.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        return key

    def done(self, key: str) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self._queue.append(key)
            self._wake()

    def close(self) -> None:
        """Cancel all timers; later additions are ignored."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _fire(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
