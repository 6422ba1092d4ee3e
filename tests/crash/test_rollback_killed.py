# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every gate of a rollback (before and after each record and each effect), then resume: the same end."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.model.settings import SnapshotSettings
from backout.snapshots.capture import CaptureStore
from backout.snapshots.repository.opening import open_repository
from backout.snapshots.repository.verify import Subset, verify

HERE = Path(__file__).parent
PARTS = 4
sys.path.insert(0, str(HERE))

from rollback_world import CANARY, NAMES  # noqa: E402


@pytest.mark.parametrize("part", range(PARTS))
def test_every_gate(tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "killer.py"), str(tmp_path), str(part), str(PARTS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    first, *rest = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["said"] == "recovered"
    gates = first["gates"]
    for name in (*NAMES, "snapshot", "event-snapshot"):
        assert {f"before-{name}", f"after-{name}"} <= set(gates)
    assert len(rest) == len(range(part, len(gates), PARTS))
    for case in rest:
        assert case["killed"] == signal.SIGKILL, case
        assert case["resumed"] == 0, case
        assert case["said"] == "recovered", case
        _invariants(Path(case["folder"]), case["gate"])
        monkeypatch.setenv("BACKOUT_DATA", str(Path(case["folder"]) / "data"))
        asyncio.run(_one_snapshot(Path(case["folder"]), case["gate"]))


async def _one_snapshot(folder: Path, gate: str) -> None:
    """The namespace was kept once, before the first write, and the repository is whole."""
    with SqliteRunStore(folder / "state" / "state.db", create=False) as store:
        events = store.events("r1")
    order = [event.type for event in events]
    assert order.count("snapshot") == 1, gate
    assert order.index("snapshot") < order.index("step-started"), gate
    opened = await open_repository(SnapshotSettings(repository=str(folder / "snapshots")))
    try:
        kept = [(s.id, s.kind, s.run, s.incident) for s in await opened.repository.snapshots()]
        told = next(event.data["snapshot"] for event in events if event.type == "snapshot")
        assert kept == [(told, "run", "r1", False)], gate
        assert (await verify(opened.repository, Subset())).problems == (), gate
        assert (
            CANARY
            in b"".join(
                [data async for _, data in opened.repository.contents((await opened.repository.snapshots())[0])]
            ).decode()
        ), gate
    finally:
        await opened.repository.close()


def _invariants(folder: Path, gate: str) -> None:
    with SqliteRunStore(folder / "state" / "state.db", create=False) as store:
        run, events = store.get("r1"), store.events("r1")
        # the end is named and the same
        assert (run.state, run.verdict and run.verdict.outcome) == ("recovered", "recovered"), gate
        assert run.ended is not None
        # what was there before is kept, and was kept before the first effect
        assert CaptureStore(folder / "data").load("r1", run.captures["deployment/web"].digest).objects
        order = [event.type for event in events]
        assert order.index("captured") < order.index("step-started"), gate
        # every attempt has its intent, every step exactly one outcome
        for name in NAMES:
            of_step = [event for event in events if event.step == f"step-{name}"]
            assert sum(event.type == "step-done" for event in of_step) == 1, gate
            assert sum(event.type == "step-started" for event in of_step) >= 1, gate
            done = next(event for event in of_step if event.type == "step-done")
            assert done.data["changed"] or done.data["earlierAttempt"], gate
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
