# SPDX-License-Identifier: Apache-2.0
"""Programs in pods, reached through the API server. Only of a control plane that can reach its pods."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from cluster_harness import Cluster as Harness
from cluster_harness import container

from backout import errors
from backout.cluster import kubeconfig
from backout.cluster.client import KubernetesCluster, connect

Work = Callable[[KubernetesCluster], Awaitable[None]]
PORTS = [{"name": "http", "containerPort": 8080}, {"name": "grpc", "containerPort": 9090}]


def run(harness: Harness, work: Work, *, user: str = "") -> None:
    async def main() -> None:
        where = kubeconfig.connection(str(harness.kubeconfig), harness.context or "")
        if user:
            where = dataclasses.replace(where, impersonate=(("Impersonate-User", user),))
        async with asyncio.timeout(600), KubernetesCluster(where) as port:
            await work(port)

    asyncio.run(main())


def serve(cluster: Harness, ns: str, selector: str = "web") -> None:
    """A pod that answers HTTP on 8080 and speaks HTTP/2 on 9090, and its Service."""
    if not cluster.reaches_pods:
        pytest.skip("the API server of a bare control plane cannot reach simulated pods")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"containers": [container(ports=PORTS)], "terminationGracePeriodSeconds": 0},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"app": selector},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080},
                {"name": "closed", "port": 81, "targetPort": 8081},
                {"name": "grpc", "port": 82, "targetPort": 9090},
            ],
        },
    }
    cluster.post(f"/api/v1/namespaces/{ns}/pods", pod).ok()
    cluster.post(f"/api/v1/namespaces/{ns}/services", service).ok()

    def ready(obj: dict) -> bool:  # type: ignore[type-arg]
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    cluster.wait(f"/api/v1/namespaces/{ns}/pods/web", ready)
    if selector == "web":
        cluster.wait(f"/api/v1/namespaces/{ns}/endpoints/web", lambda found: found.get("subsets"))


def test_a_pods_metrics_and_a_services_page(running: Harness, ns: str) -> None:
    serve(running, ns)

    async def work(port: KubernetesCluster) -> None:
        page = await port.proxied("pods", "web", ns, 8080, "/metrics")
        assert (page.status, page.refusal, page.truncated) == (200, "", False)
        assert page.content_type.startswith("text/plain") and b"process_start_time_seconds" in page.body
        for number in (80, "http"):
            answer = await port.proxied("services", "web", ns, number)
            assert answer.status == 200 and b"<title>app</title>" in answer.body
        missing = await port.proxied("services", "web", ns, "http", "/no/such?x=1")
        assert (missing.status, missing.refusal) == (404, "")
        cut = await port.proxied("pods", "web", ns, 8080, "/metrics", limit=20)
        assert cut.truncated and cut.body == page.body[:20]

    run(running, work)


def test_ports_where_nobody_listens_and_services_without_endpoints(running: Harness, ns: str) -> None:
    serve(running, ns)

    async def work(port: KubernetesCluster) -> None:
        for answer in (
            await port.proxied("pods", "web", ns, 8081),
            await port.proxied("services", "web", ns, "closed"),
        ):
            assert answer.status == 503 and answer.refusal.endswith("connect: connection refused")
        grpc = await port.proxied("services", "web", ns, "grpc")
        assert "malformed HTTP response" in grpc.refusal
        tls = await port.proxied("pods", "web", ns, 8080, scheme="https")
        assert "first record does not look like a TLS handshake" in tls.refusal
        assert (await port.proxied("services", "web", ns, 99)).refusal
        with pytest.raises(errors.ObjectNotFound):
            await port.proxied("pods", "absent", ns, 80)
        with pytest.raises(errors.ObjectNotFound):
            await port.proxied("services", "absent", ns, 80)

    run(running, work)


def test_a_service_that_selects_nothing(running: Harness, ns: str) -> None:
    serve(running, ns, selector="nobody")

    async def work(port: KubernetesCluster) -> None:
        async with asyncio.timeout(600):
            # Until the controller has made the Endpoints there is no such object to look into.
            while True:
                try:
                    answer = await port.proxied("services", "web", ns, "http")
                    break
                except errors.ObjectNotFound:
                    await asyncio.sleep(0.05)
        assert answer.refusal == 'no endpoints available for service "web"'

    run(running, work)


def test_who_may_not(running: Harness, ns: str) -> None:
    serve(running, ns)

    async def work(port: KubernetesCluster) -> None:
        with pytest.raises(errors.AccessDenied, match="You may not get pods/proxy web in namespace"):
            await port.proxied("pods", "web", ns, 8080, "/metrics")
        with pytest.raises(errors.AccessDenied, match="You may not get services/proxy web in namespace"):
            await port.proxied("services", "web", ns, "http")

    run(running, work, user="nobody")


def test_the_plain_client_has_it(running: Harness, ns: str) -> None:
    serve(running, ns)

    async def main() -> None:
        async with connect(str(running.kubeconfig), running.context or "") as port:
            assert (await port.proxied("pods", "web", ns, 8080, "/-/ready")).body == b"OK"

    asyncio.run(main())
