# SPDX-License-Identifier: Apache-2.0
"""A few of what `make kills` plays by the thousand, and that no step action is without a story that is killed."""

from __future__ import annotations

import copy
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import kill  # noqa: E402
import kill_judging as judging  # noqa: E402
from kill_stories import STORIES, Story  # noqa: E402
from lives import PLACES, drawn  # noqa: E402

from backout.effects import KINDS  # noqa: E402
from backout.mechanisms import registry  # noqa: E402
from backout.mechanisms.common.params import nothing  # noqa: E402

KILLS = 200
SHORT = ("release", "route", "refused", "immutable", "on-delete")
"""Of each mechanism, one or two whose every write is killed here."""
ELSEWHERE = {
    "customs.wait": "tests/crash/test_customs_killed.py::test_killed_then_resumed",
    "git.await-sync": "tests/crash/test_git_killed.py::test_killed_then_resumed",
    "git.push": "tests/crash/test_git_killed.py::test_killed_then_resumed",
    "helm.keep": "tests/contract/mechanisms/test_helm_left_out.py::test_helm_deletes_nothing_that_the_plan_does_not_name",
    "helm.wait-operator": "tests/unit/helm/test_helm_steps.py",
    "objects.await-reload": "tests/crash/test_objects_killed.py::test_killed_then_resumed",
    "workload.set-account": "tests/crash/test_account_killed.py::test_killed_then_resumed",
    "workload.start-anew": "tests/contract/mechanisms/test_workload_contract.py::test_what_waits_for_its_next_start_is_"
    "started_anew_and_who_is_well_is_left_alone",
}
"""Step actions that no story here plays, and where each is tried: killed, or begun anew; those that wait write nothing."""


def test_random_kills_violate_no_invariant(tmp_path: Path) -> None:
    tally = kill.play(tmp_path, KILLS, 1, 2)
    assert tally.kills >= KILLS and not tally.unplayed
    assert not tally.broken, [(seed["seed"], seed["story"], seed["broken"]) for seed in tally.broken]


@pytest.mark.parametrize("name", SHORT)
def test_each_write_of_a_story_is_killed_before_it_after_it_and_after_its_record(name: str, tmp_path: Path) -> None:
    """The others are played by ``python tests/kills/kill.py --every``."""
    tally = kill.play_every(tmp_path, 1, [name])
    (seed,) = tally.seeds
    assert not tally.unplayed and not tally.broken, seed["broken"]
    assert {"before cluster", "after cluster"} <= set(seed["kills"]), seed


def test_a_story_of_each_mechanism_is_short() -> None:
    assert {story.mechanism for story in STORIES if story.name in SHORT} == {story.mechanism for story in STORIES}


def test_every_step_action_has_a_story_that_is_killed() -> None:
    played = {action for story in STORIES for action in story.actions | story.undoes}
    known = {action for mechanism in registry.every() for action in mechanism.step_kinds()}
    assert played <= known
    assert known - played == set(ELSEWHERE), "a new step action needs a story in tests/kills/kill_stories.py"
    for action, test in ELSEWHERE.items():
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), (action, test)


def test_every_mechanism_is_killed() -> None:
    writing = {
        name
        for name in registry.ENTRIES
        if any(kind.writes is not nothing for kind in registry.get(name).step_kinds().values())
    }
    elsewhere = {action.partition(".")[0] for action in ELSEWHERE}
    assert writing <= {story.mechanism for story in STORIES} | elsewhere


def test_every_kind_of_effect_is_a_place_for_a_kill() -> None:
    assert set(KINDS) - {"forge"} == set(PLACES) - {"engine", "lock"}
    dice = random.Random(1)
    places = {drawn(dice, dict.fromkeys(PLACES, 3), 1.0).place for _ in range(500)}
    assert places == {f"{when} {kind}" for when in ("before", "after") for kind in PLACES} | {"any moment"}


# the judge

STORY = Story(
    "one",
    "workload",
    None,
    None,
    (),
    None,
    frozenset({"workload.undo"}),
    writes={"web": 1},  # type: ignore[arg-type]
)
WEB = {"image": ["web:1.0"], "replicas": 2, "ready": 2, "generation": 3}
WAS = {"good": {"web": {**WEB, "generation": 1}}, "bad": {"web": {**WEB, "image": ["web:2.0"], "generation": 2}}}


def event(type: str, step: str = "") -> Any:
    return SimpleNamespace(type=type, step=step, message=SimpleNamespace(text=type))


