# SPDX-License-Identifier: Apache-2.0
"""Services and Ingresses that a release's own upgrade broke: the field and the revision are named, whatever its pods do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from a_namespace import Scene, codes, writer
from a_release import MARKS, release

from backout.probes import ingress as probe
from backout.probes.ingress import Answer

HELM = writer("helm", 90, "spec/selector", "spec/ports", "spec/rules")
PORT = {"name": "http", "port": 80, "targetPort": 8080}
WEB = {
    "containers": [
        {"name": "app", "image": "registry.example/app:1", "ports": [{"name": "http", "containerPort": 8080}]}
    ]
}


def service(selector: Any = None, port: Any = None) -> dict[str, Any]:
    spec = {"selector": selector or {"app": "web"}, "ports": [{**PORT, **(port or {})}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def ingress(backend: str = "web", host: str = "a.example", tls: str = "", path: str = "/") -> dict[str, Any]:
    leads = {"path": path, "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [leads]}}]}
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": tls}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front"}, "spec": spec}


def manifest(*objects: dict[str, Any]) -> str:
    return "".join(f"---\n{json.dumps(obj)}\n" for obj in objects)


def live(scene: Scene, obj: dict[str, Any], wrote: dict[str, Any] = HELM) -> None:
    spec = obj["spec"] if obj["kind"] == "Ingress" else {"type": "ClusterIP", "clusterIP": "10.0.0.1", **obj["spec"]}
    scene.put(obj["kind"], obj["metadata"]["name"], wrote, spec=spec, status={}, meta=MARKS)


def pods(scene: Scene, service: str) -> None:
    """One behind it."""
    labels = {"kubernetes.io/service-name": service}
    ports = [{"name": "http", "port": 8080}]
    scene.put(
        "EndpointSlice", f"{service}-x", meta={"labels": labels}, ports=ports, endpoints=[{"addresses": ["10.1.0.1"]}]
    )


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    async def ask(*_: Any, **__: Any) -> list[Answer]:
        return []

    monkeypatch.setattr(probe, "ask", ask)
    found = Scene(tmp_path)
    found.workload("web", WEB)
    found.config("cert", kind="Secret", data={"tls.crt": "x"})
    return found


BROKEN: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (service(), service(selector={"app": "web-v2"}), "NoEndpoints", "selector.app"),
    (service(), service(selector={"name": "web"}), "NoEndpoints", "selector.name"),
    (service(), service(port={"targetPort": "htpp"}), "NoEndpoints", "targetPort"),
    (service(), service(port={"targetPort": 9999}), "ConnectionRefused", "targetPort"),
    (ingress(), ingress(backend="web-green"), "MissingReference", "rules"),
    (ingress(), ingress(host="b.example"), "LostRoute", "rules"),
    (ingress(path="/"), ingress(path="/shop"), "LostRoute", "rules"),
    (ingress(tls="cert"), ingress(tls="cert-2"), "MissingReference", "tls"),
    (ingress(tls="cert"), ingress(), "LostRoute", "tls"),
]


@pytest.mark.parametrize("kept", [True, False], ids=["snapshot", "no-snapshot"])
@pytest.mark.parametrize("later", [True, False], ids=["later-upgrade", "newest"])
@pytest.mark.parametrize(("before", "after", "code", "field"), BROKEN)
def test_the_revision_and_the_field_are_named(
    scene: Scene, before: dict[str, Any], after: dict[str, Any], code: str, field: str, kept: bool, later: bool
) -> None:
    other = service() if before["kind"] == "Ingress" else ingress()
    for obj in (before, other):
        live(scene, obj, writer("helm", 7200, "spec/selector", "spec/ports", "spec/rules"))
    pods(scene, "web")
    if kept:
        scene.snapshot()
    live(scene, after)
    if code == "NoEndpoints":
        scene.drop("EndpointSlice", "web-x")
    revisions = [manifest(before, other), manifest(after, other)]
    release(
        scene, *revisions, *([manifest(after, other, {**service(), "metadata": {"name": "more"}})] if later else [])
    )
    if later:
        live(scene, {**service(), "metadata": {"name": "more"}})
        pods(scene, "more")
    (problem,) = scene.problems().values()
    assert (str(problem.target), problem.mechanism, problem.bad_revision) == ("helm/stack", "helm", 2)
    assert code in codes(problem) and problem.confidence in ("likely", "certain")
    assert problem.confidence == "likely" or kept
    assert problem.suspect is not None and problem.suspect.revision == 2
    assert any(field in each.path for each in problem.suspect.fields), problem.suspect.fields


def test_an_ingress_for_a_part_that_is_still_to_come_is_no_problem(scene: Scene) -> None:
    live(scene, ingress(backend="later"), writer("helm", 7200, "spec/rules"))
    release(scene, manifest(ingress(backend="later")))
    assert scene.problems() == {}
    scene.snapshot()
    assert scene.problems() == {}


def test_an_ingress_whose_service_is_missing_though_its_program_runs_is_told(scene: Scene) -> None:
    live(scene, ingress(), writer("helm", 7200, "spec/rules"))
    release(scene, manifest(ingress()))
    (problem,) = scene.problems().values()
    assert str(problem.target) == "service/web" and problem.confidence == "possible"


def test_a_host_that_another_ingress_serves_is_not_lost(scene: Scene) -> None:
    live(scene, service(), writer("helm", 7200, "spec/selector"))
    pods(scene, "web")
    live(scene, ingress(host="b.example"))
    scene.ingress("other")
    release(scene, manifest(service(), ingress()), manifest(service(), ingress(host="b.example")))
    assert scene.problems() == {}
