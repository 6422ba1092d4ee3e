# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every gate of a rollback (before and after each record and each effect), then resume: the same end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backout.engine.runs import RunStore
from backout.snapshots.capture import CaptureStore

HERE = Path(__file__).parent
PARTS = 4
sys.path.insert(0, str(HERE))

from rollback_world import CANARY, NAMES  # noqa: E402


@pytest.mark.parametrize("part", range(PARTS))
def test_every_gate(tmp_path: Path, part: int) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "killer.py"), str(tmp_path), str(part), str(PARTS)],
        capture_output=True, text=True, check=False, timeout=220,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, *rest = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["said"] == "recovered"
    gates = first["gates"]
    for name in NAMES:
        assert {f"before-{name}", f"after-{name}"} <= set(gates)
    assert len(rest) == len(range(part, len(gates), PARTS))
    for case in rest:
        assert case["killed"] == signal.SIGKILL, case
        assert case["resumed"] == 0, case
        assert case["said"] == "recovered", case
        _invariants(Path(case["folder"]), case["gate"])


def _invariants(folder: Path, gate: str) -> None:
    with RunStore(folder / "state" / "state.db", create=False) as store:
        run, events = store.get("r1"), store.events("r1")
        # the end is named and the same
        assert (run.state, run.verdict and run.verdict.outcome) == ("recovered", "recovered"), gate
        assert run.ended is not None
        # what was there before is kept, and was kept before the first effect
        assert CaptureStore(folder / "data").load("r1", store.capture_digest("r1")).objects
        order = [event.type for event in events]
        assert order.index("captured") < order.index("step-started"), gate
        # every attempt has its intent, every step exactly one outcome
        for name in NAMES:
            of_step = [event for event in events if event.step == f"step-{name}"]
            assert sum(event.type == "step-done" for event in of_step) == 1, gate
            assert sum(event.type == "step-started" for event in of_step) >= 1, gate
            done = next(event for event in of_step if event.type == "step-done")
            assert done.data["changed"] or done.data["earlier_attempt"], gate
        # no effect is done twice
        for name in NAMES:
            assert (folder / "files" / name).read_text().split() == ["old", "new"], gate
        assert sum(event.type == "run-started" for event in events) == 1
        assert sum(event.type == "run-ended" for event in events) == 1
        assert store.owners.orphans() == []
    # no secret in clear
    for file in folder.rglob("*"):
        if file.is_file():
            assert CANARY.encode() not in file.read_bytes(), (gate, file)
