# SPDX-License-Identifier: Apache-2.0
"""Simulated programs over HTTP, through the API server's proxy subresources."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from twin_cluster import NS, Cluster, cluster, container, pod

from kubetwin.client import Obj
from kubetwin.kinds import CONFIGMAPS, ENDPOINTS, PODS, SERVICES
from kubetwin.kubelet.apps.hashring import BadHashring, config_hash, parse
from kubetwin.kubelet.apps.prometheus import rules_problem
from kubetwin.meta import pod_ready
from kubetwin.serving.http import Request, User
from kubetwin.serving.metrics import counter, exposition, gauge, number

HTTP = {"name": "http", "containerPort": 8080}


async def get(c: Cluster, path: str, method: str = "GET") -> tuple[int, str]:
    answer = await c.api.transport.send(method, f"/api/v1/namespaces/{NS}/{path}", (), {}, None)
    return answer.status, answer.body.decode()


async def message(c: Cluster, path: str) -> tuple[int, str]:
    status, body = await get(c, path)
    return status, json.loads(body)["message"]


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def metrics(c: Cluster, name: str, port: int) -> dict[str, float]:
    status, body = await get(c, f"pods/{name}:{port}/proxy/metrics")
    assert status == 200, body
    return samples(body)


async def until_metric(c: Cluster, name: str, port: int, key: str, least: float) -> dict[str, float]:
    """What a pod counts once ``key`` has reached ``least``; nothing announces it."""
    async with asyncio.timeout(600):
        while True:
            seen = await metrics(c, name, port)
            if seen[key] >= least:
                return seen
            await asyncio.sleep(0.02)


async def until_ready(c: Cluster, *names: str) -> None:
    await c.until(PODS, lambda: all((p := c.get(PODS, n)) and pod_ready(p) for n in names), f"{names} ready")


async def printed(c: Cluster, name: str, text: str, times: int = 1) -> str:
    """The log once it holds ``text``."""
    seen = ""
    async with asyncio.timeout(600):
        path = f"/api/v1/namespaces/{NS}/pods/{name}/log"
        async for chunk in c.api.transport.stream("GET", path, [("follow", "true")], {}):
            seen += chunk.decode()
            if seen.count(text) >= times:
                return seen
    raise AssertionError(f"{text!r} not in {seen!r}")


def service(name: str, app: str, **port: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NS},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": "http", **port}]},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (186491, "186491"),
        (1048576, "1.048576e+06"),
        (1584959326.37, "1.58495932637e+09"),
        (0.5, "0.5"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.25, "-2.25"),
        (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
        (123.456, "123.456"),
    ],
)
def test_numbers_as_go_prints_them(value: float, text: str) -> None:
    assert number(value) == text


def test_exposition() -> None:
    page = exposition([counter("b_total", "Two\nlines.", ({"x": 'a"b\\'}, 3)), gauge("a", "One.", ({}, 1))])
    assert page.decode() == (
        "# HELP a One.\n# TYPE a gauge\na 1\n"
        '# HELP b_total Two\\nlines.\n# TYPE b_total counter\nb_total{x="a\\"b\\\\"} 3\n'
    )


def test_pod_proxy() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("p", container(ports=[HTTP, {"name": "grpc", "containerPort": 9000}])))
            await until_ready(c, "p")
            ip = (c.get(PODS, "p") or {})["status"]["podIP"]
            assert await get(c, "pods/p:8080/proxy/-/ready") == (200, "OK")
            # Without a port: the first that the pod declares.
            assert await get(c, "pods/p/proxy/-/healthy") == (200, "OK")
            assert (await get(c, "pods/p:8080/proxy/"))[1].startswith("<!doctype html><title>app</title>")
            assert await get(c, "pods/p:8080/proxy/api/v1/nothing") == (404, "404 page not found\n")
            assert (await get(c, "pods/p:8080/proxy/-/ready", "HEAD"))[0] == 200
            assert (await metrics(c, "p", 8080))["process_start_time_seconds"] > 1e9
            status, text = await message(c, "pods/p:8081/proxy/metrics")
            assert (status, text) == (
                503,
                f"error trying to reach service: dial tcp {ip}:8081: connect: connection refused",
            )
            status, text = await message(c, "pods/p:9000/proxy/metrics")
            assert status == 503 and "malformed HTTP response" in text
            assert (await message(c, "pods/https:p:8080/proxy/"))[1] == (
                "error trying to reach service: tls: first record does not look like a TLS handshake"
            )
            assert (await message(c, "pods/p:65536/proxy/"))[1] == (
                "error trying to reach service: dial tcp: address 65536: invalid port"
            )
            assert (
                await c.server.handle(
                    Request("GET", f"/api/v1/namespaces/{NS}/pods/p:http/proxy/", user=User("x", ("system:masters",)))
                )
            ).abort == "before"
            assert await message(c, "pods/absent:80/proxy/") == (404, 'pods "absent" not found')
            assert await message(c, "pods/a:b:c:d/proxy/") == (400, 'invalid pod request "a:b:c:d"')
            path, admin = f"/api/v1/namespaces/{NS}/pods/p:8080/proxy", User("x", ("system:masters",))
            answer = await c.server.handle(Request("GET", path, {"a": ["1"]}, user=admin))
            assert (answer.status, answer.headers["Location"]) == (
                301,
                f"/api/v1/namespaces/{NS}/pods/p:8080/proxy/?a=1",
            )

    asyncio.run(main())


def test_proxy_needs_its_own_right() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("p", container(ports=[HTTP])))
            await until_ready(c, "p")
            path = f"/api/v1/namespaces/{NS}/pods/p:8080/proxy/metrics"
            answer = await c.server.handle(Request("GET", path, user=User("alice", ("system:authenticated",))))
            assert answer.status == 403
            assert b'cannot get resource \\"pods/proxy\\"' in (answer.body or b"")

    asyncio.run(main())


def test_programs_that_do_not_run_refuse() -> None:
    async def main() -> None:
        async with cluster() as c:
            probe = {"httpGet": {"path": "/-/ready", "port": "http"}}
            await c.api.create(PODS, pod("bad", container("app:1.0-crash", ports=[HTTP])))
            await c.api.create(PODS, pod("slow", container("app:1.0-unready", ports=[HTTP], readinessProbe=probe)))
            await c.until(PODS, lambda: "Crash" in json.dumps(c.get(PODS, "bad")))
            assert "connection refused" in (await message(c, "pods/bad:8080/proxy/"))[1]
            await c.event("slow", "Unhealthy", "503")
            assert await get(c, "pods/slow:8080/proxy/-/ready") == (503, "Service Unavailable\n")
            assert (await get(c, "pods/slow:8080/proxy/-/healthy"))[0] == 200

    asyncio.run(main())


def test_service_proxy() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PODS, pod("p", container(ports=[HTTP])))
            await c.api.create(SERVICES, service("web", "p"))
            await c.api.create(SERVICES, service("lost", "nobody"))
            await c.api.create(SERVICES, service("deaf", "p", targetPort=9999))
            await until_ready(c, "p")
            await c.until(ENDPOINTS, lambda: all((c.get(ENDPOINTS, n) or {}).get("subsets") for n in ("web", "deaf")))
            await c.until(ENDPOINTS, lambda: c.get(ENDPOINTS, "lost"))
            assert await get(c, "services/web:http/proxy/-/ready") == (200, "OK")
            assert await get(c, "services/web:80/proxy/-/ready") == (200, "OK")
            assert await get(c, "services/http:web:http/proxy/-/ready") == (200, "OK")
            assert await message(c, "services/web:81/proxy/") == (503, 'no service port 81 found for service "web"')
            # The port of a Service has a name here, and none was asked for.
            assert await message(c, "services/web/proxy/") == (503, 'no endpoints available for service "web"')
            assert await message(c, "services/lost:http/proxy/") == (503, 'no endpoints available for service "lost"')
            status, text = await message(c, "services/deaf:http/proxy/")
            assert status == 503 and text.endswith(":9999: connect: connection refused")
            assert await message(c, "services/none:http/proxy/") == (404, 'services "none" not found')
            assert await message(c, "services/none:80/proxy/") == (404, 'services "none" not found')

    asyncio.run(main())


def ring(*hosts: str) -> str:
    return json.dumps([{"hashring": "default", "endpoints": [f"{host}:10901" for host in hosts]}])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[{"endpoints": ["a:1"]}', "unexpected end of JSON input: configuration file is not parsable"),
        ("[{]", "invalid character ']' looking for beginning of object key string"),
        ("[]", "configuration file is empty"),
        ('{"endpoints": []}', "cannot unmarshal object into Go value of type []receive.HashringConfig"),
        ('[{"endpoints": [""]}]', "endpoint address must be set"),
    ],
)
def test_bad_hashrings(content: str, problem: str) -> None:
    with pytest.raises(BadHashring) as caught:
        parse(content.encode(), "/etc/h.json")
    assert problem in str(caught.value)


def test_hashring_endpoints() -> None:
    text = b'[{"hashring": "x", "tenants": ["a", "b"], "endpoints": ["h:1", {"address": "g:2", "az": "z"}]}]'
    assert parse(text, "f") == [("x", ["h:1", "g:2"], 2)]
    digest = hashlib.sha256(text).digest()
    assert config_hash(text) == sum(byte << 8 * place for place, byte in enumerate(digest[:6]))


def receiver(name: str, **mount: Any) -> Obj:
    body = container(
        args=["receive", "--receive.hashrings-file=/etc/ring/ring.json"],
        ports=[{"name": "grpc", "containerPort": 10901}, {"name": "http", "containerPort": 10902}],
        volumeMounts=[{"name": "ring", "mountPath": "/etc/ring", **mount}],
    )
    volumes = [{"name": "ring", "configMap": {"name": "ring"}}]
    return pod(name, body, volumes=volumes, hostname=name, subdomain="receivers")


def configmap(name: str, data: dict[str, str], **more: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NS}, "data": data, **more}


async def change(c: Cluster, name: str, data: dict[str, str]) -> None:
    await c.api.patch(CONFIGMAPS, name, {"data": data}, NS)


def test_receiver_follows_its_hashring() -> None:
    async def main() -> None:
        async with cluster() as c:
            good = ring("r-0.receivers", f"r-0.receivers.{NS}.svc.cluster.local")
            await c.api.create(CONFIGMAPS, configmap("ring", {"ring.json": good}))
            headless = service("receivers", "r-0")
            headless["spec"]["clusterIP"] = "None"
            await c.api.create(SERVICES, headless)
            await c.api.create(PODS, receiver("r-0"))
            await until_ready(c, "r-0")
            first = await metrics(c, "r-0", 10902)
            assert first["thanos_receive_config_hash"] == config_hash(good.encode())
            assert first["thanos_receive_config_last_reload_successful"] == 1
            assert first['thanos_receive_hashring_nodes{name="default"}'] == 2
            assert first["thanos_receive_hashrings_file_errors_total"] == 0
            assert first['thanos_receive_forward_requests_total{result="error"}'] == 0

            # An endpoint that does not exist: taken over, and forwarding fails.
            wrong = ring("r-0.receivers", "r-7.receivers", "other.receivers", "nowhere")
            await change(c, "ring", {"ring.json": wrong})
            await printed(c, "r-0", "Set up hashring", 2)
            failed = 'thanos_receive_forward_requests_total{result="error"}'
            seen = await until_metric(c, "r-0", 10902, failed, 3)
            assert seen["thanos_receive_config_hash"] == config_hash(wrong.encode())

            # No JSON: counted and told, the last good one stays in force, and the flag stays 1 as in the real program.
            await change(c, "ring", {"ring.json": "[{"})
            log = await printed(c, "r-0", "failed to load configuration file")
            assert "is not parsable" in log and "path=/etc/ring/ring.json" in log
            seen = await metrics(c, "r-0", 10902)
            assert seen["thanos_receive_config_hash"] == config_hash(wrong.encode())
            assert seen["thanos_receive_hashrings_file_errors_total"] == 1
            assert seen["thanos_receive_config_last_reload_successful"] == 1

            await change(c, "ring", {"ring.json": good})
            await printed(c, "r-0", "Set up hashring", 3)
            status = (c.get(PODS, "r-0") or {})["status"]["containerStatuses"][0]
            assert (status["restartCount"], status["ready"]) == (0, True)
            assert (await metrics(c, "r-0", 10902))["thanos_receive_config_hash"] == config_hash(good.encode())

    asyncio.run(main())


def test_receiver_does_not_start_without_a_good_hashring() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(CONFIGMAPS, configmap("ring", {"ring.json": "[{"}))
            await c.api.create(PODS, receiver("r-0"))
            await c.until(PODS, lambda: "CrashLoopBackOff" in json.dumps(c.get(PODS, "r-0")))
            status, log = await get(c, "pods/r-0/log")
            assert status == 200
            assert "failed to validate hashring configuration file" in log
            assert "Server is ready" not in log
            await change(c, "ring", {"ring.json": ring("a")})
            await until_ready(c, "r-0")

    asyncio.run(main())


RULES = "groups:\n  - name: a\n    rules:\n      - {record: x, expr: sum(up)}\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (RULES, ""),
        ("", ""),
        (RULES.replace("sum(up)", "sum(up"), "unclosed left parenthesis"),
        (RULES.replace("sum(up)", "sum(up))"), "unexpected right parenthesis"),
        (RULES.replace("record: x, ", ""), "one of 'record' or 'alert' must be set"),
        (RULES.replace("name: a", "name: ''"), "Groupname must not be empty"),
        ("groups:\n - a: [\n", "yaml: line"),
    ],
)
def test_rule_files(content: str, problem: str) -> None:
    found = rules_problem(content.encode())
    assert problem in found and bool(problem) is bool(found)


def test_prometheus_reloads_only_when_told_to() -> None:
    async def main() -> None:
        async with cluster() as c:
            config = {"prometheus.yml": "rule_files: [rules.yml]\n", "rules.yml": RULES}
            await c.api.create(CONFIGMAPS, configmap("config", config))
            for name, flags in (("eager", ["--config.auto-reload"]), ("lazy", [])):
                body = container(
                    "registry.example/prometheus:3",
                    args=["--config.file=/etc/p/prometheus.yml", *flags],
                    ports=[HTTP],
                    volumeMounts=[{"name": "c", "mountPath": "/etc/p"}],
                )
                await c.api.create(PODS, pod(name, body, volumes=[{"name": "c", "configMap": {"name": "config"}}]))
            await until_ready(c, "eager", "lazy")
            successful = "prometheus_config_last_reload_successful"
            assert (await metrics(c, "eager", 8080))[successful] == 1
            await change(c, "config", {"rules.yml": RULES.replace("sum(up)", "sum(up"), "other.yml": "x"})
            log = await printed(c, "eager", "Error reloading config")
            assert "previous rule set restored" in log
            assert (await metrics(c, "eager", 8080))[successful] == 0
            # The delay of a pod is at most half as long again as another's.
            await asyncio.sleep(c.plane.settings.kubelet.volume_sync)
            assert (await metrics(c, "lazy", 8080))[successful] == 1
            await change(c, "config", {"rules.yml": RULES})
            await printed(c, "eager", "Completed loading", 2)
            assert (await metrics(c, "eager", 8080))[successful] == 1
            # A start with it fails.
            await change(c, "config", {"rules.yml": "groups: ["})
            await c.api.delete(PODS, "lazy", NS)
            await c.until(PODS, lambda: c.get(PODS, "lazy") is None)
            volumes = [{"name": "c", "configMap": {"name": "config"}}]
            await c.api.create(PODS, pod("lazy", body, volumes=volumes))
            await c.until(PODS, lambda: "CrashLoopBackOff" in json.dumps(c.get(PODS, "lazy")))
            assert "Error loading config" in (await get(c, "pods/lazy/log"))[1]

    asyncio.run(main())
