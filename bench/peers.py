# SPDX-License-Identifier: Apache-2.0
"""The programs that Backout is measured against, and Backout itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shutil import which

from bench import machine


def backout() -> str:
    """The installed command of this Python's environment."""
    return str(Path(sys.executable).with_name("backout"))


def kubectl() -> str:
    """``$BACKOUT_BENCH_KUBECTL``, else kubectl on the PATH."""
    return os.environ.get("BACKOUT_BENCH_KUBECTL") or "kubectl"


def helms() -> dict[str, str]:
    """Helm by major version: ``$BACKOUT_BENCH_HELM3``, ``$BACKOUT_BENCH_HELM4``, else what is on the PATH."""
    given = [os.environ.get("BACKOUT_BENCH_HELM4", ""), os.environ.get("BACKOUT_BENCH_HELM3", ""), which("helm") or ""]
    found: dict[str, str] = {}
    for path in filter(None, given):
        major = machine.tool_version(path).removeprefix("v").partition(".")[0]
        if major in ("3", "4"):
            found.setdefault(major, path)
    return found
