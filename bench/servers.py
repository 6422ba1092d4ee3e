# SPDX-License-Identifier: Apache-2.0
"""Starts `bench.serve` and ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Failed

ROOT = Path(__file__).parents[1]


@contextmanager
def serving(pods: int, kubeconfig: Path, *, context: str | None = None) -> Iterator[int]:
    """The process id of the server, which is up with its population. ``context``: a real cluster's, by KUBECONFIG."""
    command = [sys.executable, "-m", "bench.serve", str(pods), str(kubeconfig)]
    if context is not None:
        command += ["--real", context]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin and process.stdout
    try:
        if process.stdout.readline() != b"ready\n":
            raise Failed(f"the server ended with {process.wait()}")
        yield process.pid
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(60)
