# SPDX-License-Identifier: Apache-2.0
"""Asks programs on behalf of a diagnosis: a few at a time, not for long, and not again where nobody ever answers.

On many clusters the API server can't reach the pods at all, and every question would run into its time limit.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from backout.cluster.forwarding import ForwardingReader
from backout.cluster.port import PROXY_BYTES, ClusterReader, ProxyAnswer

AT_ONCE = 16
TIMEOUT = 3.0
GIVES_UP = 3
"""Questions that ran out of time, with none answered."""


class BudgetedReader(ForwardingReader):
    """Programs get a budget of time between them; all else is asked as it is."""

    def __init__(self, reader: ClusterReader) -> None:
        super().__init__(reader)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._late = 0
        self._answered = False

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
        timeout: float = TIMEOUT,
    ) -> ProxyAnswer:
        """As the cluster's own, within three seconds."""
        async with self._gate:
            if self._late >= GIVES_UP and not self._answered:
                return ProxyAnswer(0, refusal="it was not asked any more: others did not answer in time")
            answer = await self._reader.proxied(
                kind, name, namespace, port, path, scheme=scheme, limit=limit, timeout=min(timeout, TIMEOUT)
            )
            if answer.status:
                self._answered = True
            elif answer.refusal:
                self._late += 1
            return answer
