# SPDX-License-Identifier: Apache-2.0
"""Custom resources on a whole cluster: back by snapshots and by the templates that their pods were made from, and forward again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from objects_world import World, run

from backout.cluster.port import Object, Resource
from backout.errors import AlreadyExists, NoGoodRevision, NothingToDo, PreconditionFailed, RefusedError
from backout.kube.definitions import CRDS
from backout.kube.names import LAST_APPLIED
from backout.mechanisms import registry
from backout.model.revision import Revision

GROUP = "customs.example"
WIDGET, GADGET = (Resource(f"{GROUP}/v1", kind, f"{kind.lower()}s") for kind in ("Widget", "Gadget"))


def definition(resource: Resource, *, status: bool) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kind = resource.kind
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": resource.plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{**version, **({"subresources": {"status": {}}} if status else {})}],
        },
    }


async def known(world: World) -> None:
    """Widgets only configure something; Gadgets have a status."""
    for resource, status in ((WIDGET, False), (GADGET, True)):
        with contextlib.suppress(AlreadyExists):
            await world.port.create(definition(resource, status=status))
    async with asyncio.timeout(60):
        while True:
            served = {found.resource.kind for found in (await world.port.catalogue()).kinds}
            if {"Widget", "Gadget"} <= served:
                return
            await asyncio.sleep(0.1)


async def make(world: World, resource: Resource, name: str, spec: dict[str, Any]) -> Object:
    return await world.make(resource.kind, name, resource.api_version, spec=spec)


async def spec(world: World, resource: Resource, name: str) -> Any:
    return (await world.port.get(resource, name, world.ns))["spec"]


async def edit(world: World, resource: Resource, name: str, change: dict[str, Any]) -> None:
    await world.port.patch(resource, name, change, world.ns)


async def history(world: World, text: str) -> tuple[Revision, ...]:
    return (await registry.get("customs").read(world.port, world.target(text))).revisions


def test_back_to_a_good_snapshot_and_forward_again(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await known(world)
        target = f"widget.{GROUP}/web"
        await make(world, WIDGET, "web", {"size": 1, "rules": [{"name": "a", "to": "x"}], "kept": {"deep": True}})
        await world.snapshot()
        await edit(
            world,
            WIDGET,
            "web",
            {"spec": {"size": 99, "kept": {"deep": None}}, "metadata": {"labels": {"team": "blue"}}},
        )
        found = await history(world, target)
        assert [(one.number, one.goodness, one.current) for one in found] == [(1, "good", False), (2, "unknown", True)]
        plan = await world.plan(target)
        assert [field.path for field in plan.changes.objects[0].fields] == ["spec.kept.deep", "spec.size"]
        digest = await world.keep(plan)
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        assert await spec(world, WIDGET, "web") == {
            "size": 1,
            "rules": [{"name": "a", "to": "x"}],
            "kept": {"deep": True},
        }
        assert (await world.port.get(WIDGET, "web", ns))["metadata"]["labels"] == {"team": "blue"}, (
            "what is not said stays"
        )
        again, context = await world.carry_out(plan)
        assert not again[0].changed and context.guards == 0
        assert (await history(world, target))[-1].goodness == "good"
        with pytest.raises(NothingToDo):
            await world.plan(target)
        await world.undo(plan, digest)
        assert (await spec(world, WIDGET, "web"))["size"] == 99

    run(running, ns, tmp_path, work)


def test_what_was_changed_after_the_plan_is_left_alone(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await known(world)
        await make(world, WIDGET, "web", {"size": 1})
        await world.snapshot()
        await edit(world, WIDGET, "web", {"spec": {"size": 99}})
        plan = await world.plan(f"widget.{GROUP}/web")
        await edit(world, WIDGET, "web", {"spec": {"size": 50}})
        with pytest.raises(PreconditionFailed, match="changed after the plan"):
            await world.carry_out(plan)
        assert await spec(world, WIDGET, "web") == {"size": 50}

    run(running, ns, tmp_path, work)


async def applied(world: World, name: str, spec: dict[str, Any], *, said: dict[str, Any] | None = None) -> None:
    """As `kubectl apply` makes it, with its note; ``said``: where the note says something else."""
    note = {"apiVersion": WIDGET.api_version, "kind": "Widget", "metadata": {"name": name}, "spec": said or spec}
    await world.make(
        "Widget", name, WIDGET.api_version, spec=spec, metadata={"annotations": {LAST_APPLIED: json.dumps(note)}}
    )


def test_back_to_what_was_applied_last_where_no_snapshot_knows_better(
    running: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(world: World) -> None:
        await known(world)
        target = f"widget.{GROUP}/web"
        await applied(world, "web", {"size": 1, "deep": {"a": 1, "b": 2}, "rules": [1]})
        assert [one.number for one in await history(world, target)] == [1]
        # what its operator adds stays, what somebody changed goes back, what is as it was applied is no difference
        await edit(world, WIDGET, "web", {"spec": {"size": 99, "deep": {"b": None, "c": 3}, "filled": "in"}})
        found = await history(world, target)
        assert [(one.number, one.goodness, one.current) for one in found] == [(1, "good", False), (2, "unknown", True)]
        assert "applied" in str(found[0].reasons)
        plan = await world.plan(target)
        digest = await world.keep(plan)
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        wanted = {"size": 1, "deep": {"a": 1, "b": 2, "c": 3}, "rules": [1], "filled": "in"}
        assert await spec(world, WIDGET, "web") == wanted
        assert not (await world.carry_out(plan))[0][0].changed
        await world.undo(plan, digest)
        assert await spec(world, WIDGET, "web") == {"size": 99, "deep": {"a": 1, "c": 3}, "rules": [1], "filled": "in"}

    run(running, ns, tmp_path, work)


def test_what_was_applied_is_believed_less_than_a_good_snapshot(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await known(world)
        await applied(world, "web", {"size": 7}, said={"size": 5})
        await world.snapshot()
        await edit(world, WIDGET, "web", {"spec": {"size": 99}})
        found = await history(world, f"widget.{GROUP}/web")
        assert [one.goodness for one in found] == ["good", "unknown"], (
            "what was so when all was well is asked for, and nothing older"
        )
        plan = await world.plan(f"widget.{GROUP}/web")
        await world.carry_out(plan)
        assert await spec(world, WIDGET, "web") == {"size": 7}

    run(running, ns, tmp_path, work)


def test_without_a_good_snapshot_no_revision_is_proposed_that_is_not_there(
    running: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(world: World) -> None:
        await known(world)
        await make(world, WIDGET, "web", {"size": 1})
        with pytest.raises(NoGoodRevision) as refused:
            await world.plan(f"widget.{GROUP}/web")
        assert "--to" not in refused.value.hint and "snapshot create" in refused.value.hint

    run(running, ns, tmp_path, work)


def test_what_nobody_carries_out_is_not_written(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await known(world)
        await make(world, GADGET, "web", {"size": 1})
        await world.snapshot()
        await edit(world, GADGET, "web", {"spec": {"size": 99}})
        with pytest.raises(RefusedError, match="Nobody carries out"):
            await world.plan(f"gadget.{GROUP}/web")
        patch = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        await world.port.patch(GADGET, "web", patch, ns, subresource="status")
        plan = await world.plan(f"gadget.{GROUP}/web")
        assert [step.action for step in plan.steps] == ["customs.put-back", "customs.wait"]
        assert [check.code for check in plan.checks] == ["custom-resource"]

    run(running, ns, tmp_path, work)


def template(image: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "main", "image": image}]}}


async def replica_set(world: World, owner: Object, name: str, image: str, number: int) -> None:
    """As its controller would make one."""
    labels = {"app": "shop", "rollouts-pod-template-hash": name}
    await world.make(
        "ReplicaSet",
        f"shop-{name}",
        "apps/v1",
        metadata={
            "annotations": {"rollout.argoproj.io/revision": str(number)},
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": GADGET.api_version,
                    "kind": "Gadget",
                    "name": "shop",
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        spec={
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {**template(image), "metadata": {"labels": labels}},
        },
    )


def test_back_to_the_template_of_the_stable_replica_set(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await known(world)
        target = f"gadget.{GROUP}/shop"
        owner = await make(world, GADGET, "shop", {"replicas": 1, "template": template("shop:1.0")})
        await replica_set(world, owner, "aaa", "shop:1.0", 1)
        await world.port.patch(
            GADGET, "shop", {"status": {"stableRS": "aaa", "phase": "Healthy"}}, ns, subresource="status"
        )
        await edit(world, GADGET, "shop", {"spec": {"replicas": 3, "template": template("shop:2.0-crash-exit3")}})
        await replica_set(world, owner, "bbb", "shop:2.0-crash-exit3", 2)
        async with asyncio.timeout(120):
            while [one.goodness for one in await history(world, target)] != ["good", "bad"]:  # noqa: ASYNC110
                await asyncio.sleep(0.3)
        found = await history(world, target)
        assert [(one.number, one.images, one.current) for one in found] == [
            (1, ("shop:1.0",), False),
            (2, ("shop:2.0-crash-exit3",), True),
        ]
        plan = await world.plan(target)
        assert plan.revision.number == 1
        assert [field.path for field in plan.changes.objects[0].fields] == [
            "spec.template.spec.containers[name=main].image"
        ]
        assert "stable" not in str(plan.steps[0].params), "what it said stands in no plan"
        step = plan.steps[0]
        outcome = await registry.effect(step.action)(_Context(world), step)
        assert outcome.changed
        now = await spec(world, GADGET, "shop")
        assert now["template"]["spec"]["containers"][0]["image"] == "shop:1.0" and now["replicas"] == 3
        assert "rollouts-pod-template-hash" not in now["template"]["metadata"]["labels"]
        assert next(one for one in await history(world, target) if one.current).number == 1

    run(running, ns, tmp_path, work)


class _Context:
    """What an effect gets."""

    run = "test"
    again = False

    def __init__(self, world: World) -> None:
        self.cluster = world.port

    async def guard(self) -> None:
        return

    def progress(self, message: Any, **data: Any) -> None:
        return
