# SPDX-License-Identifier: Apache-2.0
"""When a workload is ready, which pods are stuck, and what is sent: pure rules over objects."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.pod_health import health_of
from backout.kube.workloads import selector_of, template_digest
from backout.mechanisms.common.ready import assess, outdated_pods, stuck_pods
from backout.mechanisms.workload.change import template_patch
from backout.mechanisms.workload.steps import _shows_no_secret

GOOD, BAD = "web-good", "web-bad"


def pod(name: str, *, label: str = GOOD, ready: bool = True, going: bool = False, state: Any = None) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "uid": f"uid-{name}", "labels": {"controller-revision-hash": label}}
    if going:
        meta["deletionTimestamp"] = "2026-11-13T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": meta,
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [state or {}]},
    }


def stateful(*, seen: int = 3, replicas: int = 3, **status: Any) -> dict[str, Any]:
    counters = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "shop", "generation": 3},
        "spec": {"replicas": replicas, "template": {}},
        "status": {"observedGeneration": seen, "currentRevision": GOOD, "updateRevision": GOOD, **counters, **status},
    }


THREE = [pod("web-0"), pod("web-1"), pod("web-2")]


@pytest.mark.parametrize(
    ("obj", "pods", "label", "words"),
    [
        (stateful(seen=2), THREE, GOOD, "has not seen"),
        (stateful(), THREE, "", "has not made the revision"),
        (stateful(), [*THREE[:2], pod("web-2", label=BAD)], GOOD, "1 pods are of another revision: web-2"),
        (stateful(), [*THREE[:2], pod("web-2", ready=False)], GOOD, "2 of 3 pods are ready; not yet: web-2"),
        (stateful(), [*THREE, pod("web-3", going=True)], GOOD, "still terminating: web-3"),
        (stateful(), THREE[:2], GOOD, "2 of 3 pods exist"),
        (stateful(readyReplicas=2), THREE, GOOD, "still counts readyReplicas=2"),
    ],
)
def test_what_is_not_ready_yet(obj: dict[str, Any], pods: list[dict[str, Any]], label: str, words: str) -> None:
    state = assess(obj, pods, label)
    assert not state.complete
    assert words in state.why.text


def test_what_is_ready() -> None:
    assert assess(stateful(), THREE, GOOD).complete
    assert assess(stateful(replicas=0), [], GOOD).complete


def test_stuck_pods_are_the_unready_ones_of_another_revision_highest_first() -> None:
    pods = [
        pod("web-0"),
        pod("web-1", label=BAD, ready=False),
        pod("web-2", label=BAD, ready=False),
        pod("web-10", label=BAD, ready=False),
        pod("web-3", label=BAD),
        pod("web-4", ready=False),
        pod("web-5", label=BAD, ready=False, going=True),
    ]
    assert [p["metadata"]["name"] for p in stuck_pods(stateful(), pods, GOOD)] == ["web-10", "web-2", "web-1"]
    assert stuck_pods(stateful(seen=2), pods, GOOD) == []
    assert stuck_pods(stateful(), pods, "") == []


def test_below_a_partition_a_pod_keeps_its_revision() -> None:
    obj = stateful(currentRevision=BAD)
    obj["spec"]["updateStrategy"] = {"rollingUpdate": {"partition": 2}}
    pods = [pod("web-1", label=BAD, ready=False), pod("web-2", label=BAD, ready=False)]
    assert [p["metadata"]["name"] for p in stuck_pods(obj, pods, GOOD)] == ["web-2"]


def test_outdated_pods_of_an_on_delete_set_broken_ones_first() -> None:
    pods = [pod("web-0", label=BAD), pod("web-1", label=BAD, ready=False), pod("web-2", label=BAD), pod("web-3")]
    assert [p["metadata"]["name"] for p in outdated_pods(stateful(), pods, GOOD)] == ["web-1", "web-2", "web-0"]


def waiting(why: str, message: str = "", **ended: Any) -> dict[str, Any]:
    last = {"terminated": ended} if ended else {}
    return {"state": {"waiting": {"reason": why, "message": message}}, "lastState": last}


def restarted(*, ready: bool) -> dict[str, Any]:
    last = {"terminated": {"exitCode": 2, "reason": "Error"}}
    return {"restartCount": 2, "ready": ready, "state": {"running": {}}, "lastState": last}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"state": {"running": {}}}, None),
        (waiting("ContainerCreating"), None),
        (waiting("ImagePullBackOff", "no  such\nimage"), "ImagePullBackOff (no such image)"),
        (waiting("ImagePullBackOff", "token=hunter2"), "ImagePullBackOff (token=•••)"),
        (waiting("CrashLoopBackOff", exitCode=137, reason="OOMKilled"), "CrashLoopBackOff (exit code 137, OOMKilled)"),
        (restarted(ready=False), "Error (exit code 2)"),
        (restarted(ready=True), None),
    ],
)
def test_why_a_pod_fails(state: dict[str, Any], expected: str | None) -> None:
    found = health_of(pod("web-0", ready=False, state=state)).failure
    assert (found.text if found else None) == expected
    assert health_of(pod("web-0", ready=False, going=True, state=state)).failure is None


def test_selectors_with_expressions() -> None:
    rules = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "x", "operator": "NotIn", "values": ["c"]},
        {"key": "y", "operator": "Exists"},
        {"key": "z", "operator": "DoesNotExist"},
    ]
    obj = {"spec": {"selector": {"matchLabels": {"app": "web"}, "matchExpressions": rules}}}
    assert selector_of(obj) == "app=web,tier in (a,b),x notin (c),y,!z"


def test_labels_of_controllers_are_no_part_of_a_templates_content() -> None:
    def obj(**labels: str) -> dict[str, Any]:
        return {"spec": {"template": {"metadata": {"labels": {"app": "web", **labels}, "creationTimestamp": None}}}}

    plain = {"spec": {"template": {"metadata": {"labels": {"app": "web"}}}}}
    assert template_digest(obj(**{"pod-template-hash": "abc"})) == template_digest(plain)
    assert template_digest(obj(tier="x")) != template_digest(plain)


@pytest.mark.parametrize("annotations", [None, {"team": "blue"}, {"kubernetes.io/change-cause": "bad"}])
def test_only_the_template_and_the_change_cause_are_sent(annotations: dict[str, str] | None) -> None:
    obj = {"metadata": {"uid": "u", "generation": 7, "annotations": annotations}, "spec": {"template": {}}}
    patch = template_patch(obj, {"spec": {}}, "back")
    assert patch[:2] == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/generation", "value": 7},
    ]
    paths = [entry["path"] for entry in patch[2:]]
    cause = "/metadata/annotations/kubernetes.io~1change-cause"
    assert paths == ["/spec/template", *(["/metadata/annotations"] if annotations is None else []), cause]
    removed = [entry for entry in template_patch(obj, {}, "") if entry["op"] == "remove"]
    assert bool(removed) == (annotations is not None and "kubernetes.io/change-cause" in annotations)


@pytest.mark.parametrize(
    ("env", "free"),
    [
        ([{"name": "LEVEL", "value": "debug"}], True),
        ([{"name": "DB_PASSWORD", "value": "x"}], False),
        ([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}], True),
        ([{"name": "URL", "value": "postgres://me:hunter2@db/x"}], False),
    ],
)
def test_a_template_goes_into_a_plan_only_without_secrets(env: list[dict[str, Any]], free: bool) -> None:
    assert _shows_no_secret({"spec": {"containers": [{"name": "app", "env": env}]}}) is free
