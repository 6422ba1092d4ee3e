# SPDX-License-Identifier: Apache-2.0
"""`backout run` of single objects is killed from outside at each kind of step, then resumed: the same end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_a2_killed import killed_at

from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.port import CONFIGMAPS, DEPLOYMENTS, LEASES, PODS, STATEFULSETS, Object, Resource
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import ObjectNotFound
from kubetwin import process

T = TypeVar("T")
NS = "killed"
IMAGE = "registry.example/thanos:1.0"
RING = [{"endpoints": ["receive-0.receive:10901"]}]
OTHER = json.dumps([{"endpoints": ["receive-0.receive:10901", "receive-7.receive:10901"]}])
POINTS = [
    # Each write of these is killed before, after and after its record by tests/kills; here, at steps that only wait or look on.
    # An immutable object: its readers go, it is made anew, they come back.
    ("fixed", "step-done", "restore"),
    ("fixed", "step-started", "ready-.*"),
    # One that is read once: its readers are restarted.
    ("plain", "step-progress", "ready-.*"),
    # One that is followed: nothing but patience.
    ("ring", "step-started", "restore"),
    ("ring", "step-started", "reload-.*"),
    ("ring", "step-progress", "reload-.*"),
]
BAD = {"fixed": {"a": "2"}, "plain": {"a": "2", "evil": "x"}, "ring": {"ring.json": OTHER}}
GOOD = {"fixed": {"a": "1"}, "plain": {"a": "1"}, "ring": {"ring.json": json.dumps(RING)}}


@dataclass
class World:
    kubeconfig: Path
    environment: dict[str, str]
    namespace: str = NS

    def backout(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **self.environment,
            "BACKOUT_STATE": str(folder / "state.db"),
            "BACKOUT_DATA": str(folder / "data"),
        }
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "backout.cli.main",
                *arguments,
                "--kubeconfig",
                str(self.kubeconfig),
                "-n",
                self.namespace,
                "--config",
                str(folder / "backout.yaml"),
                "-o",
                "json",
            ],
            env=environment,
            cwd=folder,
            stdout=(folder / "out").open("w"),
            stderr=(folder / "err").open("w"),
            text=True,
        )

    def told(self, folder: Path, *arguments: str) -> str:
        running = self.backout(folder, *arguments)
        assert running.wait(timeout=600) == 0, (folder / "err").read_text()
        return (folder / "out").read_text()

    def healthy(self, folder: Path) -> None:
        """Takes snapshots until one is good."""
        deadline = time.monotonic() + 240
        while not json.loads(self.told(folder, "snapshot", "create"))["items"][0]["healthy"]:
            assert time.monotonic() < deadline, "never healthy"

    def use(self, work: Callable[[KubernetesCluster], Awaitable[T]]) -> T:
        async def main() -> T:
            async with asyncio.timeout(600), connect(str(self.kubeconfig), "cluster-01") as cluster:
                return await work(cluster)

        return asyncio.run(main())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One embedded cluster with three readers."""
    with tempfile.TemporaryDirectory(prefix="backout-objects-") as folder:
        directory = Path(folder) / "twin"
        twin = process.up(directory, ("cluster-01",), kubelet={"start_delay": 0.2, "volume_sync": 1.0})
        try:
            found = World(twin.kubeconfig, {**os.environ, "HOME": folder})
            found.use(build)
            yield found
        finally:
            process.down(directory)


async def build(cluster: KubernetesCluster) -> None:
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    for name, data in GOOD.items():
        await put(cluster, name, data)
    await make(cluster, "Deployment", "fixed", mounted("fixed"), replicas=2)
    variable = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "plain", "key": "a"}}}
    await make(cluster, "Deployment", "plain", {"containers": [{"name": "app", "image": IMAGE, "env": [variable]}]})
    arguments = ["receive", "--receive.hashrings-file=/etc/app/ring.json"]
    spec = mounted("ring", args=arguments, ports=[{"name": "http", "containerPort": 10902}])
    await cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "receive", "namespace": NS},
            "spec": {"clusterIP": "None", "selector": {"app": "receive"}, "ports": [{"port": 10901}]},
        }
    )
    await make(cluster, "StatefulSet", "receive", spec, serviceName="receive")
    for resource, name in ((DEPLOYMENTS, "fixed"), (DEPLOYMENTS, "plain"), (STATEFULSETS, "receive")):
        await ready(cluster, resource, name)


