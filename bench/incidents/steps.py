# SPDX-License-Identifier: Apache-2.0
"""What happens in a situation, one after the other: edits by an actor, and what programs and nodes do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from bench.incidents.objects import name, ref, resource
from bench.incidents.situation import HELM
from bench.incidents.world import APPLY, SetUp, World
from kubetwin import kinds
from kubetwin.client import ApiException, Obj

Mutation = Callable[[Obj], None]


class Step(Protocol):
    """One thing that happens."""

    async def do(self, world: World) -> None:
        """Lets it happen."""


@dataclass(frozen=True, slots=True)
class Edit:
    """``actor`` changes an object (``helm``: by an upgrade of its release). ``fault``: the program, or its ``container``,
    can't run with the template that comes of it."""

    of: str
    mutation: Mutation
    actor: str = HELM
    fault: str = ""
    log: str = ""
    container: str = ""

    async def do(self, world: World) -> None:
        async with AsyncExitStack() as meanwhile:
            if self.fault:
                await meanwhile.enter_async_context(
                    world.newest_fail(self.of, self.fault, self.log, self.container or name(self.of))
                )
            await world.edit(self.of, self.mutation, self.actor)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One `helm upgrade` that changes several objects, brings new ones, and leaves some out."""

    release: str
    changes: tuple[tuple[str, Mutation], ...] = ()
    brings: tuple[Obj, ...] = ()
    drops: tuple[str, ...] = ()

    async def do(self, world: World) -> None:
        for of, mutation in self.changes:
            mutation(world.wanted(of)[1])
        stack = [obj for obj in world.stacks[self.release] if ref(obj) not in self.drops]
        world.stacks[self.release] = [*stack, *json.loads(json.dumps(self.brings))]
        await world.upgrade(self.release)


@dataclass(frozen=True, slots=True)
class New:
    """Somebody creates an object."""

    obj: Obj
    actor: str = APPLY

    async def do(self, world: World) -> None:
        await world.create(self.obj, self.actor)


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody deletes an object."""

    of: str

    async def do(self, world: World) -> None:
        await world.delete(self.of)


@dataclass(frozen=True, slots=True)
class Anew:
    """Somebody deletes a workload and creates it with a change."""

    of: str
    mutation: Mutation
    actor: str = APPLY

    async def do(self, world: World) -> None:
        obj = await world.get(self.of)
        if obj is None:
            raise SetUp(f"{self.of} is not there")
        meta = obj["metadata"]
        kept = {key: meta[key] for key in ("name", "labels") if key in meta}
        notes = {k: v for k, v in meta.get("annotations", {}).items() if k.startswith("meta.helm.sh/")}
        new = {**obj, "metadata": {**kept, "annotations": notes} if notes else kept}
        new.pop("status", None)
        self.mutation(new)
        await world.delete(self.of)
        await world.until(lambda: world.get(self.of), lambda found: found is None, 30)
        await world.create(new, self.actor)


@dataclass(frozen=True, slots=True)
class Restart:
    """`kubectl rollout restart`."""

    of: str

    async def do(self, world: World) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        def mark(obj: Obj) -> None:
            meta = obj["spec"]["template"].setdefault("metadata", {})
            meta.setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = stamp

        await world.change(self.of, mark, "kubectl-rollout")


@dataclass(frozen=True, slots=True)
class Scale:
    """`kubectl scale`, or an autoscaler by the subresource."""

    of: str
    replicas: int
    actor: str = "kubectl"

    async def do(self, world: World) -> None:
        def scale(obj: Obj) -> None:
            obj["spec"]["replicas"] = self.replicas

        await world.change(self.of, scale, self.actor)


@dataclass(frozen=True, slots=True)
class Kill:
    """The pods of a program are deleted, and made again; ``only`` that many."""

    app: str
    only: int = 0

    async def do(self, world: World) -> None:
        metas = [pod["metadata"] for pod in await world.pods(self.app)]
        names = sorted(str(meta["name"]) for meta in metas if "deletionTimestamp" not in meta)
        for called in names[: self.only or None]:
            try:
                await world.api.delete(kinds.PODS, called, world.namespace)
            except ApiException as error:
                if not error.not_found:
                    raise


@dataclass(frozen=True, slots=True)
class Fails:
    """A program fails from now on without a change of its own; ``until`` that object is again as it was before the fault."""

    of: str
    fault: str
    log: str = ""
    until: str = ""

    async def do(self, world: World) -> None:
        kind, _, called = self.of.partition("/")
        whole = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}[kind]
        await world.fail(self.fault, log=self.log, until=self.until, workload=f"{whole}/{called}")


@dataclass(frozen=True, slots=True)
class Mends:
    """What failed without a change does so no more."""

    async def do(self, world: World) -> None:
        for rule in world.rules:
            await world.api.delete(kinds.CONFIGMAPS, rule.name, "kube-system")
        world.rules.clear()


