# SPDX-License-Identifier: Apache-2.0
"""A plan is drafted from one reading: how long the cluster takes, or what happens meanwhile, changes nothing in it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cluster_harness import Cluster as Harness
from helm_world import World as HelmWorld
from mechanism_helpers import BETTER, GOOD, Bench
from mechanism_helpers import run as on_workload
from objects_world import World
from objects_world import reading as reads
from objects_world import run as on_objects
from slow_reader import SlowReader

from backout.cluster.client import KubernetesCluster
from backout.cluster.port import DEPLOYMENTS
from backout.mechanisms import registry
from backout.mechanisms.port import Options
from backout.model.part import Access
from backout.model.target import Target
from backout.workflows.prepare import make_operation

MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
TAKES = 6.0
"""Seconds that the slow plans take at least: longer than any memory of the cluster that plans were ever made from."""


OFTEN = 3
"""One in so many calls finds the cluster changed."""


async def planned(reader: SlowReader, target: Target, to: str) -> Any:
    """What a person would approve."""
    return msgspec.to_builtins(await make_operation(reader, target, made_at=MADE_AT, to=to))


async def held(
    port: KubernetesCluster, target: Target, to: str, happens: Callable[[], Awaitable[None]], most: int
) -> None:
    """The same plan from a fast cluster, a slow one, and one in which something happens in between."""
    clock = await port.server_time()
    fast = SlowReader(port, clock)
    wanted = await planned(fast, target, to)
    assert len(fast.calls) <= most, "; ".join(fast.calls)
    slow = SlowReader(port, clock, delay=TAKES / len(fast.calls))
    assert await planned(slow, target, to) == wanted
    assert sorted(slow.calls) == sorted(fast.calls)
    restless = SlowReader(port, clock, happens=happens)
    assert await planned(restless, target, to) == wanted
    reading = await registry.of_kind(target.kind).read(port, target)
    with pytest.raises(LookupError):
        reading.draft(reading.revisions[0])
    with pytest.raises(LookupError):
        reading.present_checks()


def restless(port: KubernetesCluster, name: str, namespace: str) -> Callable[[], Awaitable[None]]:
    """Controllers report a state of a Deployment all the time."""
    count = itertools.count()

    async def happens() -> None:
        number = next(count)
        if number % OFTEN:
            return
        condition = {"type": "Watched", "status": "True", "reason": f"Number{number}", "message": ""}
        patch = {"status": {"conditions": [condition]}}
        await port.patch(DEPLOYMENTS, name, patch, namespace, type="strategic", subresource="status")

    return happens


def test_of_an_object(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = "configmap/web"
        await world.make("ConfigMap", "web", data={"a": "1"})
        await world.deployment("reads", reads("env", "web"))
        await world.until_ready("reads", 2)
        await world.snapshot()
        await world.change(name, {"data": {"a": "2"}})
        await world.start_anew("reads")
        # Each kind of custom resource may read it: a list more for each that this cluster has. Argo CD may keep it.
        # The last four are asked once it is known which pods are replaced: do they wait in a back-off, does a budget hold them?
        served = {kind.resource for kind in (await world.port.catalogue()).kinds}
        foreign = [one for one in served if "." in one.group and not one.group.endswith(".k8s.io")]
        most = 17 + len(foreign) + any(one.plural == "applications" for one in foreign)
        await held(world.port, world.target(name), "", restless(world.port, "reads", ns), most)
        plan = await world.plan(name)
        assert Access("update", "", "configmaps", ns) in plan.access
        assert Access("patch", "apps", "deployments", ns) in plan.access
        present = await registry.get("objects").read(world.port, world.target(name), options=Options(present=True))
        assert present.present_checks()[0].code == "object-present"

    on_objects(running, ns, tmp_path, work)


def test_of_a_workload(running: Harness, ns: str) -> None:
    async def work(found: Bench) -> None:
        await found.create(GOOD)
        await found.ready()
        await found.roll_out(BETTER)
        await found.until_good(BETTER)
        await held(found.port, found.target, "1", restless(found.port, "web", ns), 12)
        reading = await registry.get("workload").read(found.port, found.target, options=Options(present=True))
        assert {check.code for check in reading.present_checks()} >= {"revision-restored", "workload-ready"}

    on_workload(running, "Deployment", ns, work)


def test_of_a_release(world: HelmWorld) -> None:
    world.install()
    world.until_healthy()
    world.upgrade(tag="1.1", web="1.1")
    world.until_healthy()

    async def work(port: KubernetesCluster) -> None:
        async with asyncio.timeout(120):
            while True:
                newest = (await registry.get("helm").read(port, world.target)).revisions[-1]
                if newest.goodness == "good":
                    break
                await asyncio.sleep(0.5)
        await held(port, world.target, "1", restless(port, "web", world.namespace), 40)
        reading = await registry.get("helm").read(port, world.target, options=Options(present=True))
        assert {check.code for check in reading.present_checks()} >= {"release-deployed", "workload-ready"}

    world.use(work)
