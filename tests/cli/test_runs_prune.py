# SPDX-License-Identifier: Apache-2.0
"""`backout runs prune`, as it is typed."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backout_shell import Shell

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))

from rollback_world import plan

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.model.run import Run


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Two ended runs, ten and a hundred days old, and one that was interrupted; none changed anything."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "BACKOUT_STATE": str(tmp_path / "state.db"),
        "BACKOUT_DATA": str(tmp_path / "data"),
    }
    with SqliteRunStore(tmp_path / "state.db") as store:
        for name, days, state in (("stopped", 200, "interrupted"), ("old", 100, "recovered"), ("young", 10, "failed")):
            began = datetime.now(UTC) - timedelta(days=days)
            store.create(Run(id=name, state="pending", operation=plan(), started=began))
            store.update(name, state=state, ended=began)  # type: ignore[arg-type]
    return Shell(tmp_path, tmp_path / "no-kubeconfig", environment)


def left(shell: Shell) -> list[str]:
    return [item["id"] for item in shell("runs", "-o", "json").document["items"]]


def test_nothing_goes_without_a_yes(shell: Shell) -> None:
    answer = shell("runs", "prune", "--older-than", "30d")
    assert answer.code == 5 and "To be removed:" in answer.err and "old" in answer.err, answer
    dry = shell("runs", "prune", "--older-than", "30d", "--dry-run")
    assert dry.code == 0 and "stopped stays: it is not over." in dry.out and "Recent runs that stay: 1" in dry.out
    assert left(shell) == ["young", "old", "stopped"]


def test_what_is_old_goes_and_is_told(shell: Shell) -> None:
    answer = shell("runs", "prune", "--older-than", "30d", "--yes", "-o", "json")
    assert answer.code == 0, answer.err
    document = answer.document
    assert (document["kind"], document["dryRun"], document["removed"]) == ("RunPrune", False, ["old"])
    assert document["unfinished"] == ["stopped"]
    assert left(shell) == ["young", "stopped"]
    again = shell("runs", "prune", "--older-than", "30d", "--yes")
    assert again.code == 0 and "No run is to be removed." in again.out
    assert "Removed:" in shell("runs", "prune", "--older-than", "5h", "--yes").out
    assert left(shell) == ["stopped"]


@pytest.mark.parametrize("arguments", [(), ("--older-than", "soon"), ("--older-than", "-3d"), ("--keep-last", "-1")])
def test_what_is_not_said_clearly_is_refused(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert shell("runs", "prune", *arguments, "--yes").code == 2
    assert left(shell) == ["young", "old", "stopped"]
