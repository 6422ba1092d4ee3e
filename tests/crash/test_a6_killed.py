# SPDX-License-Identifier: Apache-2.0
"""Scenario A6: killed while the pruned record comes back, and again while helm works; resumed, undone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from test_a2_killed import World, in_lab, killed_at, look, world

from backout.engine.store.sqlite.runs import SqliteRunStore
from kubetwin.lab import helm_scenarios

__all__ = ["world"]


def numbers(world: World) -> list[int]:
    return [revision for revision, _, _ in in_lab(world, look)["revisions"]]


def finished(world: World, folder: Path, *arguments: str) -> str:
    running = world.backout(folder, *arguments)
    running.wait(timeout=600)
    said = (folder / "out").read_text()
    assert running.returncode == 0, said
    return said


def test_a_record_that_comes_back_under_fire(world: World, tmp_path: Path) -> None:
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 1}\n")
    finished(world, tmp_path, "snapshot", "create")
    in_lab(world, helm_scenarios.crash_and_prune)
    before = numbers(world)
    assert 2 not in before

    running = world.backout(tmp_path, "run", "helm/thanos", "--yes")
    run = killed_at(tmp_path, running, "step-started", "restore-record")
    assert killed_at(tmp_path, world.backout(tmp_path, "resume", run), "step-progress", "rollback") == run
    finished(world, tmp_path, "resume", run)

    with SqliteRunStore(tmp_path / "state.db", create=False) as store:
        found, events = store.get(run), store.events(run)
    assert found.state == "recovered" and found.operation.parts[0].revision.number == 2
    done = [event for event in events if event.type == "step-done" and event.step == "restore-record"]
    assert len(done) == 1 and done[0].data["made"]["uid"]
    assert done[0].data["changed"] or done[0].data["earlierAttempt"]
    after = in_lab(world, look)
    assert after["leases"] == [] and [n for n, _, _ in after["revisions"]] == [2, *before, before[-1] + 1]
    assert [status for _, status, _ in after["revisions"]].count("deployed") == 1

    finished(world, tmp_path, "undo", run, "--yes")
    assert numbers(world) == [*before, before[-1] + 1, before[-1] + 2]
    kept = json.loads(finished(world, tmp_path, "snapshot", "list"))["items"]
    assert [item["type"] for item in kept] == ["run", "run", "manual"]
