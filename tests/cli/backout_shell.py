# SPDX-License-Identifier: Apache-2.0
"""Calls `backout` as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from held import hold


@dataclass
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON, which is as the schema of its kind says."""
        found: dict[str, Any] = json.loads(self.out)
        return hold(found)


@dataclass
class Shell:
    """Calls `backout` with the cluster's kubeconfig and a home of the test's own."""

    home: Path
    kubeconfig: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Answer:
        result = subprocess.run(
            [sys.executable, "-m", "backout.cli.main", *arguments],
            env={**self.environment, **environment},
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Answer(result.returncode, result.stdout, result.stderr)

    def error(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """The error document of a command that must fail."""
        answer = self(*arguments, "-o", "json", **environment)
        assert answer.code, answer.out
        error: dict[str, Any] = answer.document["error"]
        assert error["exitCode"] == answer.code
        assert error["message"]
        return error
