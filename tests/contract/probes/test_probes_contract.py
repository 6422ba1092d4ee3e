# SPDX-License-Identifier: Apache-2.0
"""Probes and the checks made of them against simulated programs, in each state that they can be in."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from cluster_harness import container

from backout.cluster.client import KubernetesCluster, connect
from backout.cluster.port import CONFIGMAPS, INGRESSES, PODS, SERVICES, Object
from backout.kube.references import references
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import Target
from backout.model.verdict import CheckResult
from backout.probes.ingress import ask
from backout.probes.objectstorage import storage_state
from backout.probes.programs import recognise
from backout.probes.reload import Reload, reload_state
from backout.probes.service import connection
from backout.verify.defaults import namespace_checks
from backout.verify.verify import verify

RING = json.dumps([{"hashring": "default", "endpoints": ["r-0.r:10901"]}])
OTHER = json.dumps([{"hashring": "default", "endpoints": ["r-0.r:10901", "r-1.r:10901"]}])
RULES = "groups: [{name: a, rules: [{record: x, expr: up}]}]"
BUCKET = "type: S3\nconfig: {bucket: %s, access_key: a, secret_key: %s}"

Work = Callable[[KubernetesCluster], Awaitable[None]]


def run(cluster: Harness, work: Work) -> None:
    if not cluster.reaches_pods:
        pytest.skip("the API server of a bare control plane cannot reach simulated pods")

    async def main() -> None:
        async with asyncio.timeout(600), connect(str(cluster.kubeconfig), cluster.context or "") as port:
            await work(port)

    asyncio.run(main())


def config(name: str, ns: str, **data: str) -> Object:
    keys = {key.replace("__", "."): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": ns}, "data": keys}


def secret(name: str, ns: str, **data: str) -> Object:
    keys = {key.replace("__", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": ns}, "data": keys}


def pod(name: str, ns: str, *containers: Object, volumes: Any = (), **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": ns, "labels": labels},
        "spec": {"containers": list(containers), "volumes": list(volumes), "terminationGracePeriodSeconds": 0},
    }


def service(name: str, ns: str, selector: str, *ports: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": ns},
        "spec": {"selector": {"app": selector}, "ports": list(ports)},
    }


async def ready(port: KubernetesCluster, ns: str, name: str) -> Object:
    async for event in port.watch(PODS, ns, fields=f"metadata.name={name}"):
        conditions = (event.object.get("status") or {}).get("conditions") or ()
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            return event.object
    raise AssertionError("a watch has no end")


async def until(ask: Callable[[], Awaitable[Any]], state: str) -> Any:
    """Files follow their objects, and requests are made, when their time has come: nothing tells."""
    async with asyncio.timeout(600):
        while (found := await ask()).state != state:
            assert found.state in ("pending", "failed", "idle", "works", "failing", "no-endpoints", "unreachable"), (
                found
            )
            await asyncio.sleep(0.1)
        return found


def asking(port: KubernetesCluster, pod: Object, name: str) -> Callable[[], Awaitable[Reload]]:
    """What is known of the first container's copy of the live ConfigMap ``name``."""
    ns = pod["metadata"]["namespace"]
    first = pod["spec"]["containers"][0]["name"]
    since = None

    async def ask() -> Reload:
        live = await port.get(CONFIGMAPS, name, ns)
        entry = next(r for r in references(pod["spec"]) if r.name == name and r.container == first)
        files = {entry.file(key): value.encode() for key, value in live["data"].items()}
        times = [f["time"] for f in live["metadata"]["managedFields"]]
        from datetime import datetime

        nonlocal since
        since = max(datetime.fromisoformat(time) for time in times)
        now = await port.get(PODS, pod["metadata"]["name"], ns)
        return await reload_state(port, ns, now, first, recognise(pod["spec"], first), files, since)

    return ask


def test_a_receiver_loads_waits_and_refuses(running: Harness, ns: str) -> None:
    receiver = container(
        "receive",
        args=["receive", "--receive.hashrings-file=/h/ring.json"],
        ports=[{"name": "http", "containerPort": 10902}],
        volumeMounts=[{"name": "ring", "mountPath": "/h"}],
    )

    async def work(port: KubernetesCluster) -> None:
        await port.create(config("ring", ns, ring__json=RING))
        await port.create(pod("r", ns, receiver, volumes=[{"name": "ring", "configMap": {"name": "ring"}}]))
        ask = asking(port, await ready(port, ns, "r"), "ring")
        found = await until(ask, "loaded")
        assert found.by == "metrics" and "(endpoints: 1, hash " in found.message.text

        await port.patch(CONFIGMAPS, "ring", {"data": {"ring.json": OTHER}}, ns)
        assert (await ask()).state in ("pending", "loaded")
        assert "(endpoints: 2, hash " in (await until(ask, "loaded")).message.text

        await port.patch(CONFIGMAPS, "ring", {"data": {"ring.json": RING[:30]}}, ns)
        assert "not valid JSON" in (await until(ask, "failed")).message.text
        await port.patch(CONFIGMAPS, "ring", {"data": {"ring.json": OTHER}}, ns)
        await until(ask, "loaded")

    run(running, work)


