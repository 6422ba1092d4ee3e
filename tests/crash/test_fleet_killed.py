# SPDX-License-Identifier: Apache-2.0
"""kill -9 at the gates of an operation over three clusters (before and after each record and each effect), then resume: the same end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.model.outcomes import outcomes
from backout.snapshots.capture import CaptureStore

HERE = Path(__file__).parent
SHARES = 4
SEEDS = 6
sys.path.insert(0, str(HERE))

from rollback_world import CANARY  # noqa: E402

CLUSTERS = ("a", "b", "c")


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("story", ["rollback", "undo"])
def test_every_gate(tmp_path: Path, story: str, share: int) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "fleet_killer.py"), str(tmp_path), story, str(share), str(SHARES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    first, *rest = [json.loads(line) for line in done.stdout.splitlines()]
    hold = {"rollback": _rolled_back, "undo": _taken_back}[story]
    hold(Path(first["folder"]), "whole")
    gates = first["gates"]
    for name in ("a", "b", "answer", "event-part-ended", "event-gate"):
        assert {f"before-{name}", f"after-{name}"} <= set(gates), name
    assert len(rest) == len(range(share, len(gates), SHARES))
    assert sum(case["reached"] for case in rest) >= len(rest) - 2
    for case in rest:
        assert (case["killed"], case["resumed"]) == (signal.SIGKILL if case["reached"] else 0, 0), case
        hold(Path(case["folder"]), case["gate"])


@pytest.mark.parametrize("story", ["rollback", "undo"])
def test_kills_at_random_one_after_the_other(tmp_path: Path, story: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "fleet_killer.py"), str(tmp_path), story, "1", str(SEEDS), "random"],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(cases) == SEEDS and sum(case["kills"] for case in cases) > SEEDS
    hold = {"rollback": _rolled_back, "undo": _taken_back}[story]
    for case in cases:
        assert case["resumed"] == 0, case
        hold(Path(case["folder"]), f"seed {case['seed']}")


def _rolled_back(folder: Path, gate: str) -> None:
    with SqliteRunStore(folder / "state" / "state.db", create=False) as store:
        run, events = store.get("r1"), store.events("r1")
        assert (run.state, run.verdict and run.verdict.outcome) == ("recovered", "recovered"), gate
        assert {one.state for one in outcomes(run.operation, events, under_way=False)} == {"recovered"}, gate
        _canary_first(events, gate)
        for number, name in enumerate(CLUSTERS, 1):
            mine = [event for event in events if event.part == f"{name}/web"]
            types = [event.type for event in mine]
            # what was there before is kept, and was kept before the first effect; one outcome for each effect
            assert types.index("captured") < types.index("step-started"), gate
            assert (types.count("step-done"), types.count("part-ended")) == (1, 1), gate
            kept = run.captures[f"{name}/web"]
            assert CaptureStore(folder / "data").load(f"r1.{number}", kept.digest).objects, gate
            # no effect is done twice
            assert (folder / "files" / name).read_text().split() == ["new"], gate
        assert [event.type for event in events].count("run-started") == 1
        assert [event.type for event in events].count("run-ended") == 1
        assert store.owners.orphans() == []
    _no_secret(folder, gate)


def _taken_back(folder: Path, gate: str) -> None:
    """One run failed and said so, one other took back what it did, and nothing was done or taken back twice."""
    with SqliteRunStore(folder / "state" / "state.db", create=False) as store:
        run, events = store.get("r1"), store.events("r1")
        undo, *more = [other for other in store.summaries() if other.undo_of == "r1"]
        assert (run.state, undo.state, more) == ("failed", "recovered", []), gate
        assert run.undone_by == undo.id and run.failure is not None and run.failure.exit_code == 8, gate
        states = {one.cluster: one.state for one in outcomes(run.operation, events, under_way=False)}
        assert (states["a"], states["c"]) == ("recovered", "refused"), gate
        _canary_first(events, gate)
        # What was not begun before the other's failure was known is not begun any more; what was, came to its end.
        for name in ("a", "b"):
            file = folder / "files" / name
            written = file.read_text().split() if file.exists() else []
            assert (states[name], written) in (("recovered", ["new", "old"]), ("not-started", [])), (gate, name)
        assert not (folder / "files" / "c").exists(), gate
        assert store.owners.orphans() == []
    _no_secret(folder, gate)


def _canary_first(events: list, gate: str) -> None:  # type: ignore[type-arg]
    ended = next(event.seq for event in events if event.type == "part-ended" and event.part == "a/web")
    others = [event.seq for event in events if event.type == "step-started" and event.part != "a/web"]
    assert ended < min(others), gate


def _no_secret(folder: Path, gate: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes(), (gate, file)
