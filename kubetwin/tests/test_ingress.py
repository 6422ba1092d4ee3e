# SPDX-License-Identifier: Apache-2.0
"""The simulated ingress controller, over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
from test_programs_http import HTTP, service, until_ready
from twin_cluster import NS, Cluster, cluster, container, pod

from kubetwin.client import Obj
from kubetwin.controllers.ingress import _host_rank, _prefix
from kubetwin.kinds import ENDPOINTSLICES, INGRESSES, PODS, SECRETS, SERVICES


def ingress(name: str, *rules: tuple[str, str, str, str], **spec: Any) -> Obj:
    """Rules are (host, path type, path, Service)."""
    body = [
        {
            **({"host": host} if host else {}),
            "http": {
                "paths": [
                    {"path": path, "pathType": kind, "backend": {"service": {"name": target, "port": {"name": "http"}}}}
                ]
            },
        }
        for host, kind, path, target in rules
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": NS},
        "spec": {**({"rules": body} if body else {}), **spec},
    }


async def ask(c: Cluster, host: str, path: str = "/") -> tuple[int, str]:
    assert c.plane.ingress is not None
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{c.plane.ingress.port}{path}", headers={"host": host})
    return answer.status_code, answer.text


def served(c: Cluster, name: str) -> Any:
    return (((c.get(INGRESSES, name) or {}).get("status") or {}).get("loadBalancer") or {}).get("ingress")


def test_rules() -> None:
    assert [_prefix("/a", path) for path in ("/a", "/a/", "/a/b", "/ab", "/")] == [True, True, True, False, False]
    assert _prefix("/", "/anything") and _prefix("/a/", "/a")
    assert (_host_rank("", "x"), _host_rank("x.y", "x.y"), _host_rank("x.y", "z.y")) == (0, 2, None)
    assert (_host_rank("*.y", "x.y"), _host_rank("*.y", "a.x.y"), _host_rank("*.y", "y")) == (1, None, None)


def test_routes_by_host_and_path() -> None:
    async def main() -> None:
        async with cluster(ingress=True) as c:
            for name in ("one", "two"):
                await c.api.create(PODS, pod(name, {**container(ports=[HTTP]), "name": name}))
                await c.api.create(SERVICES, service(name, name))
            await c.api.create(SERVICES, service("lost", "nobody"))
            await c.api.create(SERVICES, service("deaf", "one", targetPort=9999))
            await until_ready(c, "one", "two")
            await c.api.create(
                INGRESSES,
                ingress(
                    "web",
                    ("a.example", "Prefix", "/", "one"),
                    ("a.example", "Exact", "/metrics", "two"),
                    ("lost.example", "Prefix", "/", "lost"),
                    ("none.example", "Prefix", "/", "none"),
                    ("deaf.example", "Prefix", "/", "deaf"),
                ),
            )
            await c.api.create(INGRESSES, ingress("other", ("b.example", "Prefix", "/", "one"), ingressClassName="x"))
            foreign = {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {"name": "theirs"},
                "spec": {"controller": "example.com/theirs"},
            }
            await c.api.request("POST", "/apis/networking.k8s.io/v1/ingressclasses", body=foreign)
            theirs = ingress("theirs", ("c.example", "Prefix", "/", "one"), ingressClassName="theirs")
            assert c.plane.ingress is not None
            await c.until(c.plane.ingress.classes.resource, lambda: c.plane.ingress and c.plane.ingress.classes.all())
            await c.api.create(INGRESSES, theirs)
            wanted = [{"ip": "127.0.0.1", "ports": [{"port": c.plane.ingress.port, "protocol": "TCP"}]}]
            await c.until(INGRESSES, lambda: served(c, "web") == wanted and served(c, "other") == wanted)
            await c.until(ENDPOINTSLICES, lambda: len(_ready(c)) == 3, "one, two and deaf have endpoints")
            assert (await ask(c, "a.example"))[1].startswith("<!doctype html><title>one</title>")
            assert (await ask(c, "A.example:80", "/-/ready")) == (200, "OK")
            assert "process_start_time_seconds" in (await ask(c, "a.example", "/metrics"))[1]
            assert (await ask(c, "b.example"))[0] == 200
            assert await ask(c, "c.example") == (404, "default backend - 404")
            assert await ask(c, "unknown.example") == (404, "default backend - 404")
            assert (await ask(c, "lost.example"))[0] == 503
            assert (await ask(c, "none.example"))[0] == 503
            assert (await ask(c, "deaf.example"))[0] == 502
            assert served(c, "theirs") is None

    asyncio.run(main())


def _ready(c: Cluster) -> list[Obj]:
    return [
        s
        for s in c.plane.informers.of(ENDPOINTSLICES).all()
        if s.get("endpoints") and all(e["conditions"]["ready"] for e in s["endpoints"])
    ]


def test_missing_certificate_is_told() -> None:
    async def main() -> None:
        async with cluster(ingress=True) as c:
            tls = [{"hosts": ["a.example"], "secretName": "cert"}]
            certificate = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "cert", "namespace": NS},
                "stringData": {"a": "b"},
            }
            await c.api.create(SECRETS, certificate)
            await c.until(SECRETS, lambda: c.get(SECRETS, "cert"))
            await c.api.create(INGRESSES, ingress("web", ("a.example", "Prefix", "/", "one"), tls=tls))
            await c.until(INGRESSES, lambda: served(c, "web"))
            assert "SecretNotFound" not in [reason for reason, _ in await c.events("web")]
            await c.api.delete(SECRETS, "cert", NS)
            await c.event("web", "SecretNotFound", f'TLS secret "{NS}/cert" was not found')

    asyncio.run(main())