def test_prometheus_loads_waits_and_refuses(running: Harness, ns: str) -> None:
    prometheus = container(
        "prometheus",
        args=["--config.file=/etc/prometheus/prometheus.yml", "--config.auto-reload"],
        ports=[{"name": "http", "containerPort": 9090}],
        volumeMounts=[{"name": "main", "mountPath": "/etc/prometheus"}, {"name": "rules", "mountPath": "/rules"}],
    )
    volumes = [{"name": "main", "configMap": {"name": "main"}}, {"name": "rules", "configMap": {"name": "rules"}}]

    async def work(port: KubernetesCluster) -> None:
        await port.create(config("main", ns, prometheus__yml="rule_files: [/rules/*.yml]\n"))
        await port.create(config("rules", ns, a__yml=RULES))
        await asyncio.sleep(1.1)  # times of writes have whole seconds
        made = pod("p", ns, prometheus, volumes=volumes)
        made["spec"]["containers"][0]["image"] = "registry.example/prometheus:3.5"
        await port.create(made)
        ask = asking(port, await ready(port, ns, "p"), "rules")
        await until(ask, "loaded")
        await asyncio.sleep(1.1)

        await port.patch(CONFIGMAPS, "rules", {"data": {"b.yml": RULES.replace("expr: up", "expr: sum(up")}}, ns)
        assert (await ask()).state == "pending"
        found = await until(ask, "failed")
        assert "unclosed left parenthesis" in found.message.text and "/rules/b.yml" in found.message.text
        await port.patch(CONFIGMAPS, "rules", {"data": {"b.yml": None}}, ns)
        found = await until(ask, "loaded")
        assert "it reloaded without an error at " in found.message.text

    run(running, work)


def test_what_cannot_be_known(running: Harness, ns: str) -> None:
    async def work(port: KubernetesCluster) -> None:
        await port.create(config("some", ns, a="b"))
        plain = container("web", volumeMounts=[{"name": "some", "mountPath": "/some"}])
        await port.create(pod("w", ns, plain, volumes=[{"name": "some", "configMap": {"name": "some"}}]))
        found = await asking(port, await ready(port, ns, "w"), "some")()
        assert (found.state, found.by) == ("unknown", "")

    run(running, work)


def test_object_storage_works_and_fails(running: Harness, ns: str) -> None:
    def sidecar(source: str) -> Object:
        return container(
            "sidecar",
            args=["sidecar", "--objstore.config=$(OBJ)"],
            ports=[{"name": "http", "containerPort": 10902}],
            env=[{"name": "OBJ", "valueFrom": {"secretKeyRef": {"name": source, "key": "o.yml"}}}],
        )

    async def work(port: KubernetesCluster) -> None:
        bucket = f"bucket-{ns}"
        await port.create(secret("good", ns, o__yml=BUCKET % (bucket, "right")))
        await port.create(secret("bad", ns, o__yml=BUCKET % (bucket, "hunter2")))

        async def state(name: str) -> Any:
            found = await port.get(PODS, name, ns)
            program = recognise(found["spec"], "sidecar")
            assert program is not None and program.storage is not None
            return await storage_state(port, ns, found, "sidecar", program, now=await port.server_time(), between=0.1)

        await port.create(pod("good", ns, sidecar("good")))
        await ready(port, ns, "good")
        assert "none failed" in (await until(lambda: state("good"), "works")).message.text
        await port.create(pod("bad", ns, sidecar("bad")))
        await ready(port, ns, "bad")
        found = await until(lambda: state("bad"), "failing")
        async with asyncio.timeout(600):
            # Its log says so before it is counted.
            while found.by != "metrics":
                found = await until(lambda: state("bad"), "failing")
        assert "signature" in found.said and "hunter2" not in repr(found)
        results = await measured(port, ns, "object-storage", kind="Secret", name="bad", readers=reading("pod/bad"))
        assert results.status == "fail" and "signature" not in results.title.text
        results = await measured(port, ns, "object-storage", kind="Secret", name="good", readers=reading("pod/good"))
        assert results.status == "pass"

    run(running, work)