@dataclass(frozen=True, slots=True)
class NodeFails:
    """The pods on one node of those that a program runs on are unready, and the node is cordoned."""

    app: str

    async def do(self, world: World) -> None:
        nodes = sorted({pod["spec"]["nodeName"] for pod in await world.pods(self.app)})
        for pod in await world.pods():
            if pod["spec"].get("nodeName") == nodes[0]:
                await world.fail("unready", workload=f"Pod/{pod['metadata']['name']}")
        await Cordon(nodes[0]).do(world)


@dataclass(frozen=True, slots=True)
class Cordon:
    """`kubectl cordon`."""

    node: str

    async def do(self, world: World) -> None:
        def cordon(node: Obj) -> None:
            node["spec"]["unschedulable"] = True

        def uncordon(node: Obj) -> None:
            node["spec"].pop("unschedulable", None)

        await world.change_node(self.node, cordon, uncordon)


@dataclass(frozen=True, slots=True)
class Labelled:
    """The nodes of this namespace get a label that others lack."""

    label: str
    count: int = 1

    async def do(self, world: World) -> None:
        def label(node: Obj) -> None:
            node["metadata"]["labels"][self.label] = "yes"

        def unlabel(node: Obj) -> None:
            node["metadata"]["labels"].pop(self.label, None)

        for node in own_nodes(world)[: self.count]:
            await world.change_node(node, label, unlabel)


@dataclass(frozen=True, slots=True)
class Tainted:
    """`kubectl taint node … KEY=…:NoSchedule`, on the nodes of this namespace."""

    key: str
    count: int = 1

    async def do(self, world: World) -> None:
        def untaint(node: Obj) -> None:
            node["spec"]["taints"] = [each for each in node["spec"].get("taints", []) if each["key"] != self.key]

        def taint(node: Obj) -> None:
            untaint(node)
            node["spec"]["taints"].append({"key": self.key, "value": "yes", "effect": "NoSchedule"})

        for node in own_nodes(world)[: self.count]:
            await world.change_node(node, taint, untaint)


def own_nodes(world: World) -> list[str]:
    """The two nodes that no other namespace that is played now touches: the number is at the namespace's end."""
    slot = int(world.namespace.rpartition("-")[2])
    return [f"node-{2 * slot + 1}", f"node-{2 * slot + 2}"]


@dataclass(frozen=True, slots=True)
class Evicted:
    """A pod of a program was evicted long ago, and nobody cleaned up."""

    app: str
    message: str = "The node was low on resource: ephemeral-storage."

    async def do(self, world: World) -> None:
        pod = next(iter(await world.pods(self.app)))
        meta = pod["metadata"]
        called = f"{meta['name'][:-2]}zz"
        containers = [{"name": c["name"], "image": c["image"]} for c in pod["spec"]["containers"]]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": called},
            "spec": {"schedulerName": "nobody", "containers": containers},
        }
        await world.api.create(kinds.PODS, body, world.namespace)
        status = {"phase": "Failed", "reason": "Evicted", "message": self.message, "startTime": "2026-01-01T08:00:00Z"}
        await world.api.patch(kinds.PODS, called, {"status": status}, world.namespace, subresource="status")
        owned = {"metadata": {"labels": meta["labels"], "ownerReferences": meta["ownerReferences"]}}
        await world.api.patch(kinds.PODS, called, owned, world.namespace)


@dataclass(frozen=True, slots=True)
class Warned:
    """Somebody's controller wrote a warning event about an object that is well."""

    of: str
    reason: str
    message: str

    async def do(self, world: World) -> None:
        kind, _, called = self.of.partition("/")
        obj = await world.get(self.of)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        uid = obj["metadata"]["uid"] if obj else ""
        about = {"kind": obj["kind"] if obj else kind, "name": called, "namespace": world.namespace, "uid": uid}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{called}-"},
            "involvedObject": {**about, "apiVersion": obj["apiVersion"] if obj else "v1"},
            "type": "Warning",
            "reason": self.reason,
            "message": self.message,
            "count": 3,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "somebody"},
        }
        await world.api.create(kinds.EVENTS, body, world.namespace)


@dataclass(frozen=True, slots=True)
class Aborted:
    """`kubectl argo rollouts abort`: the stable pods serve alone."""

    of: str

    async def do(self, world: World) -> None:
        body = {"status": {"abort": True}}
        await world.api.patch(resource(self.of), name(self.of), body, world.namespace, subresource="status")


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float

    async def do(self, world: World) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Settled:
    """Until all workloads are ready again."""

    async def do(self, world: World) -> None:
        if left := await world.settle():
            raise SetUp(f"not ready: {', '.join(left)}")


@dataclass(frozen=True, slots=True)
class JobFailed:
    """Until a Job of a CronJob has failed: its schedule has minutes, and a busy machine is late."""

    of: str
    patience: float = 240

    async def do(self, world: World) -> None:
        def failed(jobs: list[Obj]) -> bool:
            return any(
                condition["type"] == "Failed" and condition["status"] == "True"
                for job in jobs
                if any(owner["name"] == name(self.of) for owner in job["metadata"].get("ownerReferences", []))
                for condition in job.get("status", {}).get("conditions", [])
            )

        if not failed(await world.until(lambda: world.list("job"), failed, self.patience)):
            raise SetUp(f"no Job of {self.of} failed")
