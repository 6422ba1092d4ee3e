# SPDX-License-Identifier: Apache-2.0
"""What may fail because of what is taken back, and which of it a next start may heal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from backout.mechanisms.common.backoff import LONGEST
from backout.model.change import LedgerEntry
from backout.model.diagnosis import Problem
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.part import Step
from backout.model.target import ObjectRef, Target
from backout.planning.followers import START_ANEW, crashing, followers, placed, to_start, uncovered, waited_for

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MINE, SHOP = Target("configmap", "settings", "shop"), Target("helm", "shop", "shop")


def problem(
    name: str, began: int | None = None, changed: int | None = None, code: str = "CrashLoopBackOff", **more: Any
) -> Problem:
    """Seconds after noon."""
    target = MINE if name == "settings" else Target("deployment", name, "shop")
    ref = ObjectRef("apps/v1", "Deployment", name, "shop")
    since = None if began is None else AT + timedelta(seconds=began)
    suspect = None
    if changed is not None:
        at = AT + timedelta(seconds=changed)
        suspect = LedgerEntry(at=at, source="helm", target=target, actor="helm", summary=msg("changed"))
    symptom = Symptom(code=code, ref=ref, message=msg("x"), since=since)
    return Problem(target=target, mechanism="", symptoms=(symptom,), cause=msg("x"), suspect=suspect, **more)


CAUSE = problem("settings", began=5, changed=0)


@pytest.mark.parametrize(
    ("other", "follows"),
    [
        pytest.param(problem("api", began=10), True, id="after it, without a cause of its own"),
        pytest.param(problem("api", began=0), True, id="with it"),
        pytest.param(problem("api", began=-1), False, id="before it"),
        pytest.param(problem("api"), False, id="since when is not known"),
        pytest.param(problem("api", began=10, changed=8), False, id="its own change is known"),
        pytest.param(problem("api", began=10, owners=(SHOP,)), True, id="of a release that stays"),
        pytest.param(problem("api", began=10, owners=(MINE,)), False, id="of what goes back"),
    ],
)
def test_what_may_follow_from_what_is_taken_back(other: Problem, follows: bool) -> None:
    assert followers([CAUSE, other], {MINE}) == ([other] if follows else [])


def test_without_a_change_nothing_follows_from_it() -> None:
    assert followers([problem("settings", began=5), problem("api", began=10)], {MINE}) == []


def test_only_what_a_next_start_may_heal_is_started_anew() -> None:
    assert [ref.name for ref in crashing(problem("api", began=1))] == ["api"]
    assert crashing(problem("api", began=1, code="ImagePullBackOff")) == []
    assert crashing(problem("api", began=1, code="Unschedulable")) == []


def step(kind: str, name: str, action: str = "workload.wait-ready") -> Step:
    return Step(id=name, action=action, target=MINE, title=msg("x"), params={"kind": kind, "name": name})


@pytest.mark.parametrize(
    ("target", "steps", "left"),
    [
        pytest.param(MINE, (), ["api"], id="what fails because of it, and is no part of it"),
        pytest.param(MINE, (step("Deployment", "api"),), [], id="a step of the way back speaks of it"),
        pytest.param(
            MINE, (step("Deployment", "api", START_ANEW),), ["api"], id="that it is started anew is no such step"
        ),
        pytest.param(MINE, (step("StatefulSet", "api"),), ["api"], id="another kind of that name"),
        pytest.param(Target("deployment", "api", "shop"), (), [], id="it is what goes back"),
    ],
)
def test_who_fails_because_of_what_goes_back_and_is_no_part_of_it(target: Target, steps: Any, left: list[str]) -> None:
    shown = msgspec.structs.replace(problem("api", began=5), target=target)
    assert [ref.name for ref in uncovered([shown, problem("other", began=5)], target, steps)] == left


def test_each_way_back_starts_the_same_ones() -> None:
    mine = ObjectRef("apps/v1", "Deployment", "web", "shop", "uid")
    found = to_start([CAUSE, problem("api", began=10), problem("api", began=12)], MINE, (), [mine])
    assert [(ref.name, ref.uid) for ref in found] == [("web", ""), ("settings", ""), ("api", "")]
    job = ObjectRef("batch/v1", "Job", "load", "shop")
    assert to_start([], MINE, (), [job, ObjectRef("v1", "Pod", "one", "shop")]) == [], "nothing makes those again"


def test_who_fails_is_started_before_it_is_waited_for() -> None:
    steps = [step("Deployment", "a"), step("Deployment", "b"), step("StatefulSet", "a")]
    starts = [step("Deployment", name, START_ANEW) for name in ("b", "other")]
    found = [(one.params["name"], one.action == START_ANEW) for one in placed(steps, starts)]
    assert found == [("a", False), ("b", True), ("b", False), ("a", False), ("other", True)]


def test_whom_nobody_may_start_is_waited_for_until_its_longest_back_off_is_over() -> None:
    ref = ObjectRef("apps/v1", "Deployment", "a", "")
    steps = [
        msgspec.structs.replace(one, params={**one.params, "namespace": "", "patience": 30.0})
        for one in (step("Deployment", "a"), step("Deployment", "b"))
    ]
    found = waited_for(steps, [ref])
    assert [one.params["patience"] for one in found] == [LONGEST, 30.0]
    assert [one.timeout >= LONGEST for one in found] == [True, False]
