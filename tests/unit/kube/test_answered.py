# SPDX-License-Identifier: Apache-2.0
"""What ends a wait because the cluster has answered, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backout.kube import projections
from backout.kube.answered import GATED, REFUSED, SILENT, UNSCHEDULED, VOLUMES, answers
from backout.kube.rollout import rollout_with_pods

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def stamp(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def pod(name: str, revision: str = "new", *, ready: bool = False, unscheduled: str = "", **more: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "reason": "x"}]
    if unscheduled:
        conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unscheduled}]
    meta = {"name": name, "uid": f"u-{name}", "labels": {"pod-template-hash": revision}}
    status = {"phase": "Pending" if unscheduled else "Running", "conditions": conditions, **more.pop("status", {})}
    return {"metadata": {**meta, **more}, "spec": {"nodeName": "" if unscheduled else "n1"}, "status": status}


def gated(name: str, revision: str = "new", *gates: str) -> dict[str, Any]:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "blocked"}]
    found = pod(name, revision, status={"phase": "Pending", "conditions": conditions})
    return {**found, "spec": {"schedulingGates": [{"name": gate} for gate in gates]}}


def going(name: str, due: float, *finalizers: str) -> dict[str, Any]:
    return pod(name, "old", deletionTimestamp=stamp(due), finalizers=list(finalizers))


def deployment(*, paused: bool = False, failure: str = "") -> dict[str, Any]:
    conditions = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failure}]
    return {
        "metadata": {"name": "web", "generation": 2},
        "spec": {"replicas": 2, "paused": paused, "selector": {"matchLabels": {}}, "template": {}},
        "status": {"observedGeneration": 2, "replicas": 1, "conditions": conditions if failure else []},
    }


def found(obj: dict[str, Any], *pods: dict[str, Any], **more: Any) -> list[tuple[str, str, float]]:
    workload = projections.workload(obj)
    mine = [projections.pod(one) for one in pods]
    state = rollout_with_pods("Deployment", workload, mine, "new", NOW)
    seen = answers("Deployment", workload, mine, "new", state, NOW, **more)
    return [(answer.key.partition(":")[0], str(answer.why), answer.patience) for answer in seen]


QUOTA = 'pods "web-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'


@pytest.mark.parametrize(
    ("obj", "pods", "more", "kind", "words", "patience"),
    [
        (deployment(failure=QUOTA), [pod("a", ready=True)], {}, "refused", "exceeded quota", REFUSED),
        (deployment(), [pod("a", ready=True)], {"refused": QUOTA}, "refused", "exceeded quota", REFUSED),
        (deployment(), [pod("a", unscheduled="0/2 nodes are available")], {}, "unscheduled", "0/2 nodes", UNSCHEDULED),
        (
            deployment(),
            [pod("a", unscheduled="pod has unbound immediate PersistentVolumeClaims")],
            {},
            "unscheduled",
            "unbound",
            VOLUMES,
        ),
        (deployment(), [gated("a", "new", "acme.io/quota")], {"growing": True}, "gated", "acme.io/quota", GATED),
        (deployment(paused=True), [pod("a", "old", ready=True)], {}, "paused", "paused", 5.0),
        (deployment(), [going("a", -10, "example.com/keep")], {}, "held", "example.com/keep", 0.0),
        (deployment(), [going("a", -10)], {}, "silent", "node n1", SILENT),
    ],
)
def test_what_is_an_answer(
    obj: dict[str, Any], pods: list[dict[str, Any]], more: dict[str, Any], kind: str, words: str, patience: float
) -> None:
    seen = [one for one in found(obj, *pods, **more) if one[0] == kind]
    assert len(seen) == 1 and words in seen[0][1] and seen[0][2] == patience


@pytest.mark.parametrize(
    ("obj", "pods", "more"),
    [
        (deployment(), [pod("a"), pod("b")], {}),
        # What goes makes room.
        (deployment(failure=QUOTA), [pod("a", ready=True), going("b", 20)], {}),
        (deployment(), [pod("a", unscheduled="0/2 nodes"), going("b", 20)], {}),
        # Pods that have been made since show that the words are old.
        (deployment(), [pod("a"), pod("b")], {"refused": QUOTA}),
        # An autoscaler adds a node; a lower pod makes room.
        (deployment(), [pod("a", unscheduled="0/2 nodes")], {"growing": True}),
        (deployment(), [pod("a", unscheduled="0/2", status={"nominatedNodeName": "n1"})], {}),
        # A pod of another revision that no node takes is no hindrance.
        (deployment(), [pod("a", "old", unscheduled="0/2 nodes"), pod("b")], {}),
        (deployment(), [gated("a", "old", "acme.io/quota"), pod("b")], {}),
        # Within its grace.
        (deployment(), [going("a", 5, "example.com/keep")], {}),
    ],
)
def test_what_is_none(obj: dict[str, Any], pods: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert found(obj, *pods, **more) == []


def test_a_secret_in_the_cluster_s_words_does_not_show() -> None:
    said = found(deployment(), pod("a"), refused="denied: password=hunter2")
    assert "hunter2" not in said[0][1]