def reading(workload: str, container: str = "sidecar") -> list[dict[str, str]]:
    return [{"workload": workload, "container": container}]


async def measured(port: KubernetesCluster, ns: str, code: str, settle: float = 0, **params: Any) -> CheckResult:
    check = Check(code=code, target=Target("namespace", ns, ns), title=msg("x"), params=params)
    return (await verify(port, [check], 0, settle=settle)).checks[0]


def test_readers_have_loaded_it(running: Harness, ns: str) -> None:
    receiver = container(
        "receive",
        args=["receive", "--receive.hashrings-file=/h/ring.json"],
        ports=[{"name": "http", "containerPort": 10902}],
        volumeMounts=[{"name": "ring", "mountPath": "/h"}],
    )

    async def work(port: KubernetesCluster) -> None:
        await port.create(config("ring", ns, ring__json=RING))
        for name in ("r-0", "r-1"):
            await port.create(pod(name, ns, receiver, volumes=[{"name": "ring", "configMap": {"name": "ring"}}]))
            await ready(port, ns, name)

        async def look(**more: Any) -> CheckResult:
            readers = [*reading("pod/r-0", "receive"), *reading("pod/r-1", "receive")]
            return await measured(port, ns, "config-reloaded", kind="ConfigMap", name="ring", readers=readers, **more)

        found = await look()
        assert found.status == "pass" and "(2 of 2 pods)" in found.measured.text, found
        await port.patch(CONFIGMAPS, "ring", {"data": {"ring.json": OTHER}}, ns)
        found = await look()
        assert found.status == "fail" and "another hashring" in found.measured.text
        assert (await look(settle=20)).status == "pass", "it was still on its way"
        await port.delete(CONFIGMAPS, "ring", ns)
        found = await look()
        assert (found.status, found.measured.text) == ("fail", "configmap/ring does not exist")

    run(running, work)


def test_services_and_ingresses(running: Harness, ns: str) -> None:
    host = f"{ns}.example"
    backend = {"service": {"name": "web", "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": ns},
        "spec": {"rules": [rule]},
    }

    async def work(port: KubernetesCluster) -> None:
        await port.create(pod("web", ns, container("web", ports=[{"name": "http", "containerPort": 8080}]), app="web"))
        await port.create(service("web", ns, "web", {"name": "http", "port": 80, "targetPort": 8080}))
        await port.create(ingress)
        await ready(port, ns, "web")
        live = await port.get(SERVICES, "web", ns)
        await until(lambda: connection(port, ns, live, "http"), "answers")
        found = await measured(port, ns, "ingress-answers", settle=20, ingress="web")
        assert found.status == "pass", found
        (answer,) = await ask(port, await port.get(INGRESSES, "web", ns))
        assert (answer.marker, answer.host, answer.service) == ("web", host, "web")

        checks = {check.code for check in await namespace_checks(port, ns)}
        assert "service-answers" in checks
        found = await measured(port, ns, "ingress-answers", ingress="web")
        assert found.status == "pass" and found.measured.text == f"{host}/ answers 200 “web”, as Service web"
        found = await measured(
            port, ns, "ingress-answers", ingress="web", expect=[{"host": host, "path": "/", "status": 404}]
        )
        assert found.status == "fail" and found.expected is not None and found.expected.text == "404 (expected)"
        found = await measured(port, ns, "service-answers", services=["web"])
        assert (found.status, found.measured.text) == ("pass", "answering: web:http 200")

        await port.patch(SERVICES, "web", {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8081}]}}, ns)
        await until(lambda: connection(port, ns, live, "http"), "refused")
        found = await measured(port, ns, "service-answers", services=["web"], any=True)
        assert found.status == "fail" and "nobody listens" in found.measured.text
        found = await measured(port, ns, "ingress-answers", ingress="web")
        assert found.status == "fail" and "answers 502" in found.measured.text

        wrong = {"op": "replace", "path": "/spec/rules/0/http/paths/0/backend/service/name", "value": "wbe"}
        tls = {"op": "add", "path": "/spec/tls", "value": [{"hosts": [host], "secretName": "tls"}]}
        await port.patch(INGRESSES, "web", [wrong, tls], ns, type="json")
        found = await measured(
            port, ns, "ingress-answers", settle=10, ingress="web", expect=[{"host": host, "path": "/", "status": 503}]
        )
        assert found.status == "pass", found
        await port.delete(INGRESSES, "web", ns)
        assert (await measured(port, ns, "ingress-answers", ingress="web")).status == "fail"
        assert (await measured(port, ns, "service-answers", services=["absent"])).status == "fail"

    run(running, work)
