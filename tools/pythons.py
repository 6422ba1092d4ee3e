# SPDX-License-Identifier: Apache-2.0
"""Holds what differs from Python to Python to each one on this machine: the engine with its SQLite, two rehearsals.

python tools/pythons.py: every minor version of the project but the one that runs this, each in an environment of its
own below build/, from the lock. Interpreters are looked for in PATH and among those of pyenv.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MINORS = (11, 12, 13, 14)
SCENARIO = "tests/scenarios/test_scenarios.py::test_recovers_and_can_be_undone"
TESTS = (
    "tests/unit/engine",
    "tests/contract/engine",
    "tests/cli/test_version.py",
    f"{SCENARIO}[A2]",
    f"{SCENARIO}[B1]",
)
ASK = "import ensurepip, json, sqlite3, sys; print(json.dumps([*sys.version_info[:3], sqlite3.sqlite_version]))"


def candidates() -> Iterator[str]:
    """Paths that may be an interpreter."""
    for minor in MINORS:
        if (path := shutil.which(f"python3.{minor}")) is not None:
            yield path
        yield from map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))


def interpreters() -> dict[int, tuple[str, str]]:
    """By minor version: the newest interpreter that works and can make environments, and what it is."""
    found: dict[int, tuple[int, str, str]] = {}
    for path in candidates():
        answer = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False, timeout=60)
        if answer.returncode != 0:
            continue
        major, minor, micro, sqlite = json.loads(answer.stdout)
        if minor in MINORS and micro >= found.get(minor, (-1, "", ""))[0]:
            found[minor] = (micro, path, f"Python {major}.{minor}.{micro}, SQLite {sqlite}")
    return {minor: (path, what) for minor, (_, path, what) in sorted(found.items())}


def hold(path: str, minor: int) -> str:
    """Runs the tests with it; the last line that pytest prints."""
    place = ROOT / "build" / f"python3.{minor}"
    python = str(place / "bin/python")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([path, "-m", "venv", str(place)], check=True)
    subprocess.run([*pip, "--require-hashes", "--requirement", "lock/develop.txt"], cwd=ROOT, check=True)
    editable = ["--editable", ".", "--editable", "./kubetwin"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", *editable], cwd=ROOT, check=True)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "4", "--dist", "worksteal", *TESTS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return re.sub(r"=+", "", done.stdout.strip().splitlines()[-1]).strip()


def main() -> None:
    found = interpreters()
    found.pop(sys.version_info.minor, None)
    for minor, (path, what) in found.items():
        print(f"{what} ({path}): {hold(path, minor)}", flush=True)
    missing = [f"3.{minor}" for minor in MINORS if minor not in found and minor != sys.version_info.minor]
    if missing:
        print(f"Not on this machine: Python {', '.join(missing)}.")


if __name__ == "__main__":
    main()
