# SPDX-License-Identifier: Apache-2.0
"""Every rehearsal on several clusters, as a user plays it: `backout demo F1`, on embedded clusters of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backout.lab.fleet import FLEETS

ENDS = {"F1": "recovered", "F2": "recovered", "F3": "stopped"}


def test_each_has_an_end() -> None:
    assert set(FLEETS) == set(ENDS)


@pytest.mark.parametrize("scenario", FLEETS)
def test_ends_as_it_must_and_can_be_undone(scenario: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BACKOUT_STATE": str(tmp_path / "state.db"),
        "BACKOUT_DATA": str(tmp_path / "data"),
        "LANG": "C.UTF-8",
    }
    undo = [] if scenario == "F3" else ["--undo"]
    result = subprocess.run(
        [sys.executable, "-m", "backout.cli.main", "demo", scenario, "--clusters", "3", "-o", "json", *undo],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
        cwd=tmp_path,
    )
    assert result.stdout, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["outcome"], result.returncode) == (ENDS[scenario], 0), (answer, result.stderr)
    assert (answer["scenario"], answer["target"]) == (scenario, "helm/thanos")
    assert "CrashLoopBackOff since revision" in answer["cause"]
    assert list(tmp_path.iterdir()) == []


def test_waves_need_clusters(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backout.cli.main", "demo", "F1", "--clusters", "1", "-o", "json"],
        env={**os.environ, "BACKOUT_STATE": str(tmp_path / "state.db"), "BACKOUT_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "usage"
