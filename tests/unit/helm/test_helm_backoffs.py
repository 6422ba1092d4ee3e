# SPDX-License-Identifier: Apache-2.0
"""Pods of a release that fail and that its rollback does not replace: they are started anew, after what they may need."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from helm_drafts import NOW, TARGET, analysis, item
from helm_histories import NS

from backout.mechanisms.helm.aftercare import aftercare
from backout.mechanisms.helm.consumers import waiting_pods
from backout.mechanisms.helm.params import Holder

WEB = ("Deployment", NS, "web")
SAME = {"spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}}
OTHER = {"spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "a", "image": "a:2"}]}}}}
POLICY = item("NetworkPolicy", {"spec": {"podSelector": {"matchLabels": {"app": "a"}}}}, {"spec": {"podSelector": {}}})


def named(kind: str, name: str, live: dict[str, Any] | None, after: dict[str, Any] | None, **more: Any) -> Any:
    found = item(kind, live, after, **more)
    return msgspec.structs.replace(found, ref=msgspec.structs.replace(found.ref, name=name))


def spec(**more: Any) -> dict[str, Any]:
    return {"spec": {**SAME["spec"], **more}}


def read(how: str) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "a", "image": "a:1"}
    if how == "env":
        container["envFrom"] = [{"configMapRef": {"name": "web"}}]
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


@pytest.mark.parametrize(
    ("workload", "kind", "waits"),
    [
        pytest.param(item("Deployment", SAME, SAME), "Deployment", True, id="its template stays"),
        pytest.param(item("StatefulSet", SAME, SAME), "StatefulSet", True, id="of a set"),
        pytest.param(item("DaemonSet", SAME, SAME), "DaemonSet", True, id="of each node"),
        pytest.param(
            item("StatefulSet", spec(updateStrategy={"type": "OnDelete"}), spec(updateStrategy={"type": "OnDelete"})),
            "StatefulSet",
            True,
            id="of a set that nobody updates",
        ),
        pytest.param(item("Deployment", spec(paused=True), spec(paused=True)), "Deployment", True, id="it is paused"),
        pytest.param(item("Deployment", spec(replicas=3), spec(replicas=2)), "Deployment", True, id="only scaled"),
        pytest.param(item("Deployment", OTHER, SAME), "Deployment", False, id="the rollback replaces its pods"),
        pytest.param(item("Deployment", spec(replicas=0), spec(replicas=0)), "Deployment", False, id="it has none"),
        pytest.param(item("Deployment", None, SAME), "Deployment", False, id="it comes with the rollback"),
        pytest.param(item("Deployment", SAME, None, gone=True, target=None), "Deployment", False, id="it goes"),
        pytest.param(item("Pod", SAME, SAME), "Deployment", False, id="a pod that nothing makes again"),
        pytest.param(item("Job", SAME, SAME), "Job", False, id="a Job: it runs once"),
    ],
)
def test_who_waits(workload: Any, kind: str, waits: bool) -> None:
    found = analysis(workload, POLICY)
    failing = {(kind, NS, "web")} if kind != "Job" else set()
    assert [ref.name for ref in waiting_pods(found, failing)] == (["web"] if waits else [])
    assert waiting_pods(found, ()) == []


def test_who_is_restarted_or_ended_anyway_does_not_wait() -> None:
    settings = item("ConfigMap", {"data": {"a": "bad"}}, {"data": {"a": "good"}})
    assert waiting_pods(analysis(item("Deployment", read("env"), read("env")), settings), {WEB}) == []
    assert waiting_pods(analysis(item("Deployment", read(""), read("")), settings), {WEB})
    held = msgspec.structs.replace(
        settings, holders=(Holder(api_version="apps/v1", kind="Deployment", name="web", namespace=NS, replicas=1),)
    )
    assert waiting_pods(analysis(item("Deployment", read(""), read("")), held), {WEB}) == []


def template(app: str, image: str, reaches: str = "") -> dict[str, Any]:
    container: dict[str, Any] = {"name": "a", "image": image}
    if reaches:
        container["args"] = [f"--store=http://{reaches}:80"]
    return {"spec": {"template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}}}}


def service(name: str) -> Any:
    spec = {"spec": {"selector": {"app": name}}}
    return named("Service", name, {**spec, "metadata": {"name": name}}, {**spec, "metadata": {"name": name}})


def waits_of(found: Any, *failing: str) -> list[str]:
    steps = aftercare(found, TARGET, str(NOW), {("Deployment", NS, name) for name in failing})
    return [step.params["name"] for step in steps if step.action == "workload.wait-ready"]


def test_what_fails_is_waited_for_after_what_it_may_need() -> None:
    front = named("Deployment", "front", template("front", "f:1", "store"), template("front", "f:1", "store"))
    store = named("Deployment", "store", template("store", "s:1"), template("store", "s:1"))
    queue = named("Deployment", "queue", template("queue", "q:2"), template("queue", "q:1"))
    found = analysis(front, store, queue, service("store"))
    assert waits_of(found) == ["front", "store", "queue"], "nobody fails: as it was"
    assert waits_of(found, "front") == ["store", "queue", "front"]
    assert waits_of(found, "front", "store") == ["queue", "store", "front"], "what goes back first, then by need"
    needs = named("Deployment", "queue", template("queue", "q:2", "store"), template("queue", "q:1", "store"))
    assert waits_of(analysis(front, store, needs, service("store")), "store") == ["store", "front", "queue"], (
        "what goes back needs it"
    )
