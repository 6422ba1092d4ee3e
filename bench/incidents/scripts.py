# SPDX-License-Identifier: Apache-2.0
"""The incidents that are scripts (tests/incidents): played by their own player, scored as the generated ones are."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.incidents.score import Score
from bench.measure import Failed

PLAYER = Path(__file__).parents[2] / "tests" / "incidents" / "play.py"
JOBS = 2
KINDS = {
    "1": "the workload's own change",
    "2": "resources, scheduling, volumes, quotas",
    "3": "configuration and Secrets",
    "4": "Services, Ingresses, policies, rights, Jobs",
    "5": "edits by hand of what a release owns",
    "6": "the way back and its obstacles",
    "7": "no change is the cause",
    "8": "nothing is broken at all",
    "9": "no snapshot",
}
"""By the first digit of a name."""


def names(patterns: Sequence[str]) -> list[str]:
    """The scripts that are meant, by globs on their names; all without one."""
    every = sorted(path.stem for path in (PLAYER.parent / "cases").glob("*.sh"))
    return [name for name in every if not patterns or any(fnmatch.fnmatch(name, each) for each in patterns)]


def own(name: str) -> bool:
    """Whether it is one of the project's own: their numbers end on 51 or more."""
    return int(name[1:3]) > 50


@contextmanager
def playing(patterns: Sequence[str], folder: Path | None, jobs: int = JOBS) -> Iterator[Callable[[], list[Score]]]:
    """Plays them on an embedded cluster of their own, beside what is done within; logs are kept in ``folder``.

    What it gives waits for their end and returns the scores. Whoever leaves before ends the player.

    Raises:
        Failed: by what it gives: the player ended before its time.
    """
    chosen = names(patterns)
    if not chosen:
        yield list
        return
    with tempfile.TemporaryDirectory(prefix="incidents-", ignore_cleanup_errors=True) as scratch:
        out = folder or Path(scratch)
        command = [sys.executable, str(PLAYER), "--jobs", str(jobs), "--out", str(out), "--only", ",".join(chosen)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)

        def scores() -> list[Score]:
            process.wait()
            try:
                found = json.loads((out / "score.json").read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise Failed(f"{PLAYER.name} ended with {process.returncode} and no score") from error
            return [score(each) for each in found["cases"]]

        try:
            yield scores
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def score(result: dict[str, Any]) -> Score:
    """What the player wrote of one script."""
    called = str(result["case"])
    found = Score(called, called, KINDS[called[0]], seed="")
    found.error = str(result.get("error") or result.get("skipped") or "")
    if not found.error:
        found.named = result["named"]
        found.why = result["named_why"]
        found.certain, found.falsely_certain = result["certain"], result["falsely_certain"]
        found.outcome, found.outcome_why = result["outcome"] == "ok", result["outcome_why"]
        found.harm, found.false_success = result["harm"], result["false_success"]
        found.alarm = result["healthy"] and result["named"] == "wrong"
        found.diagnose, found.seconds = result["diagnose_s"], result["case_s"]
    return found
