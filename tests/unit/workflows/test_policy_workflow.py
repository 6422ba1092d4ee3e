# SPDX-License-Identifier: Apache-2.0
"""A run is held to policy before its first write and before each wave, by whoever carries it out, whatever its plan says of itself."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from fleet_world import fleet, of
from test_fleet_workflow import A, B, C, Clusters

from backout.errors import FrozenError, NotApprovedError, OverLimitError, PartlyDoneError
from backout.model.policy import FreezeSettings, LimitSettings, PolicySettings
from backout.model.run import RunEvent
from backout.model.settings import Settings
from backout.planning.policy import Policy
from backout.workflows.policing import APPROVED, NEEDED, override

FRIDAY = FreezeSettings(name="Friday evening", days=("fri",), from_="16:00")
BEFORE, WITHIN, AFTER = (datetime(2026, 11, 27, hour, 30, tzinfo=UTC) for hour in (15, 16, 23))


def held(**policy: Any) -> Policy:
    return Policy(Settings(policy=PolicySettings(**policy)))


def world(tmp_path: Path, **policy: Any) -> Clusters:
    found = Clusters(tmp_path, fleet([of(A)], [of(B), of(C)]))
    found.services.policy = held(**policy)
    return found


def test_in_a_freeze_window_nothing_is_begun_and_after_it_resume_does(tmp_path: Path) -> None:
    one = world(tmp_path, freeze=(FRIDAY,))
    one.services.now = lambda: WITHIN
    error = one.fails(FrozenError)
    assert "Nothing is begun on a now: Friday evening, until 2026-11-28 00:00 UTC" in error.message
    assert (one.kept().state, one.order, one.leases) == ("interrupted", [], [])
    one.services.now = lambda: datetime(2026, 11, 28, 0, 0, 1, tzinfo=UTC)
    assert one.run(resume=True).state == "recovered"


def test_a_window_that_opens_between_two_waves_keeps_the_next_one_shut(tmp_path: Path) -> None:
    one = world(tmp_path, freeze=(FRIDAY,))
    now = [BEFORE]
    one.services.now = lambda: now[0]
    one.gates[A] = lambda: _becomes(now, WITHIN)
    error = one.fails(FrozenError)
    assert "on b now" in error.message and one.order == [A]
    kept = one.kept()
    assert (kept.state, kept.failure and kept.failure.code) == ("interrupted", PartlyDoneError.code)
    assert one.states() == {"a": "recovered", "b": "not-started", "c": "not-started"}
    override(one.services.store, one.kept(), "alice@desk", "the shop is down", WITHIN)
    assert one.run(resume=True).state == "recovered"
    (told,) = [event for event in one.services.store.events("r1") if event.type == "freeze-overridden"]
    assert told.message.text == "alice@desk lets it begin in a freeze window: the shop is down"


async def _becomes(now: list[datetime], then: datetime) -> None:
    now[0] = then


def test_a_wave_that_was_entered_is_brought_to_its_end(tmp_path: Path) -> None:
    one = world(tmp_path, freeze=(FRIDAY,))
    now = [BEFORE]
    one.services.now = lambda: now[0]
    one.gates[B] = lambda: _becomes(now, WITHIN)
    assert one.run().state == "recovered"


def test_an_operation_that_is_too_large_writes_nothing(tmp_path: Path) -> None:
    one = world(tmp_path, limits=LimitSettings(clusters=2))
    one.fails(OverLimitError)
    kept = one.kept()
    assert (kept.state, kept.failure and kept.failure.code, one.order) == ("failed", "over-limit", [])


def yes(run: Any, person: str, plan: str) -> RunEvent:
    from backout.model.message import msg

    data = {"person": person, "plan": plan, "role": ""}
    return RunEvent(run="r1", type=APPROVED, at=BEFORE, message=msg("x"), key=f"{APPROVED}:{person}", data=data)


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        ([("bob", ""), ("carol", "")], True),
        ([("bob", "")], False),
        ([("bob", ""), ("alice", "")], False),
        ([("bob", ""), ("carol", "sha256:another")], False),
    ],
)
def test_who_carries_it_out_counts_who_said_yes_to_just_this_plan(
    tmp_path: Path, said: list[tuple[str, str]], enough: bool
) -> None:
    one = world(tmp_path, approvals=2)
    run = one.kept()
    for person, plan in said:
        one.services.store.record(yes(run, person, plan or run.operation.hash))
    from backout.model.message import msg

    asked = RunEvent(
        run="r1", type=NEEDED, at=BEFORE, message=msg("x"), key=NEEDED, data={"people": 1, "person": "alice"}
    )
    one.services.store.record(asked)
    if enough:
        assert one.run().state == "recovered"
    else:
        one.fails(NotApprovedError)
        assert (one.kept().state, one.order) == ("failed", [])


def test_where_it_was_submitted_more_may_be_wanted_than_here(tmp_path: Path) -> None:
    one = world(tmp_path)
    from backout.model.message import msg

    asked = RunEvent(
        run="r1", type=NEEDED, at=BEFORE, message=msg("x"), key=NEEDED, data={"people": 2, "person": "alice"}
    )
    one.services.store.record(asked)
    one.fails(NotApprovedError)
