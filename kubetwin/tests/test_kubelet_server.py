# SPDX-License-Identifier: Apache-2.0
"""The kubelet's own endpoint, and attaching simulated nodes to a server over HTTPS."""

from __future__ import annotations

import asyncio

from twin_cluster import NS, container, pod

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import Api, Obj
from kubetwin.kinds import PODS, SERVICEACCOUNTS
from kubetwin.kubelet.agent import Kubelet
from kubetwin.kubelet.nodes import SimulatedNode
from kubetwin.kubelet.server import KubeletServer
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.serving.http import Request
from kubetwin.transport import LocalTransport


def bound(name: str, node: str, image: str = "registry.example/app:1.0.0") -> Obj:
    return pod(name, container(image), nodeName=node, automountServiceAccountToken=False)


async def account(api: Api) -> None:
    """What admission wants of every pod's namespace; here no controller makes it."""
    made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NS}}
    await api.create(SERVICEACCOUNTS, made)


def is_ready(found: Obj | None) -> bool:
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_container_logs() -> None:
    async def main() -> None:
        api = Api(LocalTransport(ApiServer()))
        kubelet = Kubelet(api, [SimulatedNode("n1", 0, "127.0.0.1")], KubeletSettings.instant())
        server = KubeletServer(kubelet)
        task = asyncio.create_task(kubelet.run())

        async def read(path: str, **query: str) -> tuple[int, str]:
            request = Request("GET", path, {k: [v] for k, v in query.items()})
            answer = await server.handle(request)
            if answer.stream is None:
                return answer.status, (answer.body or b"").decode()
            return answer.status, b"".join([c async for c in answer.stream]).decode()

        try:
            async with asyncio.timeout(600):
                await account(api)
                await api.create(PODS, bound("p", "n1"))
                pods = kubelet.pod_cache
                await pods.wait_for(lambda: is_ready(pods.get("p", NS)))
                path = f"/containerLogs/{NS}/p/app"
                code, text = await read(path)
                assert code == 200
                lines = text.splitlines()
                assert len(lines) == 3
                assert await read(path, tailLines="1") == (200, lines[-1] + "\n")
                assert await read(path, tailLines="0") == (200, "")
                assert await read(path, limitBytes="5") == (200, text[:5])
                _, stamped = await read(path, timestamps="true", tailLines="1")
                assert stamped.endswith(f"Z {lines[-1]}\n")
                assert await read(path, sinceTime="2999-01-01T00:00:00Z") == (200, "")
                assert await read(path, tailLines="x") == (400, '{"message": "Unable to decode query."}')
                previous = 'previous terminated container "app" in pod "p" not found'
                assert await read(path, previous="true") == (400, previous)
                assert await read(f"/containerLogs/{NS}/q/app") == (404, 'pod "q" does not exist')
                assert await read(f"/containerLogs/{NS}/p/x") == (404, 'container "x" not found in pod "p"')
                assert await read("/healthz") == (200, "ok")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
