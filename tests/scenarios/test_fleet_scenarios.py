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

ENDS = {**dict.fromkeys(("F1", "F2", "F4", "F5", "F6", "F7", "G"), "recovered"), "F3": "stopped"}
FEW = {"F4": 4, "G": 1}
"""Clusters here, where it is not three."""
LONG = ("F7",)
"""Says how long it takes, which on a busy machine says nothing: `backout demo F7` plays it with its 50 clusters, `python -m bench
fleet` measures it."""


def test_each_has_an_end() -> None:
    assert set(FLEETS) == set(ENDS)


@pytest.mark.parametrize("scenario", [scenario for scenario in FLEETS if scenario not in LONG])
def test_ends_as_it_must_and_can_be_undone(scenario: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "BACKOUT_STATE": str(tmp_path / "state.db"),
        "BACKOUT_DATA": str(tmp_path / "data"),
        "LANG": "C.UTF-8",
    }
    undo, clusters = [] if scenario == "F3" else ["--undo"], str(FEW.get(scenario, 3))
    result = subprocess.run(
        [sys.executable, "-m", "backout.cli.main", "demo", scenario, "--clusters", clusters, "-o", "json", *undo],
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


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["F3", "--context", "a", "--context", "b", "--context", "c"], "usage", "played on embedded clusters"),
        (["F1", "--context", "a", "--context", "b"], "usage", "needs several clusters"),
        (["F1", "--clusters", "0"], "usage", "0"),
    ],
)
def test_what_is_no_rehearsal(arguments: list[str], code: str, told: str, tmp_path: Path) -> None:
    entries = [{"name": name, "cluster": {"server": f"https://127.0.0.1:{port}"}} for port, name in enumerate("abc", 1)]
    contexts = [{"name": name, "context": {"cluster": name}} for name in "abc"]
    (tmp_path / "kubeconfig").write_text(json.dumps({"clusters": entries, "contexts": contexts}))
    done = subprocess.run(
        [sys.executable, "-m", "backout.cli.main", "demo", *arguments, "-o", "json"],
        env={**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "BACKOUT_STATE": str(tmp_path / "state.db")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (2, code), done.stderr
    assert told in json.dumps(error)


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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(("F9",), 4, ", F7, G"), (("F4", "--clusters", "1"), 2, "3 clusters or more"), (("nope",), 4, "one of A1, ")],
)
def test_what_can_not_be_played_is_told_before_a_cluster_is_started(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "BACKOUT_STATE": str(tmp_path / "state.db"), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-m", "backout.cli.main", "demo", *words],
        env=environment, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, said in done.stderr) == (code, "", True), done.stdout + done.stderr
