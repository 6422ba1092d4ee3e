# SPDX-License-Identifier: Apache-2.0
"""Nodes: taints of their conditions, and pods that leave tainted ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.objects import pod

NODES = "/api/v1/nodes"
EVICTION = "TaintManagerEviction"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    """The name of a node without a kubelet, and without taints."""
    name = f"contract-{secrets.token_hex(4)}"
    labels = {"kubernetes.io/hostname": name}
    made = cluster.post(NODES, {"metadata": {"name": name, "labels": labels}}).ok()
    assert made["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    cluster.wait(f"{NODES}/{name}", lambda found: not taints(found))
    yield name
    cluster.delete(f"{NODES}/{name}")


@pytest.fixture
def bound(cluster: Cluster, ns: str, node: str) -> Iterator[str]:
    """The path of a pod on that node, which nobody runs; it tolerates `kept` for ever and `later` for an hour."""
    path = f"/api/v1/namespaces/{ns}/pods"
    tolerations = [
        {"key": "kept", "operator": "Exists"},
        {"key": "later", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600},
        {"key": "soon", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1},
    ]
    body = pod("p", nodeName=node, tolerations=tolerations, terminationGracePeriodSeconds=60)
    cluster.post(path, body).ok()
    yield f"{path}/p"
    cluster.delete(f"{path}/p", query={"gracePeriodSeconds": 0})


def taints(node: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["key"], item["effect"]) for item in node["spec"].get("taints", ())}


def tainted(cluster: Cluster, node: str, *keys: str) -> None:
    found = [{"key": key, "effect": "NoExecute"} for key in keys]
    cluster.patch(f"{NODES}/{node}", {"spec": {"taints": found or None}}).ok()


def said(cluster: Cluster, pod_path: str, text: str) -> None:
    """Wait for an event of the eviction."""
    path = f"{pod_path.rpartition('/pods/')[0]}/events"

    def is_there(events: dict[str, Any]) -> bool:
        return any(e["reason"] == EVICTION and e["message"].startswith(text) for e in events["items"])

    cluster.wait(path, is_there)


def test_a_node_without_room_gets_no_pods(cluster: Cluster, ns: str, node: str) -> None:
    path = f"/api/v1/namespaces/{ns}/pods"
    cluster.post(path, pod("p", nodeSelector={"kubernetes.io/hostname": node})).ok()
    found = cluster.wait(f"{path}/p", lambda p: p["status"].get("conditions"))
    (condition,) = found["status"]["conditions"]
    assert (condition["reason"], condition["status"]) == ("Unschedulable", "False")
    assert "1 Too many pods" in condition["message"]


def test_a_cordoned_node_is_tainted(cluster: Cluster, node: str) -> None:
    path = f"{NODES}/{node}"
    cluster.patch(path, {"spec": {"unschedulable": True}}).ok()
    found = cluster.wait(path, taints)
    assert taints(found) == {("node.kubernetes.io/unschedulable", "NoSchedule")}
    assert found["spec"]["taints"][0]["timeAdded"]
    cluster.patch(path, {"spec": {"unschedulable": None}}).ok()
    cluster.wait(path, lambda n: not taints(n))


def test_conditions_of_a_node_are_taints(cluster: Cluster, node: str) -> None:
    path = f"{NODES}/{node}"
    mine = {("mine", "NoSchedule")}
    cluster.patch(path, {"spec": {"taints": [{"key": "mine", "effect": "NoSchedule"}]}}).ok()
    short = {"type": "MemoryPressure", "status": "True"}
    cluster.patch(f"{path}/status", {"status": {"conditions": [short]}}, STRATEGIC).ok()
    cluster.wait(path, lambda n: taints(n) == mine | {("node.kubernetes.io/memory-pressure", "NoSchedule")})
    cluster.patch(f"{path}/status", {"status": {"conditions": [{**short, "status": "False"}]}}, STRATEGIC).ok()
    cluster.wait(path, lambda n: taints(n) == mine)


def test_an_unready_node_is_left(cluster: Cluster, node: str) -> None:
    path, key = f"{NODES}/{node}", "node.kubernetes.io/not-ready"
    unready = {"type": "Ready", "status": "False"}
    cluster.patch(f"{path}/status", {"status": {"conditions": [unready]}}, STRATEGIC).ok()
    cluster.wait(path, lambda n: taints(n) == {(key, "NoSchedule"), (key, "NoExecute")})
    cluster.patch(f"{path}/status", {"status": {"conditions": [{**unready, "status": "True"}]}}, STRATEGIC).ok()
    cluster.wait(path, lambda n: not taints(n))


def test_a_taint_that_is_not_tolerated_deletes_at_once(cluster: Cluster, node: str, bound: str) -> None:
    tainted(cluster, node, "other")
    found = cluster.wait(bound, lambda p: "deletionTimestamp" in p["metadata"])
    condition = next(c for c in found["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (condition["status"], condition["reason"]) == ("True", "DeletionByTaintManager")
    assert condition["message"] == "Taint manager: deleting due to NoExecute taint"
    said(cluster, bound, "Marking for deletion Pod ")


def test_a_tolerated_taint_changes_nothing(cluster: Cluster, node: str, bound: str) -> None:
    tainted(cluster, node, "kept", "later")
    tainted(cluster, node, "kept")
    said(cluster, bound, "Cancelling deletion of Pod ")
    assert "deletionTimestamp" not in cluster.get(bound).ok()["metadata"]


def test_a_taint_is_tolerated_for_its_time(cluster: Cluster, node: str, bound: str) -> None:
    tainted(cluster, node, "soon")
    cluster.wait(bound, lambda p: "deletionTimestamp" in p["metadata"])
