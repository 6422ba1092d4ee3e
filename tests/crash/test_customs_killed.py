# SPDX-License-Identifier: Apache-2.0
"""`backout run` and `backout undo` of custom resources are killed from outside at each of their steps, then resumed: the same end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_a2_killed import killed_at
from test_objects_killed import NS, World, make, ready

from backout.cluster.client import KubernetesCluster
from backout.cluster.port import DEPLOYMENTS, LEASES, REPLICASETS, Object, Resource
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.kube.definitions import CRDS
from kubetwin import process

ROLLOUT = Resource("argoproj.io/v1alpha1", "Rollout", "rollouts")
ROUTE = Resource("routing.example/v1", "Route", "routes")
"""One whose operator runs here, with a status, and one that only says something."""
GOOD, BAD = "registry.example/shop:1.0", "registry.example/shop:2.0-crash-exit3"
SAID: dict[str, Any] = {"to": "cart", "weights": [{"to": "a", "weight": 90}, {"to": "b", "weight": 10}]}
WRONG: dict[str, Any] = {"to": "nowhere", "weights": [], "timeout": "1s"}
POINTS = [
    ("rollout", "step-started", "put-back"),
    ("rollout", "step-done", "put-back"),
    ("rollout", "step-started", "wait-.*"),
    ("rollout", "step-done", "wait-.*"),
    ("route", "step-started", "put-back"),
]
TARGETS = {"rollout": "rollout.argoproj.io/shop", "route": "route.routing.example/cart"}


def definition(resource: Resource, *, status: bool) -> Object:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": resource.api_version.partition("/")[2], "served": True, "storage": True, "schema": schema}
    names = {"kind": resource.kind, "plural": resource.plural, "listKind": f"{resource.kind}List"}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced",
            "names": {**names, "singular": resource.kind.lower()},
            "versions": [{**version, **({"subresources": {"status": {}}} if status else {})}],
        },
    }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One embedded cluster with both, and the operator of one."""
    with tempfile.TemporaryDirectory(prefix="backout-customs-") as folder:
        directory = Path(folder) / "twin"
        quick = {"start_delay": 0.2, "backoff_initial": 1.0, "backoff_max": 4.0}
        twin = process.up(directory, ("cluster-01",), kubelet=quick)
        try:
            found = World(twin.kubeconfig, {**os.environ, "HOME": folder})
            found.use(build)
            yield found
        finally:
            process.down(directory)


async def build(cluster: KubernetesCluster) -> None:
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    for resource, status in ((ROLLOUT, True), (ROUTE, False)):
        await cluster.create(definition(resource, status=status))
    while not {"Rollout", "Route"} <= {found.resource.kind for found in (await cluster.catalogue()).kinds}:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    operator = {"containers": [{"name": "operator", "image": "quay.io/argoproj/argo-rollouts:v1.8.3"}]}
    await make(cluster, "Deployment", "operator", operator)
    await ready(cluster, DEPLOYMENTS, "operator")
    labels = {"app": "shop"}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": GOOD}]}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "strategy": {"canary": {}}}
    await create(cluster, ROLLOUT, "shop", {**spec, "template": {"metadata": {"labels": labels}, "spec": pod}})
    await create(cluster, ROUTE, "cart", SAID)


async def create(cluster: KubernetesCluster, resource: Resource, name: str, spec: Object) -> None:
    meta = {"name": name, "namespace": NS}
    await cluster.create({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, "spec": spec})


async def say(cluster: KubernetesCluster, name: str, *, good: bool) -> None:
    """As somebody edits it."""
    if name == "route":
        cleared = dict.fromkeys(SAID.keys() | WRONG.keys())
        await cluster.patch(ROUTE, "cart", {"spec": cleared}, NS)
        await cluster.patch(ROUTE, "cart", {"spec": SAID if good else WRONG}, NS)
        return
    image = {"op": "add", "path": "/spec/template/spec/containers/0/image", "value": GOOD if good else BAD}
    await cluster.patch(ROLLOUT, "shop", [image], NS, type="json")
    while not await (healthy(cluster) if good else failing(cluster)):  # noqa: ASYNC110 - nothing tells of both
        await asyncio.sleep(0.1)


