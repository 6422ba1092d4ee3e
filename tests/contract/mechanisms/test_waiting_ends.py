# SPDX-License-Identifier: Apache-2.0
"""A wait ends soon after the cluster has said why it is in vain, with that reason; and never for a watch that brings nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from mechanism_helpers import Bench, run

from backout.cluster.client import KubernetesCluster
from backout.cluster.port import Resource, WatchEvent
from backout.errors import NotVerifiedError

PODS = Resource("v1", "Pod", "pods")
SOON = 45.0
"""Seconds; a wait is 300 s long otherwise."""


def vain(harness: Harness, ns: str, kind: str, prepare: Any, words: str) -> None:
    async def work(bench: Bench) -> None:
        await prepare(bench)
        began = time.monotonic()
        with pytest.raises(NotVerifiedError) as caught:
            await bench.ready(patience=30.0)
        assert words in caught.value.message, caught.value.message
        assert time.monotonic() - began < SOON

    run(harness, kind, ns, work)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_quota(running: Harness, ns: str, kind: str) -> None:
    async def prepare(bench: Bench) -> None:
        quota = {"metadata": {"name": "small", "namespace": ns}, "spec": {"hard": {"pods": "1"}}}
        await bench.port.create({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
        await bench.create()

    vain(running, ns, kind, prepare, "exceeded quota")


def test_a_limit_range(running: Harness, ns: str) -> None:
    async def prepare(bench: Bench) -> None:
        limit = {"type": "Container", "max": {"cpu": "1m"}, "default": {"cpu": "1m"}, "defaultRequest": {"cpu": "1m"}}
        await bench.port.create(
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": "tiny", "namespace": ns},
                "spec": {"limits": [limit]},
            }
        )
        obj_patch = {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}
        await bench.create()
        await bench.set_image("1.1", **obj_patch)
        for pod in await bench.pods():
            await bench.port.delete(PODS, pod["metadata"]["name"], ns)

    vain(running, ns, "Deployment", prepare, "maximum cpu usage per Container")


def test_no_node_takes_the_pods(running: Harness, ns: str) -> None:
    async def prepare(bench: Bench) -> None:
        await bench.create()
        await bench.patch({"spec": {"template": {"spec": {"nodeSelector": {"disk": "none-such"}}}}})

    vain(running, ns, "Deployment", prepare, "no node takes")


def test_a_rollout_that_is_paused(running: Harness, ns: str) -> None:
    async def prepare(bench: Bench) -> None:
        await bench.create()
        await bench.ready()
        await bench.patch({"spec": {"paused": True}})
        await bench.set_image("1.1")

    vain(running, ns, "Deployment", prepare, "paused")


def test_a_pod_that_a_finalizer_holds_back(running: Harness, ns: str) -> None:
    held: list[str] = []

    async def prepare(bench: Bench) -> None:
        await bench.create()
        await bench.ready()
        held.append(sorted(pod["metadata"]["name"] for pod in await bench.pods())[-1])
        patch = {"metadata": {"finalizers": ["example.com/held"]}}
        await bench.port.patch(PODS, held[0], patch, ns)
        await bench.set_image("1.1")

    try:
        vain(running, ns, "StatefulSet", prepare, "example.com/held")
    finally:

        async def free(bench: Bench) -> None:
            await bench.port.patch(PODS, held[0], {"metadata": {"finalizers": None}}, ns)

        run(running, "StatefulSet", ns, free)


def test_a_quota_that_old_pods_make_room_for_is_no_end(running: Harness, ns: str) -> None:
    """Refused for a while, until the pods before have gone."""

    async def work(bench: Bench) -> None:
        await bench.create()
        await bench.ready()
        quota = {"metadata": {"name": "small", "namespace": ns}, "spec": {"hard": {"pods": "3"}}}
        await bench.port.create({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
        await bench.patch({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}}})
        await bench.roll_out("1.1")

    run(running, "Deployment", ns, work)


def test_a_watch_that_brings_nothing_does_not_time_out_what_is_ready(
    running: Harness, ns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(self: KubernetesCluster, resource: Resource, namespace: str = "", **more: Any) -> AsyncIterator[Any]:
        """What exists at first, and then nothing."""
        for obj in await self.list_all(resource, namespace, **more):
            yield WatchEvent("ADDED", obj)
        yield WatchEvent("SYNCED", {})
        await asyncio.Event().wait()

    async def work(bench: Bench) -> None:
        await bench.create()
        with monkeypatch.context() as patched:
            patched.setattr(KubernetesCluster, "watch", deaf)
            waiting = asyncio.create_task(bench.ready(timeout=8.0))
            outcome = await waiting
        assert outcome.data["ready"] == 3

    run(running, "Deployment", ns, work)
