# SPDX-License-Identifier: Apache-2.0
"""Unchanged client programs, run against the cluster under test."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TIMEOUT = 120


@dataclass(frozen=True)
class Result:
    """What a program printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def yaml(self) -> Any:
        return yaml.safe_load(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a printed table without its head, split at white space."""
        return [line.split() for line in self.lines[1:]]


@dataclass(frozen=True)
class Program:
    """One program with the arguments and environment that lead it to the cluster and the test's namespace."""

    path: Path
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(
        self,
        *arguments: str,
        stdin: str | None = None,
        fails: bool = False,
        environment: dict[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Result:
        """Run it; its exit code must be 0, or with `fails` anything else."""
        done = subprocess.run(
            [str(self.path), *self.arguments, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**self.environment, **(environment or {})},
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        shown = f"{self.path.name} {' '.join(arguments)}: {result.code}\n{result.out}\n{result.err}"
        assert (result.code != 0) is fails, shown
        return result

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and go on; the caller ends it."""
        return subprocess.Popen(
            [str(self.path), *self.arguments, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )


def environment(home: Path, kubeconfig: Path) -> dict[str, str]:
    """A program's environment: nothing of the user's own configuration."""
    found = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "KUBECONFIG": str(kubeconfig),
        "LANG": "C.UTF-8",
    }
    for name in ("CACHE", "CONFIG", "DATA"):
        found[f"HELM_{name}_HOME"] = str(home / f"helm-{name.lower()}")
    return found


def eventually(check: Callable[[], Any], *, seconds: float = 240) -> Any:
    """The first true value of a check."""
    end = time.monotonic() + seconds
    while True:
        if found := check():
            return found
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.1)
