# SPDX-License-Identifier: Apache-2.0
"""Starts the servers that are measured against, in processes of their own, and ends them."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from bench.measure import Failed

ROOT = Path(__file__).parents[1]


def here() -> str:
    """Where Python finds this benchmark, before what it finds anyway: PYTHONPATH of a program."""
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))


def as_installed() -> None:
    """Compiles the modules, as pip does with what it installs. Where Python may not do that by itself (a tree that can't be
    written, PYTHONDONTWRITEBYTECODE), every process would compile hundreds of them anew, and that would be measured."""
    for name in ("backout", "kubetwin", "bench"):
        compileall.compile_dir(str(Path(import_module(name).__path__[0])), quiet=2)


@contextmanager
def serving(pods: int, kubeconfig: Path, *, context: str | None = None) -> Iterator[int]:
    """The process id of the server, which is up with its population. ``context``: a real cluster's, by KUBECONFIG."""
    more = [] if context is None else ["--real", context]
    with running("bench.serve", str(pods), str(kubeconfig), *more) as process:
        yield process


@contextmanager
def running(module: str, *arguments: str) -> Iterator[int]:
    """The process id of a server that says `ready`, and ends when its stdin is closed."""
    command = [sys.executable, "-m", module, *arguments]
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
