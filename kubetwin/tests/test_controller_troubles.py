# SPDX-License-Identifier: Apache-2.0
"""The control loops converge although the API fails now and then, before or after it did what was asked."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from twin_cluster import NS, container, image_patch, workload

from kubetwin.apiserver.server import ApiServer
from kubetwin.client import JSON_PATCH, Api, Obj, RawResponse
from kubetwin.controlplane import ControlPlane, RunSettings
from kubetwin.kinds import DAEMONSETS, DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.transport import LocalTransport

FAILED = (
    b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"InternalError","message":"broken","code":500}'
)


class Troubled(LocalTransport):
    """One write in six is refused, lost on the way back, or never sent."""

    def __init__(self, server: ApiServer, seed: int) -> None:
        super().__init__(server)
        self.random = random.Random(seed)
        self.failed = 0

    async def send(self, method: str, path: str, query: Any, headers: Any, body: Any) -> RawResponse:
        chance = self.random.random()
        if method == "GET" or chance > 1 / 6:
            return await super().send(method, path, query, headers, body)
        self.failed += 1
        if chance < 1 / 18:
            raise ConnectionResetError("before")
        if chance < 2 / 18:
            return RawResponse(500, {}, FAILED)
        await super().send(method, path, query, headers, body)
        raise ConnectionResetError("after")


def settled(obj: Obj | None) -> bool:
    status = (obj or {}).get("status") or {}
    if obj is None or status.get("observedGeneration") != obj["metadata"]["generation"]:
        return False
    if obj["kind"] == "DaemonSet":
        return status.get("updatedNumberScheduled") == status.get("numberAvailable") == 2
    wanted = obj["spec"]["replicas"]
    return all(
        status.get(k, 0) == wanted for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_workloads_converge(seed: int) -> None:
    async def main() -> None:
        server = ApiServer()
        transport = Troubled(server, seed)
        plane = ControlPlane(Api(transport), RunSettings(kubelet=KubeletSettings.instant()), server=server)
        api = Api(LocalTransport(server))
        task = asyncio.create_task(plane.run())
        sets = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFULSETS, "DaemonSet": DAEMONSETS}

        async def all_settled() -> None:
            for kind, resource in sets.items():
                informer = plane.informers.of(resource)
                await informer.wait_for(lambda i=informer, k=kind: settled(i.get(k.lower(), NS)))  # type: ignore[misc]

        try:
            async with asyncio.timeout(600):
                await plane.ready.wait()
                for kind, resource in sets.items():
                    replicas = None if kind == "DaemonSet" else 3
                    image = container("registry.example/app:1.0.0")
                    await api.create(resource, workload(kind, kind.lower(), image, replicas=replicas))
                await all_settled()
                for tag in ("1.1.0", "1.2.0", "1.0.0"):
                    for kind, resource in sets.items():
                        patch = image_patch(f"registry.example/app:{tag}")
                        answer = await api.patch(resource, kind.lower(), patch, NS, content_type=JSON_PATCH)
                        plane.informers.of(resource).observe(answer)
                    await all_settled()
                pods = plane.informers.of(PODS)
                await pods.wait_for(lambda: len(pods) == 8)
                images = {p["spec"]["containers"][0]["image"] for p in pods.all()}
                assert images == {"registry.example/app:1.0.0"}
                assert len(plane.informers.of(REPLICASETS).all()) == 3
                deployed = plane.informers.of(DEPLOYMENTS).get("deployment", NS)
                assert deployed is not None and "collisionCount" not in deployed["status"], (
                    "an answer that was lost is none"
                )
                for resource in sets.values():
                    for obj in plane.informers.of(resource).all():
                        await api.delete(resource, obj["metadata"]["name"], NS, propagation="Foreground")
                await pods.wait_for(lambda: len(pods) == 0)
            assert transport.failed > 20
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
