# SPDX-License-Identifier: Apache-2.0
"""How hard one API server is asked, by all connections of this process to it together.

The server's own measure is the number of requests under way (API priority and fairness counts seats), so that is
bounded first; the rate is bounded against loops that nobody foresaw. When a server says to wait, all wait, not only the
request that it said it to. For comparison: kubectl asks 50 times a second, and 300 times at once.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable

from backout.cluster.slots import Slots

AT_ONCE = 12
"""Short requests under way at the same time; watches come on top. More would be slower: each new connection costs two
round trips and a TLS handshake, and each idle one is looked at before every request."""
RATE = 500.0
"""Requests a second, in the long run."""
BURST = 1500
"""Requests that may be sent before that rate counts."""
LONGEST_HOLD = 8.0
"""Seconds that others wait because the server told one request to; its own fairness never asks for more."""
SPREAD = 0.2
"""Seconds over which those begin again that waited together."""


class Pace:
    """Of one server. ``rate`` per second, after ``burst``; ``clock`` in seconds, monotonic."""

    def __init__(
        self,
        rate: float = RATE,
        burst: int = BURST,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = Slots(at_once)
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._left, self._seen = float(burst), clock()
        self._held = 0.0
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Takes the next turn; returns the seconds until it comes."""
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._seen) * self._rate) - 1.0
            self._seen = now
            return max(0.0, -self._left / self._rate)

    def hold(self, seconds: float) -> None:
        """Nothing more is sent for so long (`LONGEST_HOLD` at most)."""
        with self._lock:
            self._held = max(self._held, self._clock() + min(seconds, LONGEST_HOLD))

    async def turn(self) -> None:
        """Waits until a request may be sent."""
        wait = self.reserve()
        if wait:
            await asyncio.sleep(wait)
        while (held := self._held - self._clock()) > 0:  # noqa: ASYNC110 - time is what is waited for
            await asyncio.sleep(held + random.uniform(0, SPREAD))


_PACES: dict[str, Pace] = {}


def pace_of(server: str) -> Pace:
    """The one of that server, by its URL."""
    return _PACES.setdefault(server, Pace())
