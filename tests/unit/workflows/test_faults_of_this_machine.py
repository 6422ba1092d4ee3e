# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on this side of a run: the record of it can't be kept, clocks jump, two operators want overlapping sets."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import NAMES
from test_rollback_workflow import World

from backout.errors import BackoutError, StateError
from backout.report import render


class Full:
    """A store that takes ``left`` records, and no more."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, gate: str) -> None:
        if gate.startswith("before-event") or gate == "before-update":
            if self.left <= 0:
                raise StateError("The disk of the state database {path} is full.", path="x", hint="free some space")
            self.left -= 1


@pytest.mark.parametrize("left", range(1, 26, 2))
def test_nothing_is_written_that_could_not_be_recorded_before(tmp_path: Path, left: int) -> None:
    world = World(tmp_path)
    store = world.services.store
    store.gate = Full(left)  # type: ignore[attr-defined]
    try:
        ended = world.run()
    except BackoutError as error:
        assert error.exit_code in (1, 3, 8)
    else:
        assert ended.state != "recovered" or left > 12
    begun = {event.step for event in store.events("r1") if event.type == "step-started"}
    wrote = {f"step-{name}" for name in NAMES if "new" in world.files.writes(name)}
    assert wrote <= begun, "an effect without its intent on the disk"
    store.gate = lambda gate: None  # type: ignore[attr-defined]
    if world.kept().state not in ("recovered", "failed"):
        try:
            world.resume()
        except StateError:
            # It was found before the first write: the run is over, and nothing of it is left.
            assert world.kept().state == "failed" and world.untouched()
            return
        assert world.kept().state == "recovered"
        assert all(world.files.writes(name).count("new") == 1 for name in NAMES), "each effect once"


@pytest.mark.parametrize("jumps", [(0, 3600), (0, -3600), (0, 5, -86_400, 7200), (86_400 * 400,)])
def test_clocks_may_jump_as_they_like(tmp_path: Path, jumps: tuple[int, ...]) -> None:
    world = World(tmp_path)
    steps = cycle(jumps)
    world.services.now = lambda: datetime.now(UTC) + timedelta(seconds=next(steps))
    run = world.run()
    assert run.state == "recovered"
    events = world.services.store.events("r1")
    assert [event.seq for event in events] == sorted(event.seq for event in events)
    types = [event.type for event in events]
    assert (
        types.index("run-started")
        < types.index("lease-acquired")
        < types.index("step-started")
        < types.index("run-ended")
    )
    text = render(run, events, "en")
    assert "-1 day" not in text and " -" not in text.split("## Timeline")[1].split("## ")[0].replace(" - ", "")


def test_a_clock_that_is_off_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.services.now = lambda: datetime.now(UTC) + timedelta(hours=1)
    world.run()
    assert any("clock is" in event.message.text for event in world.services.store.events("r1"))
