# SPDX-License-Identifier: Apache-2.0
"""What pods say for or against the template that they were made from."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from helm_fakes import Shelf

from backout.mechanisms.common.evidence import LiveWorkload, gather

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
BEFORE = "2026-11-22T11:00:00Z"


def owned(kind: str, name: str, by: str, owner: str, uid: str, **more: Any) -> dict[str, Any]:
    refs = [{"kind": by, "name": owner, "uid": uid, "controller": True}]
    meta = {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": BEFORE, "ownerReferences": refs}
    return {"kind": kind, "metadata": {**meta, "labels": {"app": "web"}}, **more}


def pod(name: str, *, phase: str = "Running", ready: bool = True, reason: str = "", container: Any = None) -> Any:
    conditions = [{"type": "Ready", "status": str(ready), "reason": "Why", "lastTransitionTime": BEFORE}]
    status = {"phase": phase, "reason": reason, "conditions": conditions, "containerStatuses": [container or {}]}
    return owned("Pod", name, "ReplicaSet", "web-a", "web-a", status=status)


def seen(*pods: dict[str, Any]) -> LiveWorkload:
    template = {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    meta = {"name": "web", "namespace": "shop", "uid": "web", "creationTimestamp": BEFORE}
    shelf = Shelf(
        {
            "deployments": [{"metadata": meta, "spec": spec}],
            "replicasets": [owned("ReplicaSet", "web-a", "Deployment", "web", "web", spec=spec)],
            "pods": list(pods),
        }
    )
    identity = ("Deployment", "shop", "web")
    return asyncio.run(gather(shelf, [identity], NOW)).workloads[identity]  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["Evicted", "Terminated", "Preempting"])
def test_a_finished_pod_speaks_neither_for_nor_against_its_revision(reason: str) -> None:
    found = seen(pod("a"), pod("b"), pod("gone", phase="Failed", ready=False, reason=reason))
    assert [(one.name, one.steady, one.failing) for one in found.pods] == [("a", True, ""), ("b", True, "")]


def test_a_crash_loop_speaks_against_it_with_the_cluster_s_own_word() -> None:
    crash = {"name": "app", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    found = seen(pod("a"), pod("b", ready=False, container=crash))
    assert [(one.steady, one.failing) for one in found.pods] == [(True, ""), (False, "CrashLoopBackOff")]


def test_a_pod_that_starts_is_neither() -> None:
    found = seen(pod("a", ready=False, phase="Pending"))
    assert [(one.steady, one.failing) for one in found.pods] == [(False, "")]
