# SPDX-License-Identifier: Apache-2.0
"""Where the benchmark says that the time of a run went, and what its watches make of what they saw."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bench.observer import Change, complete, first_write, settled, turned
from bench.phases import NAMES, timeline

T = 1_700_000_000.0


def about(seconds: float) -> Any:
    """Times since 1970 as floats are good to less than a microsecond."""
    return pytest.approx(seconds, abs=1e-5)


MARKS = [
    ("main", T + 0.0, T + 0.1),
    ("diagnose", T + 0.2, T + 0.5),
    ("run", T + 0.55, T + 0.6),
    ("make_operation", T + 0.5, T + 0.7),
    ("carry_out", T + 0.8, T + 20.0),
    ("PartStages._take_lock", T + 1.1, T + 1.2),
    ("run", T + 1.5, T + 3.5),
]


def event(type: str, after: float) -> dict[str, Any]:
    return {"type": type, "at": datetime.fromtimestamp(T + after, UTC).isoformat()}


EVENTS = [
    event("run-started", 1.0),
    event("lease-acquired", 1.2),
    event("step-started", 1.4),
    event("step-done", 3.6),
    event("step-started", 3.6),
    event("step-done", 6.0),
    event("soak", 6.1),
    event("verdict", 11.2),
]


def test_the_phases_follow_one_another_without_a_gap() -> None:
    found = timeline(T, T + 11.5, MARKS, EVENTS, 5.0, T + 2.0, T + 5.9)
    assert sum(found.phases.values()) == about(11.5)
    assert tuple(found.phases) == NAMES
    assert found.phases["Steps: the helm program"] == about(2.0), "not that of the preview"
    assert found.phases["Steps: the rest"] == about(2.6)
    assert found.phases["Verdict"] == about(0.1)


def test_own_time_is_without_the_soak_and_without_the_cluster() -> None:
    found = timeline(T, T + 11.5, MARKS, EVENTS, 5.0, T + 2.0, T + 5.9)
    assert found.until_verdict == about(11.2)
    assert found.own == about(11.2 - 5.0 - 3.9)


def test_a_run_that_ended_early_has_no_timeline() -> None:
    with pytest.raises(ValueError, match="no event verdict"):
        timeline(T, T + 11.5, MARKS, EVENTS[:-1], 5.0, T, T)
    with pytest.raises(ValueError, match="no mark carry_out"):
        timeline(T, T + 11.5, [mark for mark in MARKS if mark[0] != "carry_out"], EVENTS, 5.0, T, T)


def deployment(generation: int, ready: int, *, observed: int | None = None) -> dict[str, Any]:
    counts = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": ready, "availableReplicas": ready}
    return {
        "metadata": {"name": "web", "generation": generation},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": generation if observed is None else observed, **counts},
    }


def pod(name: str, ready: bool, *, leaving: bool = False) -> dict[str, Any]:
    meta = {"name": name, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})}
    return {"metadata": meta, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


START = [Change(T, "Deployment", "web", deployment(1, 2)), Change(T, "Pod", "web-a", pod("web-a", True))]
CHANGES = [
    Change(T + 4, "Deployment", "web", deployment(2, 2)),
    Change(T + 1, "Deployment", "web", deployment(2, 2, observed=1)),
    Change(T + 2, "Pod", "web-b", pod("web-b", False)),
    Change(T + 3, "Pod", "web-b", pod("web-b", True)),
    Change(T + 5, "Pod", "web-a", pod("web-a", True, leaving=True)),
    Change(T + 6, "Pod", "web-a", None),
]


def test_the_first_write_is_the_first_new_generation() -> None:
    assert first_write(START, CHANGES, T) == T + 1
    assert first_write(START, CHANGES, T + 2) == T + 4
    assert first_write(START, CHANGES[2:4], T) is None


def test_the_cluster_has_converged_when_the_last_old_pod_is_gone() -> None:
    assert turned(START, CHANGES, settled, T) == T + 6
    assert turned(START, CHANGES[:-1], settled, T) is None, "a pod is still leaving"
    rollout = [change for change in CHANGES if change.kind == "Deployment"]
    assert turned(START, rollout, settled, T) == T + 4


def test_a_controller_that_has_not_seen_the_change_is_not_complete() -> None:
    assert complete(deployment(2, 2))
    assert not complete(deployment(2, 2, observed=1))
    assert not complete(deployment(2, 1))
