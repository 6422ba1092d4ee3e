# SPDX-License-Identifier: Apache-2.0
"""Carries out steps as a run does, without its engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from cluster_harness import Cluster as Harness

from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.port import Cluster, Resource
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms.port import Draft, Reading, StepOutcome
from backout.mechanisms.workload.mechanism import WorkloadMechanism
from backout.model.message import Message
from backout.model.part import Step
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target

GOOD, BETTER, CRASH, MISSING = "1.0", "1.1", "2.0-crash-exit2", "2.0-missing"
IMAGE = "registry.example/app"
WORKLOADS = WorkloadMechanism()


class Context:
    """What an effect gets; ``guards`` counts the writes that were announced."""

    def __init__(self, cluster: Cluster, *, stop_at: int = 0) -> None:
        self.cluster = cluster
        self.run = "test"
        self.again = False
        self.guards = 0
        self.messages: list[str] = []
        self._stop_at = stop_at

    def within(self, refs: Iterable[ObjectRef]) -> None:
        """Everything is in reach."""

    async def guard(self) -> None:
        self.guards += 1
        if self.guards == self._stop_at:
            raise asyncio.CancelledError

    def progress(self, message: Message, **data: Any) -> None:
        self.messages.append(message.text)


def workload(kind: str, name: str, tag: str = GOOD, *, replicas: int = 3, **spec: Any) -> dict[str, Any]:
    """A workload whose image tag says how it behaves on simulated nodes."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "app", "image": f"{IMAGE}:{tag}"}]},
    }
    own: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template, **spec}
    if kind != "DaemonSet":
        own["replicas"] = replicas
    if kind == "StatefulSet":
        own["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": own}


class Bench:
    """One workload under test."""

    def __init__(self, port: KubernetesCluster, kind: str, name: str, namespace: str) -> None:
        self.port, self.kind, self.name, self.namespace = port, kind, name, namespace
        self.target = Target(kind.lower(), name, namespace, port.name)
        self.resource: Resource = WORKLOAD_RESOURCES[kind]

    async def create(self, tag: str = GOOD, **spec: Any) -> None:
        obj = workload(self.kind, self.name, tag, **spec)
        await self.port.create({**obj, "metadata": {"name": self.name, "namespace": self.namespace}})

    async def get(self) -> dict[str, Any]:
        return await self.port.get(self.resource, self.name, self.namespace)

    async def patch(self, body: dict[str, Any]) -> None:
        await self.port.patch(self.resource, self.name, body, self.namespace, type="strategic")

    async def set_image(self, tag: str, **container: Any) -> None:
        entry = {"name": "app", "image": f"{IMAGE}:{tag}", **container}
        await self.patch({"spec": {"template": {"spec": {"containers": [entry]}}}})

    async def image(self) -> str:
        return str((await self.get())["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]

    async def pods(self) -> list[dict[str, Any]]:
        return await self.port.list_all(Resource("v1", "Pod", "pods"), self.namespace, labels=f"app={self.name}")

    async def roll_out(self, tag: str) -> None:
        """To a good image, and until all pods have it."""
        await self.set_image(tag)
        await self.ready()

    async def ready(self, *, timeout: float = 600, **params: Any) -> StepOutcome:
        from backout.mechanisms.common.steps import wait_ready
        from backout.model.target import ObjectRef

        step = wait_ready(ObjectRef("apps/v1", self.kind, self.name, self.namespace), self.target, timeout=timeout)
        step = msgspec.structs.replace(step, params={**step.params, **params})
        return await WORKLOADS.step_kinds()[step.action].effect(Context(self.port), step)

    async def until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Until the pods are so."""
        async with asyncio.timeout(600):
            while not condition(pods := await self.pods()):  # noqa: ASYNC110 - a cluster has no event for it
                await asyncio.sleep(0.1)
        return pods

    async def until_failing(self, tag: str = CRASH) -> None:
        """Until a pod of that image is in its back-off."""
        await self.until(lambda pods: any(failing(pod) for pod in pods if image_of(pod) == tag))

    async def read(self, *wanted: Revision) -> Reading:
        """Prepared for those revisions."""
        return await WORKLOADS.read(self.port, self.target, lambda _: wanted)

    async def draft(self, revision: Revision) -> Draft:
        return (await self.read(revision)).draft(revision)

    async def history(self) -> list[Revision]:
        return list((await self.read()).revisions)

    async def revision(self, tag: str) -> Revision:
        """The revision with that image."""
        return next(r for r in await self.history() if r.images == (f"{IMAGE}:{tag}",))

    async def until_good(self, tag: str) -> list[Revision]:
        """Until the revision with that image has been well for long enough to count as good; then the history."""
        async with asyncio.timeout(600):
            while True:
                history = await self.history()
                if any(r.goodness == "good" and r.images == (f"{IMAGE}:{tag}",) for r in history):
                    return history
                await asyncio.sleep(0.5)

    async def until_numbered(self, number: int) -> Revision:
        """Until the controller has given the revision in force at least that number; then that revision."""
        async with asyncio.timeout(600):
            while True:
                current = next((r for r in await self.history() if r.current), None)
                if current is not None and current.number >= number:
                    return current
                await asyncio.sleep(0.5)

    async def plan(self, tag: str) -> list[Step]:
        steps = (await self.draft(await self.revision(tag))).steps
        # What is stored with a plan is JSON.
        return msgspec.json.decode(msgspec.json.encode(steps), type=list[Step])

    async def carry_out(self, steps: list[Step], *, stop_at: int = 0) -> tuple[list[StepOutcome], Context]:
        context = Context(self.port, stop_at=stop_at)
        return [await WORKLOADS.step_kinds()[step.action].effect(context, step) for step in steps], context


def image_of(pod: dict[str, Any]) -> str:
    return str(pod["spec"]["containers"][0]["image"]).rpartition(":")[2]


def failing(pod: dict[str, Any]) -> bool:
    states = (pod.get("status") or {}).get("containerStatuses") or ()
    reasons = {(state.get("state") or {}).get("waiting", {}).get("reason") for state in states}
    return bool(reasons & {"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"})


def images(pods: list[dict[str, Any]]) -> set[str]:
    return {image_of(pod) for pod in pods}


@asynccontextmanager
async def bench(harness: Harness, kind: str, namespace: str, name: str = "web") -> AsyncIterator[Bench]:
    async with connect(str(harness.kubeconfig), harness.context or "") as port:
        yield Bench(port, kind, name, namespace)


def run(harness: Harness, kind: str, namespace: str, work: Callable[[Bench], Awaitable[None]]) -> None:
    """Runs a test on a workload of that kind."""

    async def main() -> None:
        async with asyncio.timeout(600), bench(harness, kind, namespace) as found:
            await work(found)

    asyncio.run(main())
