# SPDX-License-Identifier: Apache-2.0
"""`backout version`, and what a production install has: no embedded cluster, and nothing that only that needs."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from backout_shell import Shell

import kubetwin
from backout import __version__

WITHOUT = "import sys; sys.modules['kubetwin'] = None; from backout.cli.main import main; main()"


@pytest.fixture
def alone(tmp_path: Path) -> Shell:
    """The command without any program in its PATH, and without a cluster."""
    environment = {
        "PATH": str(tmp_path),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
    }
    return Shell(tmp_path, tmp_path / "none", environment)


def test_it_says_what_is_there(alone: Shell, tools: dict[str, Path]) -> None:
    found = alone("version", "-o", "json", BACKOUT_HELM=str(tools["helm3"])).document
    assert found["kind"] == "Version"
    assert found["backout"] == {"version": __version__}
    assert found["python"] == {"version": platform.python_version(), "path": sys.executable}
    assert found["sqlite"] == {"version": sqlite3.sqlite_version}
    assert found["helm"]["version"].startswith("3.") and found["helm"]["path"] == str(tools["helm3"])
    assert found["kubectl"] is None and found["git"] is None
    assert found["kubetwin"] == {"version": kubetwin.__version__}
    told = alone("version")
    assert told.code == 0
    assert re.search(rf"^backout +{re.escape(__version__)}$", told.out, re.MULTILINE)
    assert re.search(r"^helm +not installed$", told.out, re.MULTILINE)


@pytest.mark.parametrize(("arguments", "code"), [(("version",), 0), (("twin", "up"), 5), (("demo", "A2"), 5)])
def test_without_embedded_clusters_it_says_how_to_get_them(alone: Shell, arguments: tuple[str, ...], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        env=alone.environment,
        cwd=alone.home,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "pip install 'backout[demo]'" in done.stdout + done.stderr


def test_a_production_install_has_no_server() -> None:
    seen: set[str] = set()
    todo = ["backout"]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        todo += [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line]
    assert {"dbos", "lightkube", "httpx2", "httpcore2"} <= seen
    assert not seen & {"kubetwin", "uvicorn", "httptools", "babel", "pytest"}
