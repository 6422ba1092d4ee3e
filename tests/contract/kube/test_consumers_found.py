# SPDX-License-Identifier: Apache-2.0
"""Who reads a ConfigMap, Secret or Service is found on a cluster: workloads, their pods, bare pods, Ingresses."""

from __future__ import annotations

import asyncio
from typing import Any

from cluster_harness import Cluster as Harness

from backout.cluster.client import KubernetesCluster, connect
from backout.kube.consumers import Consumer
from backout.kube.find_consumers import consumers_of, find_consumers
from backout.model.target import ObjectRef


def pod_spec(**more: Any) -> dict[str, Any]:
    return {
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "v", "configMap": {"name": "settings", "optional": True}}],
        "containers": [
            {"name": "app", "image": "registry.example/app:1.0", "volumeMounts": [{"name": "v", "mountPath": "/etc/s"}]}
        ],
        **more,
    }


async def build(port: KubernetesCluster, ns: str) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod_spec()}
    await port.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": ns},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    await port.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "bare", "namespace": ns},
            "spec": pod_spec(imagePullSecrets=[{"name": "pull"}]),
        }
    )
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    await port.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "front", "namespace": ns},
            "spec": {
                "tls": [{"hosts": ["a.example"], "secretName": "cert"}],
                "rules": [
                    {"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
                ],
            },
        }
    )


async def found_with_pods(port: KubernetesCluster, ref: ObjectRef, count: int) -> dict[str, Consumer]:
    while True:
        found = {consumer.workload.kind: consumer for consumer in await consumers_of(port, ref)}
        if len(found["Deployment"].pods) == count:
            return found
        await asyncio.sleep(0.1)


def test_consumers_are_found_with_their_pods(running: Harness, ns: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(600), connect(str(running.kubeconfig), running.context or "") as port:
            await build(port, ns)
            ref = ObjectRef("v1", "ConfigMap", "settings", ns)
            found = await found_with_pods(port, ref, 2)
            assert set(found) == {"Deployment", "Pod"}
            assert found["Deployment"].workload.name == "web"
            assert all(name.startswith("web-") for name in found["Deployment"].pods)
            assert found["Deployment"].file("a") == "/etc/s/a"
            assert found["Pod"].pods == ("bare",)
            consumers = await find_consumers(port, ns)
            assert not consumers.blind
            assert [(r.workload.kind, r.how) for r in consumers.of("Secret", "cert")] == [("Ingress", "tls")]
            assert [(r.workload.name, r.path) for r in consumers.of("Service", "web")] == [("front", "a.example/")]
            assert [r.how for r in consumers.of("Secret", "pull")] == ["pullSecret"]
            assert consumers.of("Secret", "nobody") == ()

    asyncio.run(main())
