# SPDX-License-Identifier: Apache-2.0
"""What else was broken is named after a run, where it still is."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backout.app import aftermath
from backout.app.aftermath import Other, others, tell_what_still_fails
from backout.app.events import StillBroken
from backout.diagnosis import diagnose as module
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import ClusterUnreachable
from backout.model.change import LedgerEntry
from backout.model.diagnosis import Diagnosis, Problem
from backout.model.evidence import Symptom
from backout.model.message import msg
from backout.model.run import Run
from backout.model.target import ObjectRef, Target

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


CURED = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def failing(target: Target, began: datetime, *, suspect: datetime | None = None) -> Problem:
    symptom = Symptom(
        code="CrashLoopBackOff", ref=ObjectRef("v1", "Pod", "p", "shop"), message=msg("x"), since=began, pods=("p",)
    )
    entry = None
    if suspect is not None:
        entry = LedgerEntry(at=suspect, source="helm", target=target, actor="helm", summary=msg("it was changed"))
    return Problem(target=target, mechanism="", symptoms=(symptom,), cause=msg("it fails"), suspect=entry)


def test_what_may_have_failed_because_of_what_is_taken_back_is_marked() -> None:
    mine = failing(WEB, CURED, suspect=CURED)
    before = failing(API, CURED - timedelta(seconds=60))
    assert others(seen(mine, failing(API, CURED)), "c1", "shop", [WEB]) == [Other("c1", "shop", API, follows=True)]
    assert others(seen(mine, before), "c1", "shop", [WEB]) == [Other("c1", "shop", API)]


class World:
    """A cluster whose pod, and what is found broken, go on from one look to the next."""

    def __init__(self, looks: list[Diagnosis], starts: list[int]) -> None:
        self.looks, self.starts, self.told = list(looks), list(starts), 0

    async def server_time(self) -> datetime:
        return CURED

    async def list_all(self, resource: Any, namespace: str) -> list[Any]:
        began = self.starts.pop(0) if len(self.starts) > 1 else self.starts[0]
        at = (CURED + timedelta(seconds=began)).isoformat()
        return [
            {
                "metadata": {"name": "p"},
                "status": {
                    "containerStatuses": [{"state": {"waiting": {}}, "lastState": {"terminated": {"startedAt": at}}}]
                },
            }
        ]

    async def diagnose(self, cluster: Any, namespace: str) -> Diagnosis:
        self.told += 1
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def ended(monkeypatch: pytest.MonkeyPatch, world: World, *, longest: float = 60.0) -> tuple[list[Target], list[Any]]:
    @asynccontextmanager
    async def cluster(name: str) -> Any:
        yield world

    events: list[Any] = []
    workspace: Any = SimpleNamespace(cluster=cluster, tell=events.append)
    monkeypatch.setattr(module, "diagnose", world.diagnose)
    monkeypatch.setattr(aftermath, "LOOK", 0.001)
    monkeypatch.setattr(aftermath, "PATIENCE", 0.0)
    monkeypatch.setattr(aftermath, "LONGEST", longest)
    runs: Any = [SimpleNamespace(state="recovered")]
    left = asyncio.run(tell_what_still_fails(workspace, [Other("c1", "shop", API, follows=True)], runs))
    return [event.problem.target for event in events if isinstance(event, StillBroken)], left


def test_what_failed_because_of_it_is_waited_for_until_it_was_started_anew_and_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = seen(failing(API, CURED))
    world = World([broken, broken, broken, seen()], [-30])
    assert ended(monkeypatch, world) == ([], []) and world.told == 4


def test_what_fails_again_once_it_was_started_anew_is_not_called_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([seen(failing(API, CURED))], [-30, -30, 20])
    told, left = ended(monkeypatch, world)
    assert told == [] and world.told == 3, "it is told once, as what it is"
    assert [(one.target, one.error.exit_code) for one in left] == [(API, 7)] and "it fails" in str(left[0].error)


@pytest.mark.parametrize("start", [-30, 0])
def test_of_what_was_never_started_anew_nothing_is_known(monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    told, left = ended(monkeypatch, World([seen(failing(API, CURED))], [start]), longest=0.05)
    assert told == [] and "not been started anew" in str(left[0].error) and left[0].error.exit_code == 7


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
        yield World(looks, [0])

    events: list[Any] = []
    workspace: Any = SimpleNamespace(cluster=cluster, tell=events.append)
    monkeypatch.setattr(module, "diagnose", diagnose)
    monkeypatch.setattr(aftermath, "LOOK", 0.01)
    monkeypatch.setattr(aftermath, "PATIENCE", 0.1)
    runs: Any = [SimpleNamespace(state=state)]
    assert asyncio.run(tell_what_still_fails(workspace, [Other("c1", "shop", API)], runs)) == []
    assert [event.problem.target for event in events if isinstance(event, StillBroken)] == told


def test_what_else_was_broken_is_kept_with_a_run_for_workers_and_looked_at_once(tmp_path: Path) -> None:
    """By whoever ends it; where the cluster can't be asked, what followed the cause is not known to be well."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))
    from rollback_world import plan

    asked: list[str] = []

    @asynccontextmanager
    async def cluster(name: str) -> Any:
        asked.append(name)
        raise ClusterUnreachable("{name} does not answer.", name=name)
        yield

    told: list[Any] = []
    workspace: Any = SimpleNamespace(cluster=cluster, tell=told.append, front=SimpleNamespace(tell=told.append))
    workspace.for_front = lambda front: SimpleNamespace(cluster=cluster, tell=front.tell)
    found = [Other("small", "monitoring", API, follows=True), Other("elsewhere", "monitoring", WEB, follows=True)]
    with SqliteRunStore(tmp_path / "state.db") as store:
        for number, state in enumerate(("recovered", "failed")):
            run = Run(id=f"r{number}", state="pending", operation=plan(), started=CURED, actor="alice")
            store.create(run)
            aftermath.note(store, found, [run])
            store.update(run.id, state=state)  # type: ignore[arg-type]
            for _ in range(2):
                asyncio.run(aftermath.look_after(workspace, store, store.get(run.id)))
        types = [event.type for event in store.events("r0")]
        assert types == [aftermath.NOTED, "not-well", aftermath.LOOKED]
        assert "does not answer" in store.events("r0")[1].message.text
        assert [event.type for event in store.events("r1")] == [aftermath.NOTED], "nothing recovered"
    assert asked == ["small"]
