# SPDX-License-Identifier: Apache-2.0
"""A budget that lets no pod go is told where a way back replaces pods that serve, and what that means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import DEPLOYMENTS, PDBS
from backout.mechanisms.common.params import named
from backout.mechanisms.common.steps import delete_outdated, replace_stuck, restart, start_anew, wait_ready
from backout.mechanisms.port import wire
from backout.model.change import Changes, FieldChange, ObjectChange
from backout.model.message import msg
from backout.model.part import Risk, Step
from backout.model.target import ObjectRef, Target
from backout.workflows.budgets import budget_risks

NS = "shop"
WEB = ObjectRef("apps/v1", "Deployment", "web", NS)
MINE = Target("deployment", "web", NS, "c")
TEMPLATE = {"metadata": {"labels": {"app": "web", "tier": "front"}}, "spec": {"containers": []}}


def budget(allowed: int = 0, expected: int = 2, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "b", "namespace": NS, "uid": "b"},
        "spec": {"selector": {"matchLabels": labels or {"app": "web"}}},
        "status": {"disruptionsAllowed": allowed, "expectedPods": expected, "currentHealthy": 1, "desiredHealthy": 2},
    }


def told(found: dict[str, Any] | None, changes: Changes, *steps: Step) -> list[Risk]:
    cluster = SmallCluster()
    meta = {"name": "web", "namespace": NS, "uid": "web"}
    cluster.put(
        DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": TEMPLATE}}
    )
    if found is not None:
        cluster.put(PDBS, found)
    return asyncio.run(budget_risks(cluster, changes, steps))  # type: ignore[arg-type]


def change(action: Any = "update", path: str = "spec.template.spec.containers[name=a].image") -> Changes:
    return Changes(objects=(ObjectChange(ref=WEB, action=action, fields=(FieldChange(path, "a", "b"),)),))


SCALE = Step(
    id="s",
    action="objects.scale",
    target=MINE,
    title=msg("x"),
    params={**wire(named(WEB)), "replicas": 0, "until": "gone"},
)


@pytest.mark.parametrize(
    ("changes", "steps", "says"),
    [
        pytest.param(change(), (), True, id="its template goes back"),
        pytest.param(change("recreate", "spec.selector"), (), True, id="it is made anew"),
        pytest.param(change(path="spec.replicas"), (), False, id="its pods stay"),
        pytest.param(Changes(), (restart(WEB, MINE, {}, msg("x"), "now"),), True, id="it is restarted"),
        pytest.param(Changes(), (delete_outdated(WEB, MINE),), True, id="its pods are replaced one by one"),
        pytest.param(Changes(), (SCALE,), True, id="its pods end first"),
        pytest.param(
            Changes(), (start_anew(WEB, MINE), replace_stuck(WEB, MINE)), False, id="only what does not serve"
        ),
        pytest.param(Changes(), (wait_ready(WEB, MINE),), False, id="it is only waited for"),
    ],
)
def test_which_ways_back_are_told_of_a_budget(changes: Changes, steps: tuple[Step, ...], says: bool) -> None:
    found = told(budget(), changes, *steps)
    assert [risk.code for risk in found] == (["budget"] if says else [])
    for risk in found:
        assert "lets no pod of deployment/web go" in risk.message.text and not risk.needs_approval


def test_only_a_budget_of_its_pods_that_lets_none_go() -> None:
    assert told(budget(tier="front"), change())
    assert not told(budget(allowed=1), change())
    assert not told(budget(expected=0), change())
    assert not told(budget(app="other"), change())
    assert not told(None, change())
