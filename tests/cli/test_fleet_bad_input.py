# SPDX-License-Identifier: Apache-2.0
"""What is wrong with an operation over many clusters before any of them is asked: a code, words, and nothing begun."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from backout_shell import Shell
from bench.fleet_simulated import operation

from backout.planning.document import dump

CHART = Path(__file__).parent / "tiny"
NAMES = ("east-1", "east-2", "west-1")


@pytest.fixture
def nobody(tmp_path: Path) -> Shell:
    """The command with a kubeconfig of three clusters, none of which answers, and a configuration that labels them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{free.getsockname()[1]}"
    known = {
        "clusters": [{"name": name, "cluster": {"server": server}} for name in NAMES],
        "contexts": [{"name": name, "context": {"cluster": name}} for name in NAMES],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(known))
    clusters = {name: {"labels": {"side": name[:4]}} for name in NAMES}
    (tmp_path / "backout.yaml").write_text(yaml.safe_dump({"clusters": clusters}))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "BACKOUT_STATE": str(tmp_path / "state.db"),
        "BACKOUT_DATA": str(tmp_path / "data"),
    }
    return Shell(tmp_path, tmp_path / "kubeconfig", environment)


def words_of(error: dict[str, object]) -> str:
    return " ".join(str(error.get(key, "")) for key in ("message", "expected", "found", "hint"))


ALL = ("plan", "helm/web", "-n", "web", "--context", "all")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("plan", "helm/web", "--context", "nowhere"), "unknown-context", "nowhere"),
        (("plan", "helm/web", "-l", "side=north"), "usage", "side=east"),
        (("plan", "helm/web", "--stack", "shop"), "config", "no stack shop"),
        ((*ALL, "--wave", "side=north,rest"), "usage", "Wave 1 (side=north) matches no cluster"),
        ((*ALL, "--wave", "1,1"), "usage", "in no wave: west-1"),
        ((*ALL, "--wave", "rest,1"), "usage", "the last one"),
        ((*ALL, "--wave", "some"), "usage", "some is no wave"),
        ((*ALL, "--wave", "3,1,rest"), "usage", "Wave 2 (1) matches no cluster"),
        ((*ALL, "--parallel", "0"), "usage", "0"),
        ((*ALL, "--max-failures", "-1"), "usage", "-1"),
        ((*ALL, "--together", "--on-failure", "stop"), "usage", "--on-failure can't go with it"),
    ],
)
def test_what_does_not_fit(nobody: Shell, arguments: tuple[str, ...], code: str, told: str) -> None:
    before = set(nobody.home.iterdir())
    error = nobody.error(*arguments)
    assert error["code"] == code, error
    assert told in words_of(error)
    assert set(nobody.home.iterdir()) == before, "nothing was begun"


def test_a_fleet_without_clusters(nobody: Shell) -> None:
    nobody.kubeconfig.write_text("{}")
    (nobody.home / "backout.yaml").unlink()
    error = nobody.error("plan", "helm/web", "--context", "all")
    assert (error["code"], error["exitCode"]) == ("not-found", 4)


def test_a_plan_of_400_parts_of_which_one_was_edited(nobody: Shell) -> None:
    text = dump([operation(400, 5, 1)])
    plan = nobody.home / "plan.yaml"
    half = len(text) // 2
    plan.write_text(text[:half] + text[half:].replace("number: 1", "number: 2", 1))
    error = nobody.error("run", str(plan), "--yes")
    assert (error["code"], error["exitCode"]) == ("plan-changed", 5)
    assert words_of(error).count("deployment/web") == 1, "the hint can be read"
    assert not (nobody.home / "state.db").exists()


def newer(folder: Path) -> str:
    with sqlite3.connect(folder / "newer.db") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA user_version=999")
    database.close()
    return str(folder / "newer.db")


def no_database(folder: Path) -> str:
    (folder / "notes.db").write_text("Buy milk.\n" * 200)
    return str(folder / "notes.db")


def damaged(folder: Path) -> str:
    (folder / "half.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    return str(folder / "half.db")


def a_folder(folder: Path) -> str:
    (folder / "folder.db").mkdir()
    return str(folder / "folder.db")


@pytest.mark.parametrize("state", [newer, no_database, damaged, a_folder])
@pytest.mark.parametrize("command", [("runs",), ("resume", "latest"), ("undo", "latest", "--yes"), ("abort", "latest")])
def test_a_state_that_can_not_be_used(nobody: Shell, state: Callable[[Path], str], command: tuple[str, ...]) -> None:
    place = state(nobody.home)
    before = Path(place).read_bytes() if Path(place).is_file() else b""
    error = nobody.error(*command, BACKOUT_STATE=place)
    assert (error["code"], error["exitCode"]) == ("state", 3), error
    assert error["hint"], "what to do next"
    assert (Path(place).read_bytes() if Path(place).is_file() else b"") == before, "left as it is"


def test_a_state_that_is_gone_at_the_start(nobody: Shell) -> None:
    error = nobody.error("runs", BACKOUT_STATE="postgresql://127.0.0.1:9/backout")
    assert (error["code"], error["exitCode"]) == ("state", 3)
    assert "~/.pgpass" in str(error["hint"]) and "\u2022" not in str(error["hint"])


@pytest.mark.parametrize("limit", [5_000, 20_000])
def test_a_state_that_has_no_room_left(backout: Shell, helm: Any, limit: int) -> None:
    """The limit on the size of files stands for the end of the disk. Nothing of a run is begun whose record can't be written."""
    name = f"full-{limit}"
    for word in ("one", "two"):
        where = ("--kube-context", "cluster-01", "-n", name, "--create-namespace", "--set", f"word={word}")
        helm("upgrade", "--install", name, str(CHART), *where)
    (backout.home / "backout.yaml").write_text("snapshots: {before_run: never}\n")
    words = ("run", f"helm/{name}", "--to", "1", "-n", name, "--context", "cluster-01", "--yes", "--wave", "rest")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, -1)); "
            "from backout.cli.main import main; main()",
            *words,
            *("--approve", "not-proven-good", "-o", "json"),
        ],
        env={**backout.environment, "PYTHONDONTWRITEBYTECODE": "1"},  # what Python compiled would be cut as well
        cwd=backout.home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    error = json.loads(done.stdout)["error"]
    assert (error["code"], done.returncode) == ("state", 3), error
    assert error["hint"]
    found = helm("get", "values", name, "-n", name, "--kube-context", "cluster-01", "-o", "json")
    assert json.loads(found) == {"word": "two"}, "nothing was done"
