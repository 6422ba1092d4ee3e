# SPDX-License-Identifier: Apache-2.0
"""Asks programs on behalf of a diagnosis: a few at a time, not for long, and not again where nobody ever answers.

On many clusters the API server can't reach the pods at all, and every question would run into its time limit.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from backout.cluster.port import Cluster, ProxyAnswer

AT_ONCE = 16
TIMEOUT = 3.0
GIVES_UP = 3
"""Questions that ran out of time, with none answered."""


class BoundedProbes:
    """Wraps a cluster for one diagnosis."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._late = 0
        self._answered = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def proxied(
        self,
        kind: Literal["pods", "services"],
        name: str,
        namespace: str,
        port: int | str,
        path: str = "/",
        *,
        timeout: float = TIMEOUT,
        **more: Any,
    ) -> ProxyAnswer:
        """As the cluster's own, within three seconds."""
        async with self._gate:
            if self._late >= GIVES_UP and not self._answered:
                return ProxyAnswer(0, refusal="it was not asked any more: others did not answer in time")
            limit = min(timeout, TIMEOUT)
            answer = await self._cluster.proxied(kind, name, namespace, port, path, timeout=limit, **more)
            if answer.status:
                self._answered = True
            elif answer.refusal:
                self._late += 1
            return answer
