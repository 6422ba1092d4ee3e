# SPDX-License-Identifier: Apache-2.0
"""Services and Ingresses that lead nowhere, and those that are meant to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import NS, Scene, codes, writer

from backout.cluster.port import ProxyAnswer
from backout.errors import AccessDenied
from backout.probes import ingress as probe
from backout.probes.ingress import Answer

EDIT = writer("kubectl-edit", 90, "spec/selector", "spec/ports")
ROUTE = writer("kubectl-edit", 90, "spec/rules")
WEB = {
    "containers": [
        {"name": "app", "image": "registry.example/app:1", "ports": [{"name": "http", "containerPort": 8080}]}
    ]
}
REFUSED = ProxyAnswer(503, refusal="error trying to reach service: dial tcp 10.1.0.1:9: connect: connection refused")
BLOCKED = ProxyAnswer(503, refusal="error trying to reach service: dial tcp 10.1.0.1:9: i/o timeout")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    found = Scene(tmp_path)
    found.workload("web", WEB)
    return found


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """What an Ingress answers: nothing, unless a test says so."""
    answers: list[Answer] = []

    async def ask(*_: Any, **__: Any) -> list[Answer]:
        return answers

    monkeypatch.setattr(probe, "ask", ask)
    return answers


def page(title: str) -> ProxyAnswer:
    return ProxyAnswer(200, "text/html", f"<title>{title}</title>".encode())


# -- no pods behind it -------------------------------------------------------------------------------------------------


def test_a_selector_that_was_changed(scene: Scene) -> None:
    scene.service("web", pods=1)
    scene.snapshot()
    scene.drop("EndpointSlice", "web-x")
    scene.service("web", EDIT, selector={"app": "wbe"})
    (problem,) = scene.problems().values()
    assert (str(problem.target), problem.mechanism, codes(problem)) == ("service/web", "objects", {"NoEndpoints"})
    assert problem.confidence == "certain"
    assert problem.cause.text == "NoEndpoints since kubectl-edit changed selector.app"
    assert problem.suspect is not None
    assert [(f.path, f.before, f.after) for f in problem.suspect.fields] == [("spec.selector.app", "web", "wbe")]


def test_without_a_snapshot_a_late_edit_is_told_with_less_certainty(scene: Scene) -> None:
    scene.service("web", EDIT, selector={"app": "wbe"})
    (problem,) = scene.problems().values()
    assert str(problem.target) == "service/web" and problem.confidence == "likely"
    assert problem.cause.text == "NoEndpoints since kubectl-edit changed selector.app"


def test_a_named_port_that_no_pod_has(scene: Scene) -> None:
    scene.service("web", pods=1)
    scene.snapshot()
    scene.drop("EndpointSlice", "web-x")
    scene.service("web", EDIT, port={"name": "http", "port": 80, "targetPort": "htpp"})
    (problem,) = scene.problems().values()
    assert codes(problem) == {"NoEndpoints"} and "htpp" in problem.symptoms[0].message.text


def test_who_calls_a_service_that_leads_nowhere(scene: Scene) -> None:
    scene.service("web", pods=1)
    scene.snapshot()
    scene.drop("EndpointSlice", "web-x")
    scene.service("web", EDIT, selector={"app": "wbe"})
    scene.ingress("front")
    client = {"name": "app", "image": "registry.example/client:1", "args": ["--upstream=http://web:80/"]}
    scene.workload("client", {"containers": [client]})
    scene.config("urls", data={"a": "remote: http://web.shop.svc/api"})
    volume = {"name": "v", "configMap": {"name": "urls"}}
    scene.workload(
        "agent",
        {
            "volumes": [volume],
            "containers": [{"name": "app", "volumeMounts": [{"name": "v", "mountPath": "/etc/agent"}]}],
        },
    )
    scene.workload("webby", {"containers": [{"name": "app", "args": ["--to=http://my-web:80", "web"]}]})
    (problem,) = scene.problems().values()
    assert [(str(reader.ref), reader.how) for reader in problem.readers] == [
        ("deployment/agent", "configmap"),
        ("deployment/client", "args"),
        ("ingress/front", "backend"),
    ]


def test_services_that_are_meant_to_have_no_pods(scene: Scene) -> None:
    scene.workload("idle", WEB, replicas=0, kind="StatefulSet")
    scene.service("idle", EDIT, clusterIP="None")
    scene.service("by-hand", EDIT, selector=None)
    scene.service("elsewhere", EDIT, type="ExternalName", externalName="db.example")
    scene.service("stale")
    scene.service("installed", writer("helm", 90, "spec/selector"))
    assert scene.problems() == {}


def test_a_stale_service_is_stale_in_the_good_snapshot_too(scene: Scene) -> None:
    scene.service("stale", EDIT)
    scene.snapshot()
    assert scene.problems() == {}


def test_pods_that_are_not_ready_are_not_the_services_fault(scene: Scene) -> None:
    scene.workload("slow", WEB, ready=0)
    scene.service("slow", EDIT)
    assert set(scene.problems()) == {"deployment/slow"}


def test_endpoints_that_may_not_be_read_prove_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path, denied={"EndpointSlice": AccessDenied("No.")})
    scene.workload("web", WEB)
    scene.service("web", EDIT, selector={"app": "wbe"})
    found = scene.diagnosis()
    assert found.problems == ()
    assert [blind.text for blind in found.blind] == ["endpointslices in shop can't be read: no permission."]


# -- nobody listens ----------------------------------------------------------------------------------------------------


def moved(tmp_path: Path, answer: ProxyAnswer, *, snapshot: bool = True) -> Scene:
    scene = Scene(tmp_path, answers={f"services/{NS}/web:http/": answer})
    scene.workload("web", WEB)
    scene.service("web", pods=1)
    if snapshot:
        scene.snapshot()
    scene.service("web", EDIT, pods=1, port={"name": "http", "port": 80, "targetPort": 9})
    return scene


def test_a_port_that_nobody_listens_on(tmp_path: Path) -> None:
    (problem,) = moved(tmp_path, REFUSED).problems().values()
    assert (str(problem.target), codes(problem), problem.confidence) == (
        "service/web",
        {"ConnectionRefused"},
        "certain",
    )
    assert problem.cause.text == "ConnectionRefused since kubectl-edit changed ports[port=80].targetPort"


def test_a_port_that_cannot_be_tried_is_told_with_less_certainty(tmp_path: Path) -> None:
    (problem,) = moved(tmp_path, BLOCKED).problems().values()
    assert codes(problem) == {"ConnectionRefused"} and problem.confidence == "likely"
    assert "could not be tried" in problem.symptoms[0].message.text
    (problem,) = moved(tmp_path / "other", BLOCKED, snapshot=False).problems().values()
    assert problem.confidence == "possible"


def test_a_port_that_answers_is_no_problem_whatever_is_declared(tmp_path: Path) -> None:
    assert moved(tmp_path, page("Web")).problems() == {}


def test_an_undeclared_port_that_always_was_is_not_knocked_on(scene: Scene) -> None:
    scene.service("web", pods=1, port={"name": "http", "port": 80, "targetPort": 9})
    assert scene.problems() == {}
    assert scene.cluster.asked == []


# -- ingresses ---------------------------------------------------------------------------------------------------------


def fronted(scene: Scene, **more: Any) -> None:
    scene.service("web", pods=1)
    scene.ingress("front", **more)


def test_a_backend_that_does_not_exist(scene: Scene, asked: list[Answer]) -> None:
    fronted(scene)
    scene.snapshot()
    scene.ingress("front", ROUTE, backend="web-v2")
    asked.append(Answer(host="a.example", path="/", status=503, address="192.0.2.1:80", service="web-v2"))
    (problem,) = scene.problems().values()
    assert str(problem.target) == "ingress/front" and codes(problem) == {"MissingReference", "HTTPStatus"}
    assert problem.confidence == "certain"
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"


def test_an_ingress_that_cannot_be_asked_is_judged_by_what_it_names(scene: Scene, asked: list[Answer]) -> None:
    from backout.model.message import msg

    fronted(scene)
    scene.ingress("front", ROUTE, backend="web-v2")
    asked.append(Answer(host="a.example", path="/", error=msg("no controller has published an address for it")))
    (problem,) = scene.problems().values()
    assert str(problem.target) == "ingress/front" and codes(problem) == {"MissingReference"}
    assert "could not be tried" in problem.symptoms[0].evidence[-1].message.text


def test_a_backend_that_was_deleted_is_the_services_problem(scene: Scene) -> None:
    fronted(scene)
    scene.snapshot()
    scene.drop("EndpointSlice", "web-x")
    scene.drop("Service", "web")
    (problem,) = scene.problems().values()
    assert str(problem.target) == "service/web" and "does not exist any more" in problem.cause.text


def test_a_certificate_that_was_deleted(scene: Scene) -> None:
    scene.config("cert", kind="Secret", data={"tls.crt": "x"})
    fronted(scene, tls="cert")
    scene.snapshot()
    scene.drop("Secret", "cert")
    (problem,) = scene.problems().values()
    assert (str(problem.target), codes(problem), problem.confidence) == ("secret/cert", {"MissingReference"}, "certain")


def test_a_certificate_that_is_being_made_is_not_missing(scene: Scene) -> None:
    fronted(scene, tls="cert", notes={"cert-manager.io/cluster-issuer": "letsencrypt"})
    assert scene.problems() == {}


def test_an_ingress_behind_which_a_service_lost_its_pods(scene: Scene, asked: list[Answer]) -> None:
    fronted(scene)
    scene.snapshot()
    scene.drop("EndpointSlice", "web-x")
    scene.service("web", EDIT, selector={"app": "wbe"})
    asked.append(Answer(host="a.example", path="/", status=503, address="192.0.2.1:80", service="web"))
    (problem,) = scene.problems().values()
    assert str(problem.target) == "service/web" and codes(problem) == {"NoEndpoints", "HTTPStatus"}


def other_program(tmp_path: Path, title: str) -> Scene:
    scene = Scene(tmp_path, answers={f"services/{NS}/web:http/": page("Web"), f"services/{NS}/api:http/": page(title)})
    for name in ("web", "api"):
        scene.workload(name, WEB)
        scene.service(name, pods=1)
    scene.ingress("front")
    scene.snapshot()
    scene.ingress("front", ROUTE, backend="api")
    return scene


def test_another_program_than_before(tmp_path: Path) -> None:
    (problem,) = other_program(tmp_path, "API").problems().values()
    assert (str(problem.target), codes(problem)) == ("ingress/front", {"WrongBackend"})
    assert problem.confidence == "likely"
    assert "“API”" in problem.symptoms[0].message.text and "“Web”" in problem.symptoms[0].message.text


def test_the_same_program_behind_another_service_is_no_problem(tmp_path: Path) -> None:
    assert other_program(tmp_path, "Web").problems() == {}


def test_what_tells_nothing_of_itself_is_not_called_wrong(tmp_path: Path) -> None:
    scene = other_program(tmp_path, "API")
    scene.cluster._answers.clear()
    assert scene.problems() == {}


def test_an_ingress_that_nobody_touched_is_not_asked(
    scene: Scene, asked: list[Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fronted(scene)
    asked.append(Answer(host="a.example", path="/", status=503, address="192.0.2.1:80", service="web"))

    async def never(*_: Any, **__: Any) -> list[Answer]:
        raise AssertionError("there was no reason")

    monkeypatch.setattr(probe, "ask", never)
    assert scene.problems() == {}
    assert scene.problems("") == {}