async def healthy(cluster: KubernetesCluster) -> bool:
    obj = await cluster.get(ROLLOUT, "shop", NS)
    status = obj.get("status") or {}
    seen = str(status.get("observedGeneration")) == str(obj["metadata"]["generation"])
    return seen and status.get("phase") == "Healthy"


async def failing(cluster: KubernetesCluster) -> bool:
    """A ReplicaSet of the bad image has a pod that is not ready."""
    for found in await cluster.list_all(REPLICASETS, NS):
        if found["spec"]["template"]["spec"]["containers"][0]["image"] == BAD:
            status = found.get("status") or {}
            return bool(status.get("replicas")) and not status.get("readyReplicas")
    return False


async def look(cluster: KubernetesCluster, name: str) -> dict[str, Any]:
    route = await cluster.get(ROUTE, "cart", NS)
    shop = await cluster.get(ROLLOUT, "shop", NS)
    return {
        "said": route["spec"] if name == "route" else shop["spec"]["template"]["spec"]["containers"][0]["image"],
        "generation": (route if name == "route" else shop)["metadata"]["generation"],
        "leases": [lease["metadata"]["name"] for lease in await cluster.list_all(LEASES, NS)],
    }


def ended(world: World, folder: Path, run: str, killed: int | None, *, code: int = 0) -> None:
    """Resumed, it is over, each step was carried out once, and nothing is left behind."""
    resumed = world.backout(folder, "resume", run)
    resumed.wait(timeout=600)
    said = (folder / "out").read_text() + (folder / "err").read_text()
    assert killed == -signal.SIGKILL
    assert resumed.returncode == code, said
    with SqliteRunStore(folder / "state.db", create=False) as store:
        found, events = store.get(run), store.events(run)
    for planned in found.operation.parts[0].steps:
        assert sum(e.type == "step-done" and e.step == planned.id for e in events) == 1, planned.id


def broken(world: World, folder: Path, name: str) -> None:
    """A good snapshot, and then the bad content."""
    (folder / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 1}\n")
    world.use(lambda cluster: say(cluster, name, good=True))
    world.healthy(folder)
    world.use(lambda cluster: say(cluster, name, good=False))


@pytest.mark.parametrize(("name", "kind", "step"), POINTS, ids=["-".join(p).replace("-.*", "") for p in POINTS])
def test_killed_then_resumed(world: World, tmp_path: Path, name: str, kind: str, step: str) -> None:
    broken(world, tmp_path, name)
    before = world.use(lambda cluster: look(cluster, name))

    running = world.backout(tmp_path, "run", TARGETS[name], "--yes")
    run = killed_at(tmp_path, running, kind, step)
    ended(world, tmp_path, run, running.returncode)

    after = world.use(lambda cluster: look(cluster, name))
    assert after["said"] == (SAID if name == "route" else GOOD)
    assert after["leases"] == []
    # It was written once, however often the run began anew.
    assert after["generation"] == before["generation"] + 1


@pytest.mark.parametrize("kind", ["step-started", "step-done"])
def test_an_undo_that_is_killed(world: World, tmp_path: Path, kind: str) -> None:
    broken(world, tmp_path, "route")
    before = world.use(lambda cluster: look(cluster, "route"))
    world.told(tmp_path, "run", TARGETS["route"], "--yes")
    with SqliteRunStore(tmp_path / "state.db", create=False) as store:
        done = store.summaries(1)[0].id

    running = world.backout(tmp_path, "undo", done, "--yes")
    undo = killed_at(tmp_path, running, kind, "undo-put-back")
    assert undo != done
    ended(world, tmp_path, undo, running.returncode)

    after = world.use(lambda cluster: look(cluster, "route"))
    assert (after["said"], after["leases"]) == (before["said"], [])
    assert after["generation"] == before["generation"] + 2
