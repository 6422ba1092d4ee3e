# SPDX-License-Identifier: Apache-2.0
"""What else was broken is named after a run, where it still is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from backout.app import aftermath
from backout.app.aftermath import Other, others, tell_what_still_fails
from backout.app.events import StillBroken
from backout.diagnosis import diagnose as module
from backout.model.diagnosis import Diagnosis, Problem
from backout.model.message import msg
from backout.model.target import Target

WEB, SHOP, API = (
    Target("deployment", "web", "shop"),
    Target("helm", "shop", "shop"),
    Target("deployment", "api", "shop"),
)


def problem(target: Target, *owners: Target) -> Problem:
    return Problem(target=target, mechanism="", symptoms=(), cause=msg("it fails"), owners=owners)


def seen(*problems: Problem) -> Diagnosis:
    return Diagnosis(cluster="c1", namespace="shop", at=datetime.now(UTC), problems=problems)


def test_others_are_those_that_no_plan_acts_on() -> None:
    found = others(seen(problem(WEB), problem(API), problem(API, SHOP)), "c1", "shop", [WEB, SHOP])
    assert found == [Other("c1", "shop", API)]
    assert others(seen(problem(WEB)), "c1", "shop", [WEB]) == []


@pytest.mark.parametrize(
    ("state", "looks", "told"),
    [
        ("recovered", [seen(problem(API)), seen()], []),
        ("recovered", [seen(problem(API)), seen(problem(API))], [API]),
        ("recovered", [seen(problem(WEB))], []),
        ("failed", [seen(problem(API))], []),
    ],
)
def test_they_get_time_for_their_next_start_and_are_named_if_they_still_fail(
    monkeypatch: pytest.MonkeyPatch, state: str, looks: list[Diagnosis], told: list[Target]
) -> None:
    left = list(looks)

    async def diagnose(cluster: Any, namespace: str) -> Diagnosis:
        return left.pop(0) if len(left) > 1 else left[0]

    @asynccontextmanager
    async def cluster(name: str) -> Any:
        yield name

    events: list[Any] = []
    workspace: Any = SimpleNamespace(cluster=cluster, tell=events.append)
    monkeypatch.setattr(module, "diagnose", diagnose)
    monkeypatch.setattr(aftermath, "LOOK", 0.01)
    monkeypatch.setattr(aftermath, "PATIENCE", 0.1)
    runs: Any = [SimpleNamespace(state=state)]
    asyncio.run(tell_what_still_fails(workspace, [Other("c1", "shop", API)], runs))
    assert [event.problem.target for event in events if isinstance(event, StillBroken)] == told
