# SPDX-License-Identifier: Apache-2.0
"""A whole rollback whose effects are files: engine, store, captures, snapshots and workflow are the real thing."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "verify"))

from small_cluster import SmallCluster

from backout.cluster.port import (
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SECRETS,
    Catalogue,
    Cluster,
    Object,
    Resource,
    Served,
)
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.mechanisms.port import Effect, StepContext, StepOutcome
from backout.model.change import Changes, ObjectChange
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Access, Check, Compensation, Part, Step
from backout.model.revision import Revision
from backout.model.run import Run
from backout.model.scope import ClusterScope
from backout.model.settings import SnapshotSettings
from backout.model.target import ObjectRef, Target
from backout.planning.document import seal
from backout.scopes.clusters import ClusterScopes
from backout.snapshots.capture import Capture, CaptureReceipt, CaptureStore
from backout.workflows.before import Kept, RunSnapshots
from backout.workflows.services import Services

NS = "monitoring"
CANARY = "canary-8d1c-secret"
NAMES = ("one", "two", "three")
Gate = Callable[[str], None]


def no_gate(_: str) -> None:
    return None


class Listing(SmallCluster):
    """With all that a snapshot asks for."""

    async def catalogue(self) -> Catalogue:
        verbs = frozenset({"list", "create", "update"})
        return Catalogue(tuple(Served(resource, verbs) for resource in (DEPLOYMENTS, PODS, SECRETS)))

    async def pages(self, resource: Resource, namespace: str = "", **_: Any) -> AsyncIterator[list[Object]]:
        named = {"apiVersion": resource.api_version, "kind": resource.kind}
        yield [{**named, **obj} for obj in self._of(resource, namespace)]

    async def list_as(self, type: Any, resource: Resource, namespace: str = "", **_: Any) -> list[Any]:
        return await super().list_as(type, resource, namespace)

    async def fold(self, type: Any, resource: Resource, fold: Any, namespace: str = "", **_: Any) -> list[Any]:
        return [fold(await super().list_as(type, resource, namespace))]


def healthy() -> list[tuple[Resource, Object]]:
    """A Deployment of one ready pod, and a Secret."""
    labels = {"app": "web", "pod-template-hash": "a"}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main"}]}}
    hashed = {**template, "metadata": {"labels": labels}}

    def meta(name: str, owner: str = "", tags: dict[str, str] | None = None) -> dict[str, Any]:
        held_by = {"controller": True, "apiVersion": "apps/v1", "kind": "X", "name": "x", "uid": owner}
        owners = [held_by] if owner else []
        return {"name": name, "namespace": NS, "uid": f"u-{name}", "labels": tags or {}, "ownerReferences": owners}

    counters = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    container = {"name": "main", "restartCount": 0, "state": {"running": {}}}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [container]}
    return [
        (DEPLOYMENTS, {"metadata": meta("web"), "spec": {"replicas": 1, "template": template}, "status": counters}),
        (REPLICASETS, {"metadata": meta("web-a", "u-web", labels), "spec": {"template": hashed}}),
        (PODS, {"metadata": meta("web-a-1", "u-web-a", labels), "spec": {}, "status": status}),
        (SECRETS, {"metadata": meta("s"), "data": {"password": CANARY}}),
        (NAMESPACES, {"metadata": {"name": NS, "uid": "u-ns"}}),
    ]


def part(**more: Any) -> Part:
    """Three steps, each of which writes a file; a soak that is short."""
    target = Target("deployment", "web", NS, "small")
    steps = tuple(
        Step(
            id=f"step-{name}",
            action="file.write",
            target=target,
            title=msg("Write {name}", name=name),
            params={"name": name, "text": "new"},
            compensation=Compensation("file.write", {"name": name, "text": "old"}),
        )
        for name in NAMES
    )
    secret = ObjectRef("v1", "Secret", "s", NS)
    values: dict[str, Any] = {
        "id": str(target),
        "scope": ClusterScope(cluster="small", namespace=NS, identity=SmallCluster().who),
        "target": target,
        "mechanism": "workload",
        "cause": msg("a bad image"),
        "current": Revision(number=2, digest="bad"),
        "revision": Revision(number=1, digest="good"),
        "steps": steps,
        "changes": Changes(objects=(ObjectChange(ref=secret, action="update"),)),
        "checks": (
            Check(code="workload-ready", target=target, title=msg("it is ready")),
            Check(code="no-new-restarts", target=target, title=msg("no container restarts")),
        ),
        "access": (Access("patch", "apps", "deployments", NS),),
        "soak": 0.05,
    }
    return Part(**(values | more))


def plan(**more: Any) -> Operation:
    """An operation of that one part."""
    return sealed(part(**more))


def sealed(*parts: Part, **more: Any) -> Operation:
    """An operation of these parts."""
    return seal(Operation(made_at=datetime.now(UTC), parts=parts, **more))


class Files:
    """The "cluster" that the effects change: files, with a line for each write."""

    def __init__(self, folder: Path, gate: Gate = no_gate) -> None:
        self.folder = folder
        self.gate = gate

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text().split()[-1] if path.exists() else ""

    def writes(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    async def write(self, context: StepContext, step: Step) -> StepOutcome:
        name, text = step.params["name"], step.params["text"]
        if self.read(name) == text:
            return StepOutcome(False, msg("{name} is so already", name=name))
        context.progress(msg("writing {name}", name=name))
        await context.guard()
        self.gate(f"before-{name}")
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("a") as file:
            file.write(f"{text}\n")
        self.gate(f"after-{name}")
        return StepOutcome(True, msg("{name} written", name=name))

    def effect(self, action: str) -> Effect:
        assert action == "file.write"
        return self.write


class GatedStore(SqliteRunStore):
    """The run store, with a gate before and after each write."""

    gate: Gate = staticmethod(no_gate)

    def record(self, *events: Any, settled: bool = True) -> Any:
        for event in events[:1]:
            self.gate(f"before-event-{event.type}")
        kept = super().record(*events, settled=settled)
        for event in events[:1]:
            self.gate(f"after-event-{event.type}")
        return kept

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        self.gate("before-answer")
        kept = super().keep_answer(run, step, answer)
        self.gate("after-answer")
        return kept

    def update(self, run: str, **values: Any) -> None:
        self.gate("before-update")
        super().update(run, **values)
        self.gate("after-update")


class GatedCaptures(CaptureStore):
    gate: Gate = staticmethod(no_gate)

    def save(self, capture: Capture) -> CaptureReceipt:
        self.gate("before-capture")
        receipt = super().save(capture)
        self.gate("after-capture")
        return receipt


class GatedSnapshots(RunSnapshots):
    gate: Gate = staticmethod(no_gate)

    async def take(self, cluster: Cluster, part: Part, run: str, actor: str) -> Kept:
        self.gate("before-snapshot")
        kept = await super().take(cluster, part, run, actor)
        self.gate("after-snapshot")
        return kept


def snapshots(folder: Path, gate: Gate = no_gate, **settings: Any) -> RunSnapshots:
    """Into a repository below ``folder``; the key is that of ``$BACKOUT_DATA``."""
    found = GatedSnapshots(SnapshotSettings(repository=str(folder / "snapshots"), **settings))
    found.gate = gate  # type: ignore[method-assign]
    return found


def services(folder: Path, cluster: Any = None, gate: Gate = no_gate) -> tuple[Services, Files]:
    """The outside of a run, below ``folder``; without snapshots before it."""
    files = Files(folder / "files", gate)
    store, captures = GatedStore(folder / "state" / "state.db"), GatedCaptures(folder / "data")
    store.gate = captures.gate = gate  # type: ignore[method-assign]
    world = cluster or Listing(*healthy())
    return Services(
        store=store,
        captures=captures,
        scopes=ClusterScopes(lambda _: world),
        effect_of=files.effect,
        hold=lambda *_: None,
        settle=0.0,
    ), files


def prepared(folder: Path, wanted: Operation | None = None, run: str = "r1") -> None:
    """Keeps the run and puts the old state in place."""
    with SqliteRunStore(folder / "state" / "state.db") as store:
        made = wanted or plan()
        store.create(Run(id=run, state="pending", operation=made, started=datetime.now(UTC), actor="alice"))
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (files / name).write_text("old\n")