EVENTS = [event(name) for name in ("run-started", "snapshot", "captured")]
EVENTS += [event("step-started", "undo"), event("step-done", "undo"), event("run-ended")]


def a_run(**values: Any) -> Any:
    step = SimpleNamespace(id="undo", action="workload.undo")
    part = SimpleNamespace(id="p", steps=(step,))
    verdict = SimpleNamespace(outcome="recovered")
    found = {"id": "r1", "state": "recovered", "verdict": verdict, "undo_of": "", "failure": None}
    captures = {"p": SimpleNamespace(digest="d")}
    return SimpleNamespace(**{**found, "captures": captures, "operation": SimpleNamespace(parts=(part,)), **values})


@pytest.mark.parametrize(
    ("now", "run", "events", "leases", "said"),
    [
        ({}, {}, EVENTS, [], ""),
        ({"image": ["web:2.0"]}, {}, EVENTS, [], "I1: web"),
        ({"ready": 1}, {}, EVENTS, [], "I3"),
        ({"generation": 4}, {}, EVENTS, [], "I2: web was written 2 times"),
        ({"generation": 2}, {}, EVENTS, [], "I2: web was written 0 times"),
        ({}, {"state": "failed"}, EVENTS, [], "I1: run r1 is failed"),
        ({}, {"captures": {}}, EVENTS, [], "I4: nothing was kept"),
        ({}, {}, [*EVENTS[:2], EVENTS[3], EVENTS[2], *EVENTS[4:]], [], "I4: it was kept after"),
        ({}, {}, [*EVENTS, EVENTS[4]], [], "I5: undo began 1 times and was done 2 times"),
        ({}, {}, EVENTS[:-1], [], "I5: run-ended is told 0 times"),
        ({}, {}, [*EVENTS, event(judging.SECRET)], [], "I6"),
        ({}, {}, EVENTS, ["backout-web"], "I8: leases"),
    ],
)
def test_the_judge_sees_each_violation(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    now: dict[str, Any],
    run: dict[str, Any],
    events: list[Any],
    leases: list[str],
    said: str,
) -> None:
    class Store:
        owners = SimpleNamespace(orphans=list)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def get(self, _: str) -> Any:
            return a_run(**run)

        def events(self, _: str) -> list[Any]:
            return events

    monkeypatch.setattr(judging, "open_store", Store)
    monkeypatch.setattr(judging, "runs_of", lambda _: [{"id": "r1"}])
    monkeypatch.setattr(judging, "CaptureStore", lambda _: SimpleNamespace(load=lambda *_: True))
    end = {"look": {"web": {**WEB, **now}}, "leases": leases}
    found = judging.judged(STORY, "ns", tmp_path, copy.deepcopy(WAS), end, 0)
    assert (said in " ".join(found)) if said else not found, found


@pytest.mark.parametrize(
    ("after", "cut", "said"),
    [
        ([[1, "superseded"], [2, "superseded"], [3, "deployed"]], 0, ""),
        ([[1, "superseded"], [2, "superseded"], [3, "pending-rollback"], [4, "deployed"]], 1, ""),
        ([[1, "superseded"], [2, "superseded"], [3, "superseded"], [4, "deployed"]], 0, "I2"),
        ([[1, "superseded"], [2, "deployed"]], 0, "I2"),
        ([[1, "superseded"], [2, "deployed"], [3, "deployed"]], 0, "I1"),
        ([[1, "superseded"], [2, "superseded"], [3, "deployed"], [4, "pending-rollback"]], 1, "I1"),
    ],
)
def test_the_judge_counts_helms_revisions(after: list[Any], cut: int, said: str) -> None:
    found = judging._revisions([[1, "superseded"], [2, "deployed"]], after, 1, cut)
    assert (said in " ".join(found)) if said else not found, found


def test_the_table_counts_by_way_back_database_and_place() -> None:
    tally = kill.Tally(1)
    seed = {"seed": 1, "mechanism": "helm", "database": "SQLite", "kills": ["before state"] * 2, "broken": []}
    tally.seeds += [seed, {**seed, "seed": 2, "database": "PostgreSQL", "kills": ["after state"], "broken": ["I1"]}]
    lines = [line.split() for line in tally.lines()]
    assert ["before", "state", "0", "2", "2"] in lines and ["all", "1", "2", "3"] in lines
    assert "3 kills of 2 runs (seeds 1 to 2), 1 with a violated invariant" in tally.lines()[-1]
