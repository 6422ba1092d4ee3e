# SPDX-License-Identifier: Apache-2.0
"""Checks of Services and Ingresses: what is told apart, and what stays unknown."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import DEPLOYMENTS, INGRESSES, SERVICES, ProxyAnswer
from backout.errors import AccessDenied
from backout.mechanisms import registry
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import Target
from backout.model.verdict import CheckResult
from backout.probes.ingress import Answer
from backout.verify import network
from backout.verify.defaults import namespace_checks
from backout.verify.verify import CODES, verify

NS = "monitoring"
PAGE = ProxyAnswer(200, "text/html", b"<title>Grafana</title>")
NOWHERE = ProxyAnswer(503, refusal="error trying to reach service: dial tcp 10.0.0.1:80: i/o timeout")
REFUSED = ProxyAnswer(503, refusal="error trying to reach service: dial tcp 10.0.0.1:80: connect: connection refused")


def service(name: str = "web", *ports: dict[str, Any], **spec: Any) -> tuple[Any, dict[str, Any]]:
    body = {"selector": {"app": name}, "ports": list(ports) or [{"name": "http", "port": 80}], **spec}
    return SERVICES, {"kind": "Service", "metadata": {"name": name, "namespace": NS}, "spec": body}


def ingress(*hosts: str, tls: str = "", **annotations: str) -> tuple[Any, dict[str, Any]]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": "/", "backend": backend}]}} for host in hosts or ("a.example",)]
    spec = {"rules": rules, "tls": [{"hosts": list(hosts), "secretName": tls}] if tls else []}
    notes = {key.replace("__", "/"): value for key, value in annotations.items()}
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    meta = {"name": "i", "namespace": NS, "annotations": notes}
    return INGRESSES, {"kind": "Ingress", "metadata": meta, "spec": spec, "status": status}


def measured(cluster: SmallCluster, code: str, settle: float = 0.0, **params: Any) -> CheckResult:
    check = Check(code=code, target=Target("ingress", "i", NS), title=msg("x"), params=params)
    return asyncio.run(verify(cluster, [check], 0.0, settle=settle)).checks[0]  # type: ignore[arg-type]


def asked(answers: dict[str, Any], *objects: Any, **more: Any) -> CheckResult:
    keys = {f"services/{NS}/{key}": value for key, value in answers.items()}
    return measured(SmallCluster(*(objects or (service(),)), answers=keys), "service-answers", services=["web"], **more)


def test_a_port_that_answers_refuses_or_cannot_be_reached() -> None:
    found = asked({"web:http/": PAGE})
    assert (found.status, found.measured.text) == ("pass", "answering: web:http 200")
    assert found.data["ports"] == [{"service": "web", "port": "http", "state": "answers", "status": 200}]
    found = asked({"web:http/": REFUSED})
    assert found.status == "fail" and "nobody listens" in found.measured.text
    found = asked({"web:http/": NOWHERE})
    assert found.status == "unknown" and "i/o timeout" in found.measured.text
    assert asked({"web:http/": AccessDenied("no")}).status == "unknown"
    assert asked({"web:http/": ProxyAnswer(503, "text/plain", b"x")}).measured.text == "answering: web:http 503"


def test_every_port_counts_or_any() -> None:
    two = service("web", {"name": "http", "port": 80}, {"name": "metrics", "port": 81}, {"name": "db", "port": 82})
    some = {"web:http/": PAGE, "web:metrics/": REFUSED}
    assert asked({**some, "web:db/": PAGE}, two).status == "fail"
    found = asked(some, two, any=True)
    assert found.status == "pass" and {port["port"] for port in found.data["ports"]} == {"http", "metrics"}
    assert asked({"web:http/": REFUSED, "web:metrics/": REFUSED}, two, any=True).status == "fail"
    assert asked({"web:http/": NOWHERE, "web:metrics/": REFUSED}, two, any=True).status == "unknown"
    assert asked({}, service("web", {"name": "dns", "port": 53, "protocol": "UDP"})).status == "unknown"
    found = asked({}, service("other"))
    assert (found.status, found.measured.text) == ("fail", "no such Service: web")


def test_what_fails_is_asked_again_for_a_while() -> None:
    assert asked({"web:http/": [REFUSED, REFUSED, PAGE]}, settle=5.0).status == "pass"
    assert asked({"web:http/": [NOWHERE, PAGE]}, settle=5.0).status == "unknown", "that does not change by waiting"


def answering(*found: Answer, service_says: Any = PAGE, objects: Any = None, **params: Any) -> CheckResult:
    """The check, with what the Ingress answers given."""
    cluster = SmallCluster(*(objects or (service(), ingress())), answers={f"services/{NS}/web:http/": service_says})

    async def ask(*_: Any) -> list[Answer]:
        return list(found)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(network, "ask", ask)
        return measured(cluster, "ingress-answers", ingress="i", **params)


def answer(status: int = 200, marker: str = "Grafana", **more: Any) -> Answer:
    return Answer(
        host="a.example", path="/", address="192.0.2.1:80", status=status, marker=marker, service="web", port=80, **more
    )


def test_an_ingress_that_answers_as_its_service_does() -> None:
    found = answering(answer())
    assert (found.status, found.measured.text) == ("pass", "a.example/ answers 200 “Grafana”, as Service web")
    assert found.data["routes"][0]["status"] == 200
    found = answering(answer(marker="Prometheus"))
    assert found.status == "fail" and found.expected is not None
    assert (found.measured.text, found.expected.text) == (
        "a.example/ answers 200 “Prometheus”",
        "200 “Grafana” (Service web)",
    )
    assert answering(answer(503, "503 Service Temporarily Unavailable")).status == "fail"
    assert answering(answer(404, "default backend - 404")).status == "fail"
    found = answering(answer(), answer(503), answer(502))
    assert found.status == "fail" and "(and 1 more)" in found.measured.text


def test_pages_that_change_by_themselves_are_not_compared() -> None:
    pages = [ProxyAnswer(200, "text/plain", f"pod {number}".encode()) for number in range(9)]
    found = answering(answer(marker="pod 77"), service_says=pages)
    assert found.status == "pass" and "something else each time" in found.measured.text


def test_where_nothing_can_be_compared() -> None:
    for says in (NOWHERE, AccessDenied("You may not.")):
        found = answering(answer(), service_says=says)
        assert found.status == "pass" and "not compared with its Service" in found.measured.text
        assert answering(answer(503, ""), service_says=says).status == "fail"
        assert answering(answer(404, "default backend - 404"), service_says=says).status == "fail"
        assert answering(answer(401, ""), service_says=says).status == "unknown"
    rewriting = ingress(**{"nginx.ingress.kubernetes.io__rewrite-target": "/x"})
    found = answering(answer(marker="Other"), objects=(service(), rewriting))
    assert found.status == "pass" and "rewrite-target" in found.measured.text
    assert answering(answer(), objects=(ingress(),)).status == "pass"


def test_what_was_expected_is_said_by_the_plan() -> None:
    expect = [{"host": "a.example", "path": "/", "status": 200, "marker": "Grafana"}]
    assert answering(answer(), service_says=NOWHERE, expect=expect).status == "pass"
    assert answering(answer(302, ""), expect=expect).status == "fail"
    assert answering(answer(302, ""), expect=[{"host": "a.example", "path": "/", "status": 302}]).status == "pass"
    found = answering(answer(), expect=[*expect, {"host": "b.example", "path": "/x"}])
    assert (found.status, found.measured.text) == ("fail", "it has no route b.example/x")


def test_an_ingress_that_cannot_be_asked() -> None:
    dead = Answer(host="a.example", path="/", address="192.0.2.1:80", error=msg("connection refused"))
    found = answering(dead)
    assert found.status == "unknown" and found.measured.text == "a.example/ could not be asked: connection refused"
    assert answering().status == "unknown"
    found = measured(SmallCluster(service()), "ingress-answers", ingress="i")
    assert (found.status, found.measured.text) == ("fail", "ingress/i does not exist")


def test_certificates() -> None:
    for certificate, status in (
        ("same", "pass"),
        ("other", "pass"),
        ("unread", "pass"),
        ("default", "fail"),
        ("missing", "fail"),
    ):
        assert answering(answer(certificate=certificate)).status == status


def test_a_namespace_is_asked_only_where_that_proves_something() -> None:
    def codes(answers: dict[str, Any], *objects: Any, **more: Any) -> dict[str, Check]:
        keys = {f"services/{NS}/{key}": value for key, value in answers.items()}
        cluster: Any = SmallCluster(*objects, answers=keys, **more)
        return {check.code: check for check in asyncio.run(namespace_checks(cluster, NS))}

    database = service("db", {"name": "mysql", "port": 3306})
    assert codes({"web:http/": PAGE}, service(), database)["service-answers"].params == {
        "services": ["web"],
        "any": True,
    }
    assert "service-answers" in codes({"web:http/": REFUSED}, service())
    for quiet in (NOWHERE, AccessDenied("no")):
        assert "service-answers" not in codes({"web:http/": quiet}, service(), database)
    idle = {
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": NS},
        "spec": {"replicas": 0, "template": {"metadata": {"labels": {"app": "web"}}}},
    }
    assert "service-answers" not in codes({"web:http/": REFUSED}, service(), (DEPLOYMENTS, idle))
    cluster = SmallCluster(database)
    asyncio.run(namespace_checks(cluster, NS))  # type: ignore[arg-type]
    assert not cluster.asked, "a database is not sent HTTP requests"


def test_services_that_take_their_time_are_left_out() -> None:
    class Slow(SmallCluster):
        async def proxied(self, kind: str, name: str, *more: Any, **options: Any) -> ProxyAnswer:
            if name == "slow":
                await asyncio.Event().wait()
            return await super().proxied(kind, name, *more, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(network, "MOMENT", 0.2)
        cluster: Any = Slow(service(), service("slow"), answers={f"services/{NS}/web:http/": PAGE})
        assert asyncio.run(network.answering(cluster, NS)) == ["web"]


def test_all_codes_are_described() -> None:
    import backout.verify

    described = backout.verify.__doc__ or ""
    assert all(code in described for code in (*CODES, *registry.checks()))
