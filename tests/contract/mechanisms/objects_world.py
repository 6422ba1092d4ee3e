# SPDX-License-Identifier: Apache-2.0
"""Objects of a namespace, a repository with snapshots of it, and the mechanism as a run would call it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from cluster_harness import Cluster as Harness
from mechanism_helpers import Context

from backout.cluster.client import connect
from backout.cluster.port import DEPLOYMENTS, PODS, STATEFULSETS, Object
from backout.mechanisms import registry
from backout.mechanisms.objects.history import resource_of
from backout.mechanisms.port import StepOutcome, Undoing
from backout.model.operation import Operation
from backout.model.part import Part, Step
from backout.model.revision import Revision
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Snapshot
from backout.model.target import OBJECTS, ObjectRef, Target
from backout.snapshots import source
from backout.snapshots.capture import CaptureStore, capture
from backout.snapshots.collect import About, take
from backout.snapshots.repository.opening import open_repository
from backout.workflows.prepare import make_operation

RUN = "run-of-the-test"
IMAGE = "registry.example/app:1.0"


class World:
    """One namespace of the cluster under test."""

    def __init__(self, port: Any, ns: str, settings: SnapshotSettings) -> None:
        self.port, self.ns, self.settings = port, ns, settings

    def target(self, text: str) -> Target:
        kind, _, name = text.partition("/")
        return Target(kind, name, self.ns, self.port.name)

    async def make(self, kind: str, name: str, api: str = "v1", **fields: Any) -> Object:
        metadata = {"name": name, "namespace": self.ns, **fields.pop("metadata", {})}
        return await self.port.create({"apiVersion": api, "kind": kind, "metadata": metadata, **fields})

    async def get(self, text: str) -> Object:
        kind, _, name = text.partition("/")
        return await self.port.get(resource_of(ObjectRef(*OBJECTS[kind], name, self.ns)), name, self.ns)

    async def change(self, text: str, patch: dict[str, Any]) -> Object:
        kind, _, name = text.partition("/")
        return await self.port.patch(resource_of(ObjectRef(*OBJECTS[kind], name, self.ns)), name, patch, self.ns)

    async def delete(self, text: str) -> None:
        kind, _, name = text.partition("/")
        await self.port.delete(resource_of(ObjectRef(*OBJECTS[kind], name, self.ns)), name, self.ns)

    async def snapshot(self, **about: Any) -> Snapshot:
        found = await open_repository(self.settings, create=True)
        try:
            taken = await take(self.port, found.repository, self.ns, About(**{"healthy": True, **about}))
            return taken.snapshot
        finally:
            await found.repository.close()

    async def plan(self, text: str, to: str = "") -> Part:
        """As a run has it: through the JSON in which it is stored."""
        plan = await make_operation(self.port, self.target(text), made_at=datetime.now(UTC), to=to)
        return msgspec.json.decode(msgspec.json.encode(plan), type=Operation).parts[0]

    async def history(self, text: str) -> tuple[Revision, ...]:
        return (await registry.get("objects").read(self.port, self.target(text))).revisions

    async def keep(self, plan: Part) -> str:
        """Captures what the plan touches; the digest."""
        return CaptureStore().save(await capture(self.port, plan, RUN)).digest

    async def carry_out(self, plan: Part, *, stop_at: int = 0) -> tuple[list[StepOutcome], Context]:
        context = Context(self.port, stop_at=stop_at)
        return [await registry.effect(step.action)(context, step) for step in plan.steps], context

    async def undo(self, plan: Part, digest: str) -> list[StepOutcome]:
        """The compensations, as an undo orders them."""
        back = [step for step in reversed(plan.steps) if step.compensation is not None]
        back.sort(key=lambda step: step.action == "workload.restart")
        found = []
        for step in back:
            assert step.compensation is not None
            action = step.compensation.action
            undoing = Undoing(RUN, step.target, CaptureStore(), RUN, digest)
            params, _ = registry.step_kind(action).reverse(undoing, step, step.compensation.params)
            reverse = Step(id="undo", action=action, target=step.target, title=step.title, params=params)
            found.append(await registry.effect(reverse.action)(Context(self.port), reverse))
        return found

    async def deployment(self, name: str, spec: dict[str, Any], *, replicas: int = 2, **more: Any) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, **spec}}
        await self.make(
            "Deployment",
            name,
            "apps/v1",
            spec={"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **more},
        )

    async def pods(self, app: str) -> dict[str, str]:
        """Name → uid, of those that are not on their way out."""
        found = await self.port.list_all(PODS, self.ns, labels=f"app={app}")
        return {
            p["metadata"]["name"]: p["metadata"]["uid"] for p in found if not p["metadata"].get("deletionTimestamp")
        }

    async def until_ready(self, name: str, count: int, *, kind: str = "Deployment") -> None:
        resource = DEPLOYMENTS if kind == "Deployment" else STATEFULSETS
        async with asyncio.timeout(600):
            while True:
                obj = await self.port.get(resource, name, self.ns)
                status = obj.get("status") or {}
                counted = {status.get("replicas"), status.get("readyReplicas"), status.get("updatedReplicas")}
                if counted == {count} and status.get("observedGeneration") == obj["metadata"]["generation"]:
                    return
                await asyncio.sleep(0.1)

    async def start_anew(self, app: str) -> None:
        """Deletes the pods of a Deployment, and waits until others are ready."""
        before = await self.pods(app)
        for name in before:
            await self.port.delete(PODS, name, self.ns)
        async with asyncio.timeout(600):
            while len(now := await self.pods(app)) != len(before) or now.keys() & before.keys():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await self.until_ready(app, len(before))


def reading(how: str, name: str, key: str = "a", **container: Any) -> dict[str, Any]:
    """A pod spec that reads a key of a ConfigMap."""
    if how == "env":
        value = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}
        return {"containers": [{"name": "app", "image": IMAGE, "env": [value], **container}]}
    return {
        "volumes": [{"name": "v", "configMap": {"name": name}}],
        "containers": [
            {"name": "app", "image": IMAGE, "volumeMounts": [{"name": "v", "mountPath": "/etc/app"}], **container}
        ],
    }


def run(harness: Harness, ns: str, folder: Path, work: Callable[[World], Awaitable[None]]) -> None:
    """Runs a test in a namespace, with a repository in ``folder``."""
    settings = SnapshotSettings(repository=str(folder / "repository"))

    async def main() -> None:
        async with (
            asyncio.timeout(600),
            connect(str(harness.kubeconfig), harness.context or "", name="under-test") as port,
        ):
            await work(World(port, ns, settings))

    with source.using(settings):
        asyncio.run(main())
