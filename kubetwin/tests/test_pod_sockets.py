# SPDX-License-Identifier: Apache-2.0
"""Sockets of simulated pods at addresses of the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import httpx2
import pytest
from twin_cluster import NS, container, pod

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import Api, Obj
from kubetwin.kinds import PODS, SERVICEACCOUNTS
from kubetwin.kubelet.__main__ import main as attach
from kubetwin.kubelet.agent import Kubelet
from kubetwin.kubelet.network import HTTP2_GREETING
from kubetwin.kubelet.nodes import SimulatedNode
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.kubelet.sockets import NoSockets, claimed, loopback_socket
from kubetwin.meta import pod_ready, status_of
from kubetwin.transport import LocalTransport

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds sockets to an interface")
# Of this process's own: tests run in parallel.
OWN = IPv4Network(f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.0/24")
# Numbers that nothing else on the machine is likely to use.
HTTP, GRPC, FLAG, CLOSED = 28473, 28474, 28475, 28476
PORTS = [{"name": "http", "containerPort": HTTP}, {"name": "grpc", "containerPort": GRPC}]
IMAGE = "registry.example/app:1.0.0"
PATIENCE = 240.0


class Node:
    """A kubelet with one node, and its pods."""

    def __init__(self, api: Api, kubelet: Kubelet) -> None:
        self.api = api
        self.kubelet = kubelet

    def get(self, name: str) -> Obj:
        return self.kubelet.pod_cache.get(name, NS) or {}

    async def create(self, name: str, image: str = IMAGE, *, spec: Any = None, **more: Any) -> None:
        body = container(image, ports=PORTS, **more)
        fixed = {"nodeName": "n1", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0}
        await self.api.create(PODS, pod(name, body, **fixed, **(spec or {})))

    async def until(self, wanted: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.kubelet.pod_cache.wait_for(wanted)

    async def ready(self, name: str) -> str:
        """Its address, once it is ready."""
        await self.until(lambda: self.get(name) and pod_ready(self.get(name)))
        return str(self.get(name)["status"]["podIP"])

    async def delete(self, name: str) -> None:
        await self.api.delete(PODS, name, NS)
        await self.until(lambda: not self.get(name))


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    api = Api(LocalTransport(ApiServer()))
    settings = replace(KubeletSettings.instant(), pod_sockets=True)
    kubelet = Kubelet(api, [SimulatedNode("n1", 0, "127.0.0.1", pod_range=OWN)], settings)
    task = asyncio.create_task(kubelet.run())
    try:
        # What admission wants of every pod's namespace; here no controller makes it.
        made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NS}}
        await api.create(SERVICEACCOUNTS, made)
        yield Node(api, kubelet)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def get(ip: str, path: str = "/", port: int = HTTP) -> tuple[int, str]:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.get(f"http://{ip}:{port}{path}")
        return answer.status_code, answer.text


async def refused(ip: str, port: int = HTTP) -> bool:
    try:
        _, writer = await asyncio.open_connection(ip, port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@linux_only
def test_programs_answer_at_their_pods_address() -> None:
    async def main() -> None:
        async with node() as n:
            await n.create("p", args=[f"--web.listen-address=0.0.0.0:{FLAG}"])
            ip = await n.ready("p")
            assert ip in {str(address) for address in OWN}
            assert await get(ip, "/-/ready") == (200, "OK")
            assert "<title>app</title>" in (await get(ip))[1]
            assert "process_start_time_seconds" in (await get(ip, "/metrics?x=1"))[1]
            assert await get(ip, "/-/healthy", FLAG) == (200, "OK")
            assert (await get(ip, "/nothing"))[0] == 404
            reader, writer = await asyncio.open_connection(ip, GRPC)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == HTTP2_GREETING
            writer.close()
            # Elsewhere nobody listens, above all not at all addresses.
            assert await refused(ip, CLOSED)
            assert await refused("127.0.0.1")
            # A connection that is open does not outlive the pod, nor do the sockets.
            reader, writer = await asyncio.open_connection(ip, HTTP)
            await n.delete("p")
            assert await refused(ip) and await refused(ip, GRPC)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            # The address goes to another pod.
            await n.create("q", readinessProbe={"httpGet": {"path": "/-/ready", "port": HTTP}})
            assert await n.ready("q") == ip
            assert await get(ip, "/-/ready") == (200, "OK")
        assert await refused(ip), "the kubelet has ended"

    asyncio.run(main())


@linux_only
def test_nobody_listens_for_what_does_not_run() -> None:
    async def main() -> None:
        async with node() as n:
            await n.create("crash", f"{IMAGE}-crash")
            await n.create("slow", f"{IMAGE}-slow30m")
            await n.create("late", f"{IMAGE}-slow1s")
            await n.create("unready", f"{IMAGE}-unready", readinessProbe={"httpGet": {"path": "/", "port": HTTP}})
            assert await refused(await n.ready("slow"))
            late = await n.ready("late")
            async with asyncio.timeout(PATIENCE):
                while True:
                    if not await refused(late):
                        break
                    await asyncio.sleep(0.05)
            assert (await get(late))[0] == 200
            await n.until(lambda: "CrashLoopBackOff" in str(status_of(n.get("crash"))))
            assert await refused(n.get("crash")["status"]["podIP"])
            await n.until(lambda: status_of(n.get("unready")).get("podIP"))
            assert await get(n.get("unready")["status"]["podIP"], "/-/ready") == (503, "Service Unavailable\n")

    asyncio.run(main())


@linux_only
def test_pods_of_the_hosts_network_are_at_the_nodes_own_address() -> None:
    """Not on 127.0.0.1: API servers refuse it as an endpoint, and a Service of such pods would have none for ever."""

    async def main() -> None:
        async with node() as n:
            await n.create("host", spec={"hostNetwork": True})
            ip = await n.ready("host")
            assert ip == str(OWN[1])
            assert await get(ip, "/-/ready") == (200, "OK")
            assert await refused("127.0.0.1")
            await n.create("other")
            assert await n.ready("other") == str(OWN[2])

    asyncio.run(main())


def test_a_node_with_an_address_of_its_own_gives_it_to_the_hosts_network() -> None:
    assert SimulatedNode("n", 0, "172.18.0.2").host_network_ip == "172.18.0.2"


@linux_only
def test_an_address_that_is_taken_is_told_and_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        first = str(OWN[2])
        taken = await asyncio.start_server(lambda _, writer: writer.close(), sock=loopback_socket(first, HTTP))
        async with node() as n:
            await n.create("p")
            assert await n.ready("p") == first
            assert not await refused(first, GRPC)
        taken.close()
        assert f"pod {NS}/p cannot listen at {first}:{HTTP}: Address already in use" in caplog.text
        assert caplog.text.count("cannot listen") == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())


@linux_only
def test_networks_of_pods_are_claimed() -> None:
    other = IPv4Network("198.51.100.0/24")

    async def main() -> None:
        async with claimed([OWN]):
            with pytest.raises(NoSockets, match="another kubelet's pods listen in 127"):
                async with claimed([OWN]):
                    raise AssertionError("claimed twice")
        with pytest.raises(NoSockets) as caught:
            async with claimed([OWN, other]):
                raise AssertionError("claimed")
        assert str(caught.value) == (
            "198.51.100.1 of 198.51.100.0/24 is not on this machine's loopback interface: "
            "Cannot assign requested address"
        )
        async with claimed([OWN]):
            assert await refused(str(OWN[1]), 10250), "a claim listens nowhere"

    asyncio.run(main())


@linux_only
def test_a_pod_gives_its_address_back_once() -> None:
    async def main() -> None:
        async with node() as n:
            await n.create("p")
            ip = await n.ready("p")
            running = n.kubelet.pods[f"{NS}/p"]
            machine, addresses = running.machine, running.node.node
            deleted = {**machine.pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
            machine.update({**machine.pod, "metadata": deleted})
            now = time.time()
            while not machine.gone:
                now += 1
                machine.step(now)
            # The API server tells of the pod's last changes before it is deleted.
            machine.step(now + 1)
            taken = {addresses.allocate_ip() for _ in range(3)}
            assert ip in taken and len(taken) == 3

    asyncio.run(main())


def test_addresses_of_a_node() -> None:
    own = SimulatedNode("n", 0, "127.0.0.1", pod_range=IPv4Network("10.9.0.128/25"))
    own.reserve_ip("10.9.0.140")
    own.reserve_ip("10.244.0.7")
    assert own.allocate_ip() == "10.9.0.141"
    own.release_ip("10.9.0.141")
    assert [own.allocate_ip() for _ in range(3)] == ["10.9.0.141", "10.9.0.142", "10.9.0.143"]
    while own.allocate_ip() != "10.9.0.254":
        pass
    with pytest.raises(OSError, match="node n has no free pod address in 10"):
        own.allocate_ip()
    assert SimulatedNode("n", 1, "127.0.0.1").allocate_ip() == "10.245.0.2"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--pod-cidr", "127.1.0.0/16"], "127.1.0.0/16: API servers take no such addresses for pods"),
        (["--pod-cidr", "128.0.0.0/1"], "128.0.0.0/1: API servers take no such addresses for pods"),
        (["--pod-cidr", "10.9.0.1/16"], "10.9.0.1/16 has host bits set"),
        (["--pod-cidr", "fd00::/64"], "Expected 4 octets"),
        (["--pod-cidr", "198.51.100.0/24", "--nodes", "3"], "198.51.100.0/24 is too small for 3 nodes: each needs a"),
        (["--pod-cidr", "198.51.100.0/24", "--pod-sockets", "on"], "ip route add local 198.51.100.0/24 dev lo"),
    ],
)
def test_refused_settings(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = attach(["--kubeconfig", str(tmp_path / "none"), *arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert problem in capsys.readouterr().err
