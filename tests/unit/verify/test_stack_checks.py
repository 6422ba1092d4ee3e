# SPDX-License-Identifier: Apache-2.0
"""Requests that the configuration asks for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import INGRESSES, SERVICES, ProxyAnswer
from backout.errors import AccessDenied
from backout.model.message import msg
from backout.model.settings import CheckSettings, parse_settings
from backout.model.verdict import CheckResult
from backout.probes.ingress import Answer
from backout.verify import stacks
from backout.verify.stacks import stack_checks
from backout.verify.verify import verify

NS = "monitoring"
PAGE = ProxyAnswer(200, "text/html", b"<html>Sign in to Grafana</html>")


def settings(checks: str, clusters: str = "[small]") -> Any:
    return parse_settings(f"stacks: {{m: {{namespace: {NS}, clusters: {clusters}, checks: {checks}}}}}", "f")


def measured(cluster: Any, checks: str) -> CheckResult:
    (check,) = stack_checks(settings(checks), "small", NS)
    return asyncio.run(verify(cluster, [check], 0.0, settle=0.0)).checks[0]


def service(*ports: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    spec = {
        "selector": {"a": "b"},
        "ports": list(ports) or [{"name": "http", "port": 80}, {"name": "other", "port": 81}],
    }
    return SERVICES, {"metadata": {"name": "web", "namespace": NS}, "spec": spec}


def test_which_checks_a_namespace_has() -> None:
    found = settings("[{ingress: a, contains: b}, {service: c, port: http}]")
    first, second = stack_checks(found, "small", NS)
    assert first.title.text == "ingress/a answers 200 to /" and str(second.target) == "service/c"
    assert first.params == {"ingress": "a", "path": "/", "status": 200, "contains": "b"}
    assert stack_checks(found, "other", NS) == () and stack_checks(found, "small", "elsewhere") == ()
    assert len(stack_checks(settings("[{service: c}]", "[]"), "any", NS)) == 1
    assert CheckSettings().status == 200


@pytest.mark.parametrize(
    ("answer", "checks", "status", "words"),
    [
        (PAGE, "[{service: web}]", "pass", "it answers 200"),
        (PAGE, "[{service: web, contains: Grafana}]", "pass", "it answers 200, with “Grafana” in it"),
        (PAGE, "[{service: web, contains: Prometheus}]", "fail", "it answers 200, without the text"),
        (PAGE, "[{service: web, status: 302}]", "fail", "it answers 200"),
        (PAGE, "[{service: web, port: nine}]", "fail", "Service web has no port nine"),
        (PAGE, "[{service: absent}]", "fail", "service/absent does not exist"),
        (ProxyAnswer(503, refusal="dial tcp: connection refused"), "[{service: web}]", "fail", "connection refused"),
        (ProxyAnswer(503, refusal="i/o timeout"), "[{service: web}]", "unknown", "i/o timeout"),
        (AccessDenied("You may not get services/proxy."), "[{service: web}]", "unknown", "you may not use"),
    ],
)
def test_a_service(answer: Any, checks: str, status: str, words: str) -> None:
    found = measured(SmallCluster(service(), answers={f"services/{NS}/web:http/": answer}), checks)
    assert found.status == status and words in found.measured.text


def test_a_port_and_a_path() -> None:
    cluster = SmallCluster(service(), answers={f"services/{NS}/web:other/-/ready": PAGE})
    assert measured(cluster, "[{service: web, port: 81, path: /-/ready}]").status == "pass"


def test_an_ingress(monkeypatch: pytest.MonkeyPatch) -> None:
    ingress = (INGRESSES, {"metadata": {"name": "i", "namespace": NS}, "spec": {}})
    asked: list[tuple[str, str]] = []
    answers = iter([Answer(host="h", path="/login", status=200), Answer(host="h", path="/", error=msg("no way"))])

    async def fetch(_: Any, __: Any, path: str, *, host: str = "") -> tuple[Answer, bytes]:
        asked.append((host, path))
        return next(answers), b"Grafana"

    monkeypatch.setattr(stacks, "fetch", fetch)
    found = measured(SmallCluster(ingress), "[{ingress: i, host: h, path: /login, contains: Grafana}]")
    assert found.status == "pass" and asked == [("h", "/login")]
    found = measured(SmallCluster(ingress), "[{ingress: i}]")
    assert (found.status, found.measured.text) == ("unknown", "no way")
    assert measured(SmallCluster(), "[{ingress: i}]").measured.text == "ingress/i does not exist"
