# SPDX-License-Identifier: Apache-2.0
"""Every rehearsal, as a user plays it: `backout demo ID`, embedded or on the cluster of BACKOUT_TEST_KUBECONFIG.

Each must end recovered (or be refused, where it is somebody else's), name the cause, choose the right revision, leave
nothing behind, and be undone again; and a role of the rights that `doctor` asks for must let its plan pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubetwin.lab.scenarios import SCENARIOS

COVERED = Path(__file__).parent / "covered.py"
NAMED = ("revision", "holds a change", " changed ", "made it anew", "does not exist any more")
"""A cause names the change."""


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_recovers_and_can_be_undone(scenario: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BACKOUT_STATE": str(tmp_path / "state.db"),
        "BACKOUT_DATA": str(tmp_path / "data"),
        "LANG": "C.UTF-8",
    }
    place = ["--clusters", "1"]
    if kubeconfig := os.environ.get("BACKOUT_TEST_KUBECONFIG"):
        place = [
            "--kubeconfig",
            kubeconfig,
            "--context",
            os.environ["BACKOUT_TEST_CONTEXT"],
            "-n",
            f"rehearsal-{scenario.lower()}",
        ]
    result = subprocess.run(
        [sys.executable, str(COVERED), "demo", scenario, "--undo", "-o", "json", *place],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=tmp_path,
    )
    assert result.stdout, result.stderr
    answer = json.loads(result.stdout)
    assert answer["outcome"] == "recovered", answer
    assert result.returncode == 0
    assert answer["scenario"] == scenario
    assert any(words in answer["cause"] for words in NAMED), answer["cause"]
    assert answer["target"] == ", ".join(SCENARIOS[scenario].targets)
    assert list(tmp_path.iterdir()) == [] or kubeconfig
