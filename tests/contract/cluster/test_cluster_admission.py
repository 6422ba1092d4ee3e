# SPDX-License-Identifier: Apache-2.0
"""Classes that a pod names: what they give it, and what is refused (plugin/pkg/admission/priority and runtimeclass)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.objects import pod

PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
RUNTIMES = "/apis/node.k8s.io/v1/runtimeclasses"
OVERHEAD = {"cpu": "10m", "memory": "8Mi"}


def made(cluster: Cluster, path: str, **fields: Any) -> Iterator[str]:
    name = f"contract-{secrets.token_hex(4)}"
    cluster.post(path, {"metadata": {"name": name}, **fields}).ok()
    yield name
    cluster.delete(f"{path}/{name}")


@pytest.fixture
def patient(cluster: Cluster) -> Iterator[str]:
    """A PriorityClass whose pods preempt nobody."""
    yield from made(cluster, PRIORITIES, value=7, preemptionPolicy="Never")


@pytest.fixture
def sandboxed(cluster: Cluster) -> Iterator[str]:
    """A RuntimeClass with overhead, of some nodes."""
    scheduling = {
        "nodeSelector": {"contract": "no-such-node"},
        "tolerations": [{"key": "contract", "operator": "Exists"}],
    }
    yield from made(cluster, RUNTIMES, handler="contract", overhead={"podFixed": OVERHEAD}, scheduling=scheduling)


def refused(cluster: Cluster, ns: str, **spec: Any) -> str:
    answer = cluster.post(f"/api/v1/namespaces/{ns}/pods", pod("refused", **spec))
    assert answer.status == 403, answer.text
    return str(answer.body["message"])


def test_a_class_gives_its_priority(cluster: Cluster, ns: str, patient: str) -> None:
    spec = {"priorityClassName": patient, "nodeSelector": {"no": "where"}}
    found = cluster.post(f"/api/v1/namespaces/{ns}/pods", pod("p", **spec)).ok()["spec"]
    assert (found["priority"], found["preemptionPolicy"]) == (7, "Never")
    text = refused(cluster, ns, priorityClassName=patient, preemptionPolicy="PreemptLowerPriority")
    assert text == (
        'pods "refused" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod'
        " spec; priority admission controller computed Never from the given PriorityClass name"
    )


def test_without_a_class_a_pod_preempts(cluster: Cluster, ns: str) -> None:
    assert "PreemptionPolicy (Never) must not be provided" in refused(cluster, ns, preemptionPolicy="Never")
    assert "no PriorityClass with name nobody was found" in refused(cluster, ns, priorityClassName="nobody")


def test_a_runtime_class_gives_overhead_and_nodes(cluster: Cluster, ns: str, sandboxed: str) -> None:
    found = cluster.post(f"/api/v1/namespaces/{ns}/pods", pod("p", runtimeClassName=sandboxed)).ok()["spec"]
    assert found["overhead"] == OVERHEAD
    assert found["nodeSelector"] == {"contract": "no-such-node"}
    assert [one["key"] for one in found["tolerations"] if one["key"] == "contract"] == ["contract"]
    text = refused(cluster, ns, runtimeClassName=sandboxed, nodeSelector={"contract": "other"})
    assert text.startswith('pods "refused" is forbidden: conflict: ') and "contract" in text
    text = refused(cluster, ns, runtimeClassName=sandboxed, overhead={"cpu": "1"})
    assert text.endswith("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")


def test_a_runtime_class_that_is_not_there(cluster: Cluster, ns: str) -> None:
    text = refused(cluster, ns, runtimeClassName="nobody")
    assert text == 'pods "refused" is forbidden: pod rejected: RuntimeClass "nobody" not found'
    text = refused(cluster, ns, overhead={"cpu": "1"})
    assert text.endswith("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
