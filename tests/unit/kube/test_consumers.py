# SPDX-License-Identifier: Apache-2.0
"""Who consumes an object, from what lists of objects say."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.cluster.port import DEPLOYMENTS, STATEFULSETS
from backout.kube.consumers import Consumers
from backout.kube.projections import ConsumingPod, ConsumingWorkload

SPEC = {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}


def a_workload(name: str, uid: str) -> ConsumingWorkload:
    obj = {"metadata": {"name": name, "namespace": "shop", "uid": uid}, "spec": {"template": {"spec": SPEC}}}
    return msgspec.convert(obj, ConsumingWorkload)


def a_pod(
    name: str, kind: str = "", owner: str = "", uid: str = "", phase: str = "Running", **meta: Any
) -> ConsumingPod:
    owners = [{"kind": kind, "name": owner, "uid": uid, "apiVersion": "v1", "controller": True}] if kind else []
    obj = {
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": owners, **meta},
        "spec": SPEC,
        "status": {"phase": phase},
    }
    return msgspec.convert(obj, ConsumingPod)


def consumers(*pods: ConsumingPod) -> dict[str, tuple[str, ...]]:
    found = Consumers("shop")
    found.add_workloads(DEPLOYMENTS, [a_workload("web", "d")])
    found.add_workloads(STATEFULSETS, [a_workload("db", "s")])
    found.add_pods(found.of_pods(pods))
    return {str(one.workload): one.pods for one in found.of("ConfigMap", "settings")}


def test_pods_stand_under_what_made_them() -> None:
    assert consumers(
        a_pod("web-abc-1", "ReplicaSet", "web-abc", "r", labels={"pod-template-hash": "abc"}),
        a_pod("db-0", "StatefulSet", "db", "s"),
        a_pod("load-1", "Job", "load", "j"),
        a_pod("alone"),
    ) == {
        "deployment/web": ("web-abc-1",),
        "statefulset/db": ("db-0",),
        "job/load": ("load-1",),
        "pod/alone": ("alone",),
    }


def test_pods_that_go_or_are_finished_consume_nothing_any_more() -> None:
    labels = {"pod-template-hash": "abc"}
    assert consumers(
        a_pod("web-abc-1", "ReplicaSet", "web-abc", "r", phase="Failed", labels=labels),
        a_pod("db-0", "StatefulSet", "db", "s", deletionTimestamp="2026-11-22T12:00:00Z"),
        a_pod("load-1", "Job", "load", "j", phase="Succeeded"),
    ) == {"deployment/web": (), "statefulset/db": ()}


def test_what_may_not_be_listed_is_told() -> None:
    found = Consumers("shop")
    assert found.blind == ()
    found.deny("pods")
    found.deny("ingresses")
    assert found.blind[0].args == {"kinds": "ingresses, pods"}
