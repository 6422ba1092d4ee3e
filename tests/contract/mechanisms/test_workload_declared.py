# SPDX-License-Identifier: Apache-2.0
"""Taking back what somebody edited by hand: what a workload is declared to be, and the step that sets parts of its spec."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from objects_world import IMAGE, World, run

from backout.cluster.port import DEPLOYMENTS, Object
from backout.errors import PreconditionFailed
from backout.kube.templates import digest_of, plain_template
from backout.mechanisms.workload.declared import Declared, declared

SPEC = {"containers": [{"name": "app", "image": IMAGE}]}
BAD = {"containers": [{"name": "app", "image": "registry.example/app:2.0-crash-exit2"}]}


async def live(found: World) -> Object:
    obj = await found.port.get(DEPLOYMENTS, "web", found.ns)
    return {**obj, "apiVersion": "apps/v1", "kind": "Deployment"}


async def edit(found: World, body: dict[str, Any]) -> None:
    await found.port.patch(DEPLOYMENTS, "web", body, found.ns, type="strategic")


async def settled(found: World, **spec: Any) -> None:
    await found.deployment("web", SPEC, **spec)
    await found.until_ready("web", 2)
    await found.snapshot()


async def asked(found: World) -> Declared | None:
    obj = await live(found)
    digest = digest_of(plain_template(obj["spec"]["template"]))
    return await declared(found.port, obj, digest, [digest])


def test_nothing_is_declared_where_nothing_was_edited_or_no_snapshot_is_good(
    running: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(found: World) -> None:
        await found.deployment("web", SPEC)
        await found.until_ready("web", 2)
        await found.snapshot(healthy=False)
        await edit(found, {"spec": {"replicas": 0}})
        assert await asked(found) is None, "a snapshot of an incident is no good state"
        await edit(found, {"spec": {"replicas": 2}})
        await found.until_ready("web", 2)
        await found.snapshot()
        assert await asked(found) is None

    run(running, ns, tmp_path, work)


def test_a_workload_that_was_scaled_to_nothing_is_declared_to_have_its_replicas(
    running: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(found: World) -> None:
        await settled(found)
        await edit(found, {"spec": {"replicas": 0}})
        said = await asked(found)
        assert said is not None and said.parts == {"replicas": 2}
        assert said.origin.keys() == {"snapshot"} and not said.release

    run(running, ns, tmp_path, work)


def test_a_workload_that_was_made_anew_is_declared_by_the_snapshot(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(found: World) -> None:
        await settled(found)
        good = digest_of(plain_template((await live(found))["spec"]["template"]))
        await found.port.delete(DEPLOYMENTS, "web", found.ns)
        async with asyncio.timeout(600):
            while await found.pods("web"):  # noqa: ASYNC110 - a cluster has no event for it
                await asyncio.sleep(0.1)
        await found.deployment("web", BAD, strategy={"type": "Recreate"})
        said = await asked(found)
        assert said is not None and said.digest == good
        # Whoever made it anew chose its strategy along with its template.
        assert said.parts.keys() == {"strategy"} and said.parts["strategy"]["type"] == "RollingUpdate"

    run(running, ns, tmp_path, work)


def test_parts_of_the_spec_are_set_once_cut_off_or_not_and_given_back(
    running: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(found: World) -> None:
        await settled(found)
        await edit(found, {"spec": {"replicas": 0}})
        plan = await found.plan("deployment/web")
        assert [step.action for step in plan.steps] == ["workload.set-spec", "workload.wait-ready"], (
            "the template is none of it"
        )
        digest = await found.keep(plan)
        before = (await live(found))["metadata"]["generation"]
        with pytest.raises(asyncio.CancelledError):
            await found.carry_out(plan, stop_at=1)
        assert (await live(found))["metadata"]["generation"] == before, "it was cut off before it wrote"
        await edit(found, {"metadata": {"annotations": {"team": "blue"}}, "spec": {"minReadySeconds": 1}})
        outcomes, context = await found.carry_out(plan)
        assert [outcome.changed for outcome in outcomes] == [True, False] and context.guards == 1
        now = await live(found)
        assert now["spec"]["replicas"] == 2 and len(await found.pods("web")) == 2
        assert (now["spec"]["minReadySeconds"], now["metadata"]["annotations"]["team"]) == (1, "blue")
        # As after a kill between the write and its record: all of it is there.
        outcomes, context = await found.carry_out(plan)
        assert not any(outcome.changed for outcome in outcomes) and context.guards == 0
        assert any(outcome.changed for outcome in await found.undo(plan, digest))
        assert (await live(found))["spec"]["replicas"] == 0

    run(running, ns, tmp_path, work)


def test_a_workload_that_was_made_anew_after_the_plan_is_left_alone(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(found: World) -> None:
        await settled(found)
        await edit(found, {"spec": {"replicas": 0}})
        plan = await found.plan("deployment/web")
        await found.port.delete(DEPLOYMENTS, "web", found.ns)
        await found.deployment("web", SPEC, replicas=1)
        with pytest.raises(PreconditionFailed):
            await found.carry_out(plan)
        assert (await live(found))["spec"]["replicas"] == 1

    run(running, ns, tmp_path, work)