def mounted(name: str, **container: Any) -> dict[str, Any]:
    return {
        "volumes": [{"name": "v", "configMap": {"name": name}}],
        "containers": [
            {"name": "app", "image": IMAGE, "volumeMounts": [{"name": "v", "mountPath": "/etc/app"}], **container}
        ],
    }


async def make(cluster: KubernetesCluster, kind: str, name: str, spec: dict[str, Any], **more: Any) -> None:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, **spec}}
    await cluster.create(
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": NS},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **more},
        }
    )


async def put(cluster: KubernetesCluster, name: str, data: dict[str, str]) -> None:
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NS}, "data": data}
    if name == "fixed":
        with contextlib.suppress(ObjectNotFound):
            await cluster.delete(CONFIGMAPS, name, NS)
        await cluster.create({**body, "immutable": True})
        return
    try:
        await cluster.replace(body)
    except ObjectNotFound:
        await cluster.create(body)


async def ready(cluster: KubernetesCluster, resource: Resource, name: str) -> None:
    while True:
        obj = await cluster.get(resource, name, NS)
        status, wanted = obj.get("status") or {}, obj["spec"]["replicas"]
        counted = {status.get(field) for field in ("replicas", "readyReplicas", "updatedReplicas")}
        if counted == {wanted} and status.get("observedGeneration") == obj["metadata"]["generation"]:
            return
        await asyncio.sleep(0.1)


async def broken(cluster: KubernetesCluster, name: str) -> None:
    """Puts the bad content, and waits until the receiver works with it."""

    async def loaded() -> int:
        return (await cluster.logs("receive-0", NS, "app", tail=500)).count("Set up hashring")

    before = await loaded()
    await put(cluster, name, BAD[name])
    if name == "plain":
        # Only what has started since can have read it.
        for pod in await cluster.list_all(PODS, NS, labels="app=plain"):
            await cluster.delete(PODS, pod["metadata"]["name"], NS)
        while not [p for p in await cluster.list_all(PODS, NS, labels="app=plain") if _fresh(p)]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await ready(cluster, DEPLOYMENTS, "plain")
    while name == "ring" and await loaded() == before:  # noqa: ASYNC110 - nothing tells of log lines
        await asyncio.sleep(0.1)


def _fresh(pod: Object) -> bool:
    return not pod["metadata"].get("deletionTimestamp")


async def look(cluster: KubernetesCluster, name: str) -> dict[str, Any]:
    fixed = await cluster.get(DEPLOYMENTS, "fixed", NS)
    receive = await cluster.get(PODS, "receive-0", NS)
    return {
        "data": (await cluster.get(CONFIGMAPS, name, NS)).get("data"),
        "replicas": fixed["spec"]["replicas"],
        "ready": (fixed.get("status") or {}).get("readyReplicas"),
        "leases": [lease["metadata"]["name"] for lease in await cluster.list_all(LEASES, NS)],
        "receive": receive["metadata"]["uid"],
    }


@pytest.mark.parametrize(("name", "kind", "step"), POINTS, ids=["-".join(p).replace("-.*", "") for p in POINTS])
def test_killed_then_resumed(world: World, tmp_path: Path, name: str, kind: str, step: str) -> None:
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 1}\n")
    world.use(lambda cluster: put(cluster, name, GOOD[name]))
    world.healthy(tmp_path)
    world.use(lambda cluster: broken(cluster, name))
    before = world.use(lambda cluster: look(cluster, name))

    running = world.backout(tmp_path, "run", f"configmap/{name}", "--yes", "--approve", "recreate")
    run = killed_at(tmp_path, running, kind, step)
    resumed = world.backout(tmp_path, "resume", run)
    resumed.wait(timeout=600)
    said = (tmp_path / "out").read_text() + (tmp_path / "err").read_text()

    assert running.returncode == -signal.SIGKILL
    with SqliteRunStore(tmp_path / "state.db", create=False) as store:
        found, events = store.get(run), store.events(run)
    assert found.state == "recovered", said
    assert resumed.returncode == 0, said
    for planned in found.operation.parts[0].steps:
        assert sum(e.type == "step-done" and e.step == planned.id for e in events) == 1, planned.id
    after = world.use(lambda cluster: look(cluster, name))
    assert after["data"] == GOOD[name]
    assert (after["replicas"], after["ready"], after["leases"]) == (2, 2, [])
    # What follows its file was not touched, however often the run began anew.
    assert after["receive"] == before["receive"]
