# SPDX-License-Identifier: Apache-2.0
"""Small readings of workloads."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.workloads import interrupts


def workload(kind: str, replicas: int, **strategy: Any) -> dict[str, Any]:
    key = "strategy" if kind == "Deployment" else "updateStrategy"
    status = {"desiredNumberScheduled": replicas} if kind == "DaemonSet" else {}
    spec = {} if kind == "DaemonSet" else {"replicas": replicas}
    return {
        "kind": kind,
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {**spec, **({key: strategy} if strategy else {})},
        "status": status,
    }


def rolling(**values: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": values}


@pytest.mark.parametrize(
    ("kind", "replicas", "strategy", "expected"),
    [
        ("Deployment", 1, {}, False),  # 25 % of one pod: none may be missing, one more may be made
        ("Deployment", 1, rolling(maxSurge="25%", maxUnavailable="25%"), False),
        ("Deployment", 1, rolling(maxSurge=1, maxUnavailable=0), False),
        ("Deployment", 1, rolling(maxSurge=0, maxUnavailable=0), True),  # one may be missing then
        ("Deployment", 1, rolling(maxSurge=0, maxUnavailable=1), True),
        ("Deployment", 1, rolling(maxSurge=1, maxUnavailable=1), True),
        ("Deployment", 3, rolling(maxSurge=0, maxUnavailable=1), False),
        ("Deployment", 3, rolling(maxSurge=0, maxUnavailable="100%"), True),
        ("Deployment", 3, rolling(maxSurge="100%", maxUnavailable="100%"), True),
        ("Deployment", 3, {"type": "Recreate"}, True),
        ("Deployment", 0, {"type": "Recreate"}, False),
        ("StatefulSet", 1, {}, True),
        ("StatefulSet", 3, {}, False),
        ("StatefulSet", 3, rolling(maxUnavailable=3), True),
        ("StatefulSet", 2, {"type": "OnDelete"}, False),
        ("DaemonSet", 1, {}, True),
        ("DaemonSet", 1, rolling(maxSurge=1, maxUnavailable=0), False),
        ("DaemonSet", 4, rolling(maxUnavailable="25%"), False),
    ],
)
def test_replacing_pods_interrupts_where_all_may_be_missing_at_once(
    kind: str, replicas: int, strategy: dict[str, Any], expected: bool
) -> None:
    assert interrupts(workload(kind, replicas, **strategy)) is expected
