# SPDX-License-Identifier: Apache-2.0
"""Simulated nodes attached to a control plane that has nothing but an API server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from twin_cluster import NS, container, pod, workload

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import Api, Obj, Query, RawResponse, Resource
from kubetwin.controllers.node_lifecycle import NodeLifecycleController
from kubetwin.controllers.volumes import VolumeController
from kubetwin.controlplane import CONTROLLERS, ControlPlane, RunSettings
from kubetwin.informer import Informer
from kubetwin.kinds import LEASES, NODES, PODS, PVCS, SERVICEACCOUNTS, STATEFULSETS, STORAGECLASSES
from kubetwin.kubeconfig import kubeconfig
from kubetwin.kubelet.nodes import NodeKeeper, SimulatedNode
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.serving.http import User
from kubetwin.transport import LocalTransport

PATIENCE = 240.0
FOREIGN = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "disk", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "example.com/disk",
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": NS},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


@asynccontextmanager
async def bare(tmp_path: Path) -> AsyncIterator[tuple[ApiServer, Api, Path]]:
    """An API server on its own, and a kubeconfig for it."""
    server = ApiServer()
    await server.start()
    file = tmp_path / "config"
    file.write_text(kubeconfig([server.access]))
    try:
        yield server, Api(LocalTransport(server)), file
    finally:
        await server.stop()


@asynccontextmanager
async def attached(file: Path, *more: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """The command, and what it told when it had started (or ended)."""
    arguments = ["-m", "kubetwin.kubelet", "--kubeconfig", str(file), *more]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            told = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
        yield process, told
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(api: Api, resource: Resource, name: str, namespace: str | None, holds: Callable[[Obj], Any]) -> Obj:
    """The object, as soon as the condition holds for it."""
    informer = Informer(api, resource)
    watching = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await informer.wait_for(lambda: bool(holds(informer.get(name, namespace) or {})))
            return informer.get(name, namespace) or {}
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def phase(obj: Obj) -> str:
    return str((obj.get("status") or {}).get("phase"))


def test_command_attaches_nodes_to_a_server(tmp_path: Path) -> None:
    async def main() -> None:
        async with bare(tmp_path) as (_, api, file), attached(file, "--nodes", "3", "--prefix", "sim-") as (run, told):
            assert told[0].startswith("3 nodes registered at https://127.0.0.1:")
            node = await api.get(NODES, "sim-3")
            assert node["status"]["addresses"] == [{"type": "InternalIP", "address": "127.0.0.1"}]
            assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] > 0
            lease = await api.get(LEASES, "sim-3", "kube-node-lease")
            assert lease["spec"]["holderIdentity"] == "sim-3"
            # What admission wants of every pod's namespace; here no controller makes it.
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NS}}
            await api.create(SERVICEACCOUNTS, account)
            await api.create(PODS, pod("p", container(), nodeName="sim-2", automountServiceAccountToken=False))
            await until(api, PODS, "p", NS, lambda p: phase(p) == "Running")
            run.terminate()
            assert await run.wait() == 0

    asyncio.run(main())


def test_ready_nodes_lose_the_taints_of_conditions_alone(tmp_path: Path) -> None:
    """As the API server makes nodes: with a taint that a node lifecycle controller takes away, and here nobody."""
    own = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    given = [
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        own,
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
    ]

    async def main() -> None:
        async with bare(tmp_path) as (_, api, file):
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "spec": {"taints": given}}
            await api.create(NODES, node)
            async with attached(file, "--nodes", "1"):
                live = await api.get(NODES, "node-1")
                assert live["spec"]["taints"] == [own, given[3]]
                assert any(c["type"] == "Ready" and c["status"] == "True" for c in live["status"]["conditions"])

    asyncio.run(main())


def test_another_may_write_the_node_while_its_taints_are_cleared() -> None:
    """As a controller that runs after all: the node is read again, and what the other wrote stays."""

    class Rival(LocalTransport):
        written = 0

        async def send(self, method: str, path: str, query: Query, headers: Any, body: bytes | None) -> RawResponse:
            if method == "PUT" and path == "/api/v1/nodes/node-1" and not self.written:
                self.written += 1
                label = {"metadata": {"labels": {"rival": "was-here"}}}
                await Api(LocalTransport(self.server)).patch(NODES, "node-1", label)
            return await super().send(method, path, query, headers, body)

    async def main() -> None:
        rival = Rival(ApiServer())
        settings = replace(KubeletSettings.quick(), clear_taints=True)
        keeper = NodeKeeper(Api(rival), [SimulatedNode("node-1", 0, "127.0.0.1")], settings, "v1.36.2")
        keeping = asyncio.create_task(keeper.run())
        async with asyncio.timeout(PATIENCE):
            await keeper.registered.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        node = await Api(rival).get(NODES, "node-1")
        assert rival.written == 1
        assert not node["spec"].get("taints") and node["metadata"]["labels"]["rival"] == "was-here"

    asyncio.run(main())


def test_claims_are_bound_where_there_is_no_storage_class(tmp_path: Path) -> None:
    async def main() -> None:
        async with bare(tmp_path) as (_, api, file), attached(file) as (_, told):
            assert told[2] == "volumes are simulated for the storage classes standard, standard-wait"
            await api.create(PVCS, CLAIM)
            claim = await until(api, PVCS, "data", NS, lambda c: phase(c) == "Bound")
            assert claim["spec"]["storageClassName"] == "standard"

    asyncio.run(main())


def test_pods_with_claims_run_where_only_scheduler_and_workload_controllers_do(tmp_path: Path) -> None:
    """Nobody takes away the taint that nodes are made with, and nobody binds claims, but the kubelet."""
    lacking = (NodeLifecycleController, VolumeController)
    loops = tuple(loop for loop in CONTROLLERS if loop not in lacking)

    async def main() -> None:
        async with bare(tmp_path) as (server, api, file):
            plane = ControlPlane(api, RunSettings(nodes=0, storage_classes=False, loops=loops), server=server)
            running = asyncio.create_task(plane.run())
            try:
                async with attached(file):
                    spec = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM["spec"]}]}
                    await api.create(STATEFULSETS, workload("StatefulSet", "db", container(), replicas=1, **spec))
                    await until(api, PODS, "db-0", NS, lambda p: phase(p) == "Running")
                    assert phase(await api.get(PVCS, "data-db-0", NS)) == "Bound"
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_storage_classes_of_others_are_left_to_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with bare(tmp_path) as (_, api, file):
            await api.create(STORAGECLASSES, FOREIGN)
            async with attached(file) as (_, told):
                assert told[2] == "volumes are left to the cluster's own storage classes disk (example.com/disk)"
            async with attached(file, "--volumes") as (_, told):
                assert told[2] == (
                    "volumes are bound, none is made: no storage class has the provisioner twin.backout.dev/hostpath"
                )
            names = [item["metadata"]["name"] for item in (await api.list(STORAGECLASSES))["items"]]
            assert names == ["disk"]

    asyncio.run(main())


def test_volumes_can_be_left_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with bare(tmp_path) as (_, api, file):
            async with attached(file, "--volumes", "off") as (_, told):
                assert told[2].startswith("volumes are not simulated")
            assert (await api.list(STORAGECLASSES))["items"] == []

    asyncio.run(main())


def test_who_may_not_read_storage_classes_is_told_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with bare(tmp_path) as (server, _, file):
            server.cluster.tokens["nobody's"] = User("nobody", ("system:authenticated",))
            file.write_text(kubeconfig([server.access._replace(token="nobody's")]))
            async with attached(file) as (run, _):
                assert run.stderr is not None
                said = (await run.stderr.read()).decode()
                assert await run.wait() == 2
                assert said.startswith(
                    'error: storage classes: storageclasses.storage.k8s.io is forbidden: User "nobody"'
                )
                assert "--volumes off" in said

    asyncio.run(main())
