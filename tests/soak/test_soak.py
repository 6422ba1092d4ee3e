# SPDX-License-Identifier: Apache-2.0
"""A few seeds of what `make soak` plays by the hundred."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from play import Outcome, Tally, judge, soak
from world import Answer, Truth, World

FAULTS, KILLS = 5, 10
"""Seeds of each of the groups below: twenty and forty in all."""


@pytest.mark.parametrize("group", range(4))
def test_no_invariant_is_violated(tmp_path: Path, group: int) -> None:
    faults = list(range(1 + group * FAULTS, 1 + (group + 1) * FAULTS))
    kills = list(range(1001 + group * KILLS, 1001 + (group + 1) * KILLS))
    tally = asyncio.run(soak(faults, kills, 2, folder=tmp_path))
    assert len(tally.outcomes) == FAULTS + KILLS
    assert not tally.broken, [(outcome.mode, outcome.seed, outcome.broken) for outcome in tally.broken]


PAST = ("superseded", "superseded")
"""What the revisions say after a rollback that were there before it."""


def truth(content: str = "1.0", **other: object) -> Truth:
    found = {"ready": True, "head": 2, "statuses": ("superseded", "deployed"), "leases": ()}
    return Truth(content=content, settings="plain", generation=2, **{**found, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "after", "answers", "said"),
    [
        ("recovered", truth(), [Answer(0, "", "")], ""),
        ("recovered", truth("2.0-crash-exit2"), [Answer(0, "", "")], "recovered, but 2.0-crash-exit2 is in force"),
        ("recovered", truth(ready=False), [Answer(0, "", "")], "not ready"),
        ("failed", truth("2.0-crash-exit2"), [Answer(0, "", "")], "exit 0, but the run is failed"),
        ("failed", truth(head=3), [Answer(5, "", "")], "something was written"),
        ("failed", truth("9.9"), [Answer(8, "", "")], "content is 9.9"),
        ("running", truth(), [Answer(None, "", "")], "does not come to an end"),
        ("recovered", truth(leases=("one",)), [Answer(0, "", "")], "leases are left"),
        ("recovered", truth(statuses=("deployed", "deployed")), [Answer(0, "", "")], "two revisions are deployed"),
        ("recovered", truth(head=4), [Answer(0, "", "")], "2 revisions were made"),
        ("recovered", truth(head=4, statuses=(*PAST, "superseded", "deployed")), [Answer(0, "", "")], "2 revisions"),
        ("recovered", truth(head=4, statuses=(*PAST, "pending-rollback", "deployed")), [Answer(0, "", "")], ""),
        (
            "recovered",
            truth(head=5, statuses=(*PAST, "pending-rollback", "deployed")),
            [Answer(0, "", "")],
            "3 revisions",
        ),
        ("recovered", truth(statuses=("deployed", "pending-rollback")), [Answer(0, "", "")], "but pending"),
        ("failed", truth(), [Answer(1, '{"code": "unexpected"}', "")], "unforeseen"),
        ("failed", truth(), [Answer(8, "", "Traceback (most recent call last)")], "a traceback"),
        ("failed", truth(), [Answer(None, "", ""), Answer(0, "3.0", "")], "somebody's fix is gone"),
    ],
)
def test_the_judge_sees_each_violation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, after: Truth, answers: list[Answer], said: str
) -> None:
    class Ended:
        def __init__(self) -> None:
            self.state = state

    world = World(tmp_path, {}, tmp_path, "helm", 1)
    monkeypatch.setattr(World, "runs", lambda self: [Ended()])
    found = judge(world, truth("2.0-crash-exit2"), after, answers)
    assert (said in " ".join(found)) if said else not found, found


def test_a_tally_names_what_broke() -> None:
    tally = Tally([Outcome(1, "faults", "helm", ("recovered",)), Outcome(2, "kills", "objects", ("failed",), ["x"])])
    assert "kills: 1 seeds, 1 with a violated invariant" in tally.lines()


def test_a_seed_that_could_not_be_judged_is_told_and_the_others_are_played(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def played(world: World, mode: str) -> Outcome:
        raise AssertionError("kubectl: TLS handshake timeout")

    monkeypatch.setattr("play.play", played)
    monkeypatch.setattr("play.process.up", lambda *given, **named: SimpleNamespace(kubeconfig=tmp_path))
    monkeypatch.setattr("play.process.down", lambda folder: None)
    tally = asyncio.run(soak([1], [2], 1, folder=tmp_path))
    assert [outcome.seed for outcome in tally.broken] == [1, 2]
    assert all("could not be judged" in outcome.broken[0] for outcome in tally.broken)


@pytest.mark.parametrize(("failed", "broken"), [(0, True), (1, False)])
def test_each_further_revision_is_of_a_helm_that_said_that_it_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failed: int, broken: bool
) -> None:
    monkeypatch.setattr(World, "failed_helms", lambda self: failed)
    monkeypatch.setattr(World, "runs", lambda self: [])
    after = truth(head=4, statuses=(*PAST, "superseded", "deployed"))
    found = judge(World(tmp_path, {}, tmp_path, "helm", 1), truth("2.0-crash-exit2"), after, [Answer(8, "", "")])
    assert any("revisions were made" in one for one in found) is broken
