# SPDX-License-Identifier: Apache-2.0
"""Takes a precondition, a record, a fence or a second look out of a copy of the source, one at a time, and runs the tests for it.

    python tests/mutations/mutate.py [NAME …] [--jobs N]

Each must make the tests that are named for it fail. One that survives is a test that is missing; it is printed, with what to run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutated import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 900.0
"""Seconds for the tests of one."""


def applied(mutation: Mutation, source: Path) -> str:
    """The file's text with the mutation in it.

    Raises:
        AssertionError: what it takes out does not stand there once.
    """
    text = (source / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.was) == 1, f"{mutation.name}: stands {text.count(mutation.was)} times in {mutation.file}"
    return text.replace(mutation.was, mutation.now)


def found(mutation: Mutation) -> bool:
    """Whether the tests fail once it is applied. Tests that can't be run find nothing.

    Raises:
        AssertionError: they could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="backout-mutation-") as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        (source / "backout" / mutation.file).write_text(applied(mutation, source / "backout"), encoding="utf-8")
        paths = [str(source), str(ROOT / "kubetwin" / "src"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
        words = ["-q", "-x", "-p", "no:cacheprovider", "--no-header", *mutation.tests]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
    # 1: tests failed. Any other but 0: they were not even run (docs.pytest.org, "Exit codes").
    assert done.returncode in (0, 1), f"{mutation.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="parts of the names of some; all without")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    given = parser.parse_args()
    chosen = [m for m in MUTATIONS if not given.name or any(name in m.name for name in given.name)]
    survived, began = 0, time.monotonic()

    def one(mutation: Mutation) -> tuple[Mutation, str, float]:
        start = time.monotonic()
        try:
            said = "found" if found(mutation) else "SURVIVED"
        except (AssertionError, subprocess.TimeoutExpired) as error:
            said = f"NOT PLAYED: {error}"
        return mutation, said, time.monotonic() - start

    with ThreadPoolExecutor(given.jobs) as pool:
        for mutation, said, seconds in pool.map(one, chosen):
            print(f"{said:9} {seconds:5.0f} s  {mutation.name} ({mutation.file})", flush=True)
            if said != "found":
                survived += 1
                print(f"    tests: {' '.join(mutation.tests)}", flush=True)
    print(f"{len(chosen)} mutations, {survived} not found, {time.monotonic() - began:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
