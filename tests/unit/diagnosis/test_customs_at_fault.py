# SPDX-License-Identifier: Apache-2.0
"""Custom resources as what was changed: those that pods are made from, those that carry requests, those that scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from a_namespace import KINDS, NS, Scene, codes, writer

from backout.cluster.port import Resource

DATABASE = Resource("postgresql.cnpg.io/v1", "Cluster", "clusters")
ROUTE = Resource("networking.istio.io/v1", "VirtualService", "virtualservices")
MONITOR = Resource("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors")
CUT = Resource("chaos-mesh.org/v1alpha1", "NetworkChaos", "networkchaos")
SCALER = Resource("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")
SPEC: dict[str, Any] = {"containers": [{"name": "app", "image": "registry.example/app:1"}]}
ALL = ("ConfigMap", "Service", "Deployment", *(kind.kind for kind in (DATABASE, ROUTE, MONITOR, SCALER)))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    for kind in (DATABASE, ROUTE, MONITOR, CUT, SCALER):
        monkeypatch.setitem(KINDS, kind.kind, kind)
    return Scene(tmp_path)


# -- what pods are made from -------------------------------------------------------------------------------------------


def test_pods_that_an_operator_makes_without_a_set_go_back_with_their_resource(scene: Scene) -> None:
    made, edited = writer("kubectl-create", 7200, "spec/instances"), writer("kubectl-edit", 65, "spec/imageName")
    scene.put("Cluster", "pg", made, spec={"instances": 2, "imageName": "postgresql:16"})
    scene.snapshot(kinds=ALL)
    scene.put("Cluster", "pg", made, edited, spec={"instances": 2, "imageName": "postgresql:17"})
    owner = {"apiVersion": DATABASE.api_version, "kind": "Cluster", "name": "pg", "uid": "Cluster-pg"}
    spec = {"containers": [{"name": "postgres", "image": "postgresql:17"}]}
    scene.pod("pg-2", ("Cluster", "pg"), spec, {}, well=False)
    scene.objects["Pod", "pg-2"]["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    scene.cluster.put(KINDS["Pod"], scene.objects["Pod", "pg-2"])
    (problem,) = scene.problems().values()
    assert str(problem.target) == "cluster.postgresql.cnpg.io/pg" and problem.confidence in ("likely", "certain")
    assert problem.suspect is not None and problem.suspect.actor == "kubectl-edit"
    assert [(f.before, f.after) for f in problem.suspect.fields] == [("postgresql:16", "postgresql:17")]


# -- what carries requests ---------------------------------------------------------------------------------------------


def route(scene: Scene, host: str, *writers: dict[str, Any], kind: str = "VirtualService", **spec: Any) -> None:
    made = writer("kubectl-create", 7200, "spec/hosts")
    body = {"hosts": ["cart"], "http": [{"route": [{"destination": {"host": host}}]}], **spec}
    scene.put(kind, "cart", made, *writers, spec=body)


def caller(scene: Scene, words: str, *, behind: int = 1) -> None:
    """``front`` fails with these words; what it calls, ``cart``, has so many ready pods."""
    scene.workload("cart", SPEC, ready=behind)
    scene.service("cart", pods=behind)
    scene.workload("front", SPEC, ready=0, logs=words)


EDIT = writer("kubectl-edit", 90, "spec/http")
NOT_THERE = "GET http://cart: 503 Service Unavailable, no cluster found cart-v9"
REFUSED = "dial tcp cart:80: connect: connection refused"


@pytest.mark.parametrize(
    ("about", "words", "change", "behind", "blamed"),
    [
        ("it leads to what the program misses", NOT_THERE, {"host": "cart-v9"}, 1, "likely"),
        ("who is called does not answer, and is well", REFUSED, {"host": "cart", "fault": {"abort": 100}}, 1, "likely"),
        ("who is called fails itself", REFUSED, {"host": "cart", "fault": {"abort": 100}}, 0, ""),
        ("the words are of something else", "x509: unknown authority", {"host": "cart", "timeout": "4s"}, 1, ""),
        ("a word that anything may say", "level=info http", {"host": "cart", "mode": "info"}, 1, ""),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value and len(value) < 50 else "",
)
def test_a_route_that_was_changed_shortly_before(
    scene: Scene, about: str, words: str, change: dict[str, Any], behind: int, blamed: str
) -> None:
    caller(scene, words, behind=behind)
    route(scene, "cart")
    scene.snapshot(kinds=ALL)
    route(scene, change.pop("host"), EDIT, **change)
    problem = next(p for p in scene.problems().values() if p.target.name in ("front", "cart") and _of(p, "front"))
    named = problem.suspect is not None and problem.suspect.target.name == "cart"
    assert (problem.confidence if named else "") == blamed


def _of(problem: Any, name: str) -> bool:
    return any(symptom.ref.name == name for symptom in problem.symptoms)


def test_a_monitor_that_was_made_meanwhile_carries_nothing(scene: Scene) -> None:
    caller(scene, REFUSED)
    scene.snapshot(kinds=ALL)
    spec = {"selector": {"matchLabels": {"app": "cart"}}, "endpoints": [{"port": "http"}]}
    scene.put("ServiceMonitor", "cart", writer("kubectl-create", 90, "spec/selector"), born=90, spec=spec)
    (problem,) = scene.problems().values()
    assert problem.suspect is None and problem.confidence == "unknown"


def test_an_experiment_that_cuts_the_way_is_named(scene: Scene) -> None:
    caller(scene, REFUSED)
    scene.snapshot(kinds=ALL)
    spec = {"selector": {"labelSelectors": {"app": "front"}}, "target": {"selector": {"labelSelectors": {"app": "x"}}}}
    scene.put("NetworkChaos", "cut", writer("kubectl-create", 90, "spec/selector"), born=90, spec=spec)
    (problem,) = scene.problems().values()
    assert problem.suspect is not None and str(problem.suspect.touches[0]) == "networkchaos/cut"
    assert problem.confidence == "possible"


# -- who scales ---------------------------------------------------------------------------------------------------------


def asleep(scene: Scene, *, asked: bool = True) -> None:
    """A program that ran with two pods, and has none since."""
    scene.workload("shelf", SPEC, replicas=2)
    scene.service("shelf", pods=2)
    if asked:
        scene.ingress("shelf", backend="shelf")


def stop(scene: Scene) -> None:
    scene.drop("EndpointSlice", "shelf-x")
    for number in range(2):
        scene.drop("Pod", f"shelf-{number}")
    shelf = scene.objects["Deployment", "shelf"]
    scene.put("Deployment", "shelf", spec={**shelf["spec"], "replicas": 0}, status={})


def scaler(scene: Scene, *writers: dict[str, Any], **notes: str) -> None:
    made = writer("kubectl-create", 7200, "spec/scaleTargetRef")
    meta = {"annotations": {f"autoscaling.keda.sh/{key.replace('_', '-')}": value for key, value in notes.items()}}
    scene.put("ScaledObject", "shelf", made, *writers, meta=meta, spec={"scaleTargetRef": {"name": "shelf"}})


def test_what_something_scales_to_nothing_is_asleep_and_nobody_is_blamed(scene: Scene) -> None:
    asleep(scene, asked=False)
    scaler(scene)
    scene.snapshot(kinds=ALL)
    stop(scene)
    assert scene.problems() == {}


def test_a_pause_at_nothing_of_what_is_asked_is_whose_pause_it_is(scene: Scene) -> None:
    asleep(scene)
    scaler(scene)
    scene.snapshot(kinds=ALL)
    stop(scene)
    note = "metadata/annotations/autoscaling.keda.sh~paused-replicas".replace("/", "\0").replace("~", "/")
    edit = writer("kubectl-annotate", 90)
    tree: dict[str, Any] = edit["fieldsV1"]
    for step in note.split("\0"):
        tree = tree.setdefault(f"f:{step}", {})
    scaler(scene, edit, paused_replicas="0")
    found = [problem for problem in scene.problems().values() if "ScaledToZero" in codes(problem)]
    assert [str(problem.target) for problem in found] == ["scaledobject.keda.sh/shelf"]
    assert found[0].suspect is not None and found[0].suspect.actor == "kubectl-annotate" and not found[0].mechanism


def test_an_autoscaler_that_never_scales_to_nothing_did_not_do_it(scene: Scene) -> None:
    asleep(scene)
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shelf"}
    scene.put("HorizontalPodAutoscaler", "shelf", spec={"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 5})
    scene.snapshot(kinds=(*ALL, "HorizontalPodAutoscaler"))
    stop(scene)
    (problem,) = [one for one in scene.problems().values() if "ScaledToZero" in codes(one)]
    assert str(problem.target) == "deployment/shelf" and problem.target.namespace == NS


@pytest.mark.parametrize(
    ("about", "selects", "serves", "found"),
    [
        ("the Service was led to the other side", {"colour": "green"}, 2, False),
        ("both stand behind the Service", {"site": "yes"}, 2, False),
        ("the other side does not serve", {"colour": "green"}, 0, True),
        ("the Service leads to it still", {"colour": "blue"}, 2, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_side_that_was_stopped_since_the_other_serves(
    scene: Scene, about: str, selects: dict[str, str], serves: int, found: bool
) -> None:
    for side in ("blue", "green"):
        scene.workload(f"site-{side}", SPEC, replicas=2, ready=2 if side == "blue" else serves)
        _relabelled(scene, f"site-{side}", {"site": "yes", "colour": side})
    scene.service("site", pods=2, selector={"colour": "blue"})
    scene.snapshot(kinds=ALL)
    for number in range(2):
        scene.drop("Pod", f"site-blue-{number}")
    blue = scene.objects["Deployment", "site-blue"]
    scene.put("Deployment", "site-blue", spec={**blue["spec"], "replicas": 0}, status={})
    scene.service("site", writer("gitlab-runner", 90, "spec/selector"), pods=serves, selector=selects)
    stopped = [problem for problem in scene.problems().values() if "ScaledToZero" in codes(problem)]
    assert bool(stopped) is found


def _relabelled(scene: Scene, name: str, labels: dict[str, str]) -> None:
    obj = scene.objects["Deployment", name]
    template = {**obj["spec"]["template"], "metadata": {"labels": labels}}
    spec = {**obj["spec"], "selector": {"matchLabels": labels}, "template": template}
    scene.put("Deployment", name, spec=spec, status=obj["status"])


@pytest.mark.parametrize(
    ("notes", "found"),
    [({}, True), ({"downscaler/original-replicas": "2"}, False), ({"maintenance.example/until": "monday"}, False)],
)
def test_what_says_that_it_was_stopped_on_purpose(scene: Scene, notes: dict[str, str], found: bool) -> None:
    asleep(scene)
    scene.snapshot(kinds=ALL)
    stop(scene)
    shelf = scene.objects["Deployment", "shelf"]
    scene.put("Deployment", "shelf", meta={"annotations": notes}, spec=shelf["spec"], status={})
    assert any("ScaledToZero" in codes(problem) for problem in scene.problems().values()) is found


@pytest.mark.parametrize(("now", "found"), [({"size": 1}, False), ({"size": 0}, True)])
def test_what_an_operator_made_empty(scene: Scene, now: dict[str, int], found: bool) -> None:
    """Of a resource that says what it said it is its operator's trade."""
    asleep(scene)
    owner = {"apiVersion": DATABASE.api_version, "kind": "Cluster", "name": "pg", "uid": "Cluster-pg"}
    scene.put("Cluster", "pg", writer("kubectl-create", 7200, "spec/size"), spec={"size": 1})
    scene.snapshot(kinds=ALL)
    stop(scene)
    shelf = scene.objects["Deployment", "shelf"]
    meta = {"ownerReferences": [{**owner, "controller": True}]}
    scene.put("Deployment", "shelf", meta=meta, spec=shelf["spec"], status={})
    scene.put("Cluster", "pg", writer("kubectl-edit", 90, "spec/size"), spec=now)
    problems = [problem for problem in scene.problems().values() if "ScaledToZero" in codes(problem)]
    assert bool(problems) is found
