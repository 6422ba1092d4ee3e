# SPDX-License-Identifier: Apache-2.0
"""Requests that reach the wrong pods, or none: selectors, labels of pods, ports of Services, names and endpoints of elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from a_namespace import KINDS, Scene, codes, writer

from backout.model.diagnosis import Problem

HAND = "kubectl-patch"
KEPT = ("Service", "Deployment", "Ingress")
CALLER = {"containers": [{"name": "app", "env": [{"name": "UPSTREAM", "value": "http://web:80/"}]}]}


def program(labels: dict[str, str] | None = None) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8080}]
    return {"containers": [{"name": "app", "image": "registry.example/app:1", "ports": ports}]}


def relabelled(scene: Scene, name: str, labels: dict[str, str]) -> None:
    """A template with other labels, and a second ReplicaSet of it."""
    old = scene.objects["Deployment", name]
    template = {**old["spec"]["template"], "metadata": {"labels": labels}}
    wrote = writer(HAND, 90, *(f"spec/template/metadata/labels/{key}" for key in labels))
    scene.put("Deployment", name, wrote, spec={**old["spec"], "template": template}, status=old["status"])
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name,
        "uid": f"Deployment-{name}",
        "controller": True,
    }
    notes = {"deployment.kubernetes.io/revision": "2"}
    scene.put(
        "ReplicaSet",
        f"{name}-6f",
        born=90,
        meta={"ownerReferences": [owner], "annotations": notes},
        spec={"replicas": 1, "template": template},
        status={"readyReplicas": 1},
    )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    found = Scene(tmp_path)
    for name in ("web", "api"):
        found.workload(name, program())
        found.service(name, pods=1)
    return found


def only(scene: Scene) -> Problem:
    (problem,) = scene.problems().values()
    return problem


def labelled(scene: Scene, name: str, labels: dict[str, str]) -> None:
    """From the beginning."""
    for kind, called in (("Deployment", name), ("ReplicaSet", f"{name}-5f")):
        obj = scene.objects[kind, called]
        template = {**obj["spec"]["template"], "metadata": {"labels": labels}}
        scene.cluster.put(KINDS[kind], {**obj, "spec": {**obj["spec"], "template": template}})
        obj["spec"]["template"] = template


def shared(scene: Scene) -> None:
    """Both programs have a label in common."""
    for name in ("web", "api"):
        labelled(scene, name, {"app": name, "tier": "front"})


def test_a_selector_that_takes_in_another_program(scene: Scene) -> None:
    shared(scene)
    scene.snapshot(kinds=KEPT)
    assert scene.problems() == {}
    scene.service("web", writer(HAND, 90, "spec/selector"), pods=1, selector={"tier": "front"})
    problem = only(scene)
    assert str(problem.target) == "service/web" and codes(problem) == {"WrongBackend"}
    assert problem.confidence in ("likely", "certain") and "deployment/api" in problem.symptoms[0].message.text


def test_a_service_that_always_stood_before_both_is_no_problem(scene: Scene) -> None:
    shared(scene)
    scene.service("web", writer(HAND, 90, "spec/selector"), pods=2, selector={"tier": "front"})
    scene.snapshot(kinds=KEPT)
    assert scene.problems() == {}


def test_pods_that_lost_the_label_that_their_service_selects_by(scene: Scene) -> None:
    scene.drop("EndpointSlice", "web-x")
    relabelled(scene, "web", {"name": "web"})
    problem = only(scene)
    assert str(problem.target) == "deployment/web" and codes(problem) == {"NoEndpoints"}
    assert problem.confidence == "likely" and problem.bad_revision == 2
    assert problem.suspect is not None
    assert any("metadata.labels" in field.path for field in problem.suspect.fields)


def test_pods_that_joined_another_service(scene: Scene) -> None:
    relabelled(scene, "api", {"app": "web"})
    scene.drop("Service", "api")
    scene.drop("EndpointSlice", "api-x")
    problem = only(scene)
    assert str(problem.target) == "deployment/api" and codes(problem) == {"WrongBackend"}


def test_a_canary_beside_a_program_is_no_problem(scene: Scene) -> None:
    scene.workload("web-canary", program())
    labelled(scene, "web-canary", {"app": "web", "track": "canary"})
    assert scene.problems() == {}


def asked_by_an_ingress(scene: Scene) -> None:
    scene.ingress("front")


def asked_by_a_program(scene: Scene) -> None:
    scene.workload("client", CALLER)


@pytest.mark.parametrize("asked", [asked_by_an_ingress, asked_by_a_program])
def test_a_port_that_is_asked_for_and_was_taken_away(scene: Scene, asked: Callable[[Scene], None]) -> None:
    asked(scene)
    scene.snapshot(kinds=KEPT)
    port = {"name": "http", "port": 81, "targetPort": 8080}
    scene.service("web", writer(HAND, 90, "spec/ports"), pods=1, port=port)
    problem = only(scene)
    assert str(problem.target) == "service/web" and codes(problem) == {"MissingReference"}
    assert "port 80" in problem.symptoms[0].message.text


def test_a_port_that_nobody_asks_for_may_change(scene: Scene) -> None:
    scene.snapshot(kinds=KEPT)
    port = {"name": "http", "port": 81, "targetPort": 8080}
    scene.service("web", writer(HAND, 90, "spec/ports"), pods=1, port=port)
    assert scene.problems() == {}


@pytest.mark.parametrize("asked", [True, False])
def test_a_name_of_elsewhere_that_somebody_changed(scene: Scene, asked: bool) -> None:
    if asked:
        scene.workload("client", {"containers": [{"name": "app", "args": ["--db=db:5432"]}]})
    wrote = writer("kubectl-create", 7200, "spec/externalName")
    scene.service("db", wrote, type="ExternalName", externalName="db.example", selector=None)
    scene.snapshot(kinds=KEPT)
    assert scene.problems() == {}
    wrote = writer(HAND, 90, "spec/externalName")
    scene.service("db", wrote, type="ExternalName", externalName="db.exmaple", selector=None)
    if not asked:
        assert scene.problems() == {}
        return
    problem = only(scene)
    assert str(problem.target) == "service/db" and "externalName" in problem.cause.text
    assert problem.suspect is not None and problem.suspect.actor == HAND


@pytest.mark.parametrize("later", [True, False])
def test_endpoints_that_people_wrote(scene: Scene, later: bool) -> None:
    scene.workload("client", {"containers": [{"name": "app", "args": ["--db=legacy:5432"]}]})
    scene.service("legacy", selector=None)
    scene.put(
        "EndpointSlice",
        "legacy-1",
        writer(HAND, 90 if later else 7200, "endpoints"),
        meta={"labels": {"kubernetes.io/service-name": "legacy"}},
        endpoints=[{"addresses": ["192.0.2.9"]}],
        ports=[{"name": "http", "port": 8080}],
    )
    if not later:
        assert scene.problems() == {}
        return
    problem = only(scene)
    assert str(problem.target) == "endpointslice/legacy-1" and not problem.mechanism
    assert problem.suspect is not None and problem.suspect.actor == HAND
