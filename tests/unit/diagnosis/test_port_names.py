# SPDX-License-Identifier: Apache-2.0
"""Ports that are asked for by a name: which side was changed is what is told, and nothing where neither was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import KINDS, Scene, codes, writer

from backout.model.diagnosis import Problem

HAND = "kubectl-edit"
KEPT = ("Service", "Deployment", "NetworkPolicy")


def program(port: str = "http") -> dict[str, Any]:
    ports = [{"name": port, "containerPort": 8080}]
    return {"containers": [{"name": "app", "image": "registry.example/app:1", "ports": ports}]}


def renamed(scene: Scene, name: str, port: str) -> None:
    """A template whose port has another name, and a second ReplicaSet of it."""
    old = scene.objects["Deployment", name]
    template = {**old["spec"]["template"], "spec": program(port)}
    wrote = writer(HAND, 90, "spec/template/spec/containers")
    scene.put("Deployment", name, wrote, spec={**old["spec"], "template": template}, status=old["status"])
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": name,
        "uid": f"Deployment-{name}",
        "controller": True,
    }
    scene.put(
        "ReplicaSet",
        f"{name}-6f",
        born=90,
        meta={"ownerReferences": [owner], "annotations": {"deployment.kubernetes.io/revision": "2"}},
        spec={"replicas": 1, "template": template},
        status={"readyReplicas": 1},
    )


def policy(scene: Scene, port: str, *writers: dict[str, Any], app: str = "web") -> None:
    rule = [{"from": [{"podSelector": {}}], "ports": [{"port": port}]}]
    scene.put("NetworkPolicy", "let-in", *writers, spec={"podSelector": {"matchLabels": {"app": app}}, "ingress": rule})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    found = Scene(tmp_path)
    found.workload("web", program())
    found.workload("api", program("grpc"))
    return found


def only(scene: Scene) -> Problem:
    (problem,) = scene.problems().values()
    return problem


def asks(scene: Scene, kind: str, name: str = "http") -> None:
    if kind == "NetworkPolicy":
        policy(scene, name)
    else:
        scene.service("web", pods=1, port={"name": "main", "port": 80, "targetPort": name})


@pytest.mark.parametrize("kind", ["Service", "NetworkPolicy"])
def test_a_workload_that_renames_a_port_that_is_asked_for_is_told_of_with_the_field(scene: Scene, kind: str) -> None:
    asks(scene, kind)
    assert scene.problems() == {}
    renamed(scene, "web", "web")
    problem = only(scene)
    assert str(problem.target) == "deployment/web" and codes(problem) == {"NoSuchPort"}
    assert problem.confidence == "likely" and problem.bad_revision == 2
    assert problem.suspect is not None
    assert [field.path for field in problem.suspect.fields] == [
        "spec.template.spec.containers[name=app].ports[containerPort=8080].name"
    ]
    assert "http" in str(problem.symptoms[0].message)


def test_another_workload_that_has_the_port_still_answers(scene: Scene) -> None:
    asks(scene, "NetworkPolicy")
    for name in ("web", "api"):
        obj = scene.objects["Deployment", name]
        obj["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
        scene.cluster.put(KINDS["Deployment"], obj)
    assert scene.problems() == {}


def test_a_port_that_nobody_ever_had_is_no_news(scene: Scene) -> None:
    policy(scene, "metrics")
    renamed(scene, "web", "web")
    assert scene.problems() == {}


def test_what_has_no_pods_answers_nobody_and_need_not(scene: Scene) -> None:
    asks(scene, "NetworkPolicy")
    renamed(scene, "web", "web")
    obj = scene.objects["Deployment", "web"]
    obj["spec"]["replicas"] = 0
    scene.cluster.put(KINDS["Deployment"], {**obj, "status": {}})
    scene.drop("Pod", "web-0")
    assert "NoSuchPort" not in {code for problem in scene.problems().values() for code in codes(problem)}


def test_a_policy_that_somebody_made_ask_for_another_port(scene: Scene) -> None:
    policy(scene, "http")
    scene.snapshot(kinds=KEPT)
    policy(scene, "htpp", writer(HAND, 90, "spec/ingress"))
    problem = only(scene)
    assert str(problem.target) == "networkpolicy/let-in" and codes(problem) == {"NoSuchPort"}
    assert problem.suspect is not None and problem.suspect.actor == HAND


def test_a_policy_that_never_led_anywhere_is_no_problem_when_it_is_edited(scene: Scene) -> None:
    policy(scene, "metrics")
    scene.snapshot(kinds=KEPT)
    policy(scene, "htpp", writer(HAND, 90, "spec/ingress"))
    assert scene.problems() == {}
