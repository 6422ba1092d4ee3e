# SPDX-License-Identifier: Apache-2.0
"""Short cuts of the cluster's unit tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from cluster_fakeapi import FakeApi, Faults

from backout.cluster.client import KubernetesCluster
from backout.cluster.kubeconfig import Connection
from backout.cluster.reflector import Timing

PODS_PATH = "/api/v1/namespaces/shop/pods"
LEASES_PATH = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs a test to its end, in bounded time."""

    async def limited() -> None:
        async with asyncio.timeout(600):
            await work

    asyncio.run(limited())


async def until(condition: Callable[[], bool]) -> None:
    """Returns once ``condition`` holds."""
    while not condition():  # noqa: ASYNC110 - the fake is plain data
        await asyncio.sleep(0.01)


@asynccontextmanager
async def cluster_of(
    api: FakeApi, *, timing: Timing | None = None, read_timeout: float = 30.0, **connection: Any
) -> AsyncIterator[KubernetesCluster]:
    """A client of a fake that is being served."""
    async with KubernetesCluster(
        Connection(context="fake", server=api.url, **connection), timing=timing, read_timeout=read_timeout
    ) as cluster:
        yield cluster


@asynccontextmanager
async def fake(
    *,
    timing: Timing | None = None,
    read_timeout: float = 30.0,
    answers: Any = None,
    connection: Any = None,
    **faults: Any,
) -> AsyncIterator[tuple[FakeApi, KubernetesCluster]]:
    """A fake with these faults, and a client of it."""
    api = FakeApi(Faults(**faults), answers=answers)
    async with api.serve(), cluster_of(api, timing=timing, read_timeout=read_timeout, **(connection or {})) as cluster:
        yield api, cluster
