# SPDX-License-Identifier: Apache-2.0
"""The programs that Backout is measured against, and Backout itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shutil import which

from backout.tools.locate import tool_folder
from backout.tools.pins import pin_of
from bench import machine


def find_own(root: Path) -> None:
    """Looks for programs where the project's Makefile put them, for this process and those that it starts.

    A folder that the user named stays, and so does the usual one where the project has none of its own.
    """
    if (folder := root / ".tools").is_dir():
        os.environ.setdefault("BACKOUT_TOOLS_DIR", str(folder))


def backout() -> str:
    """The installed command of this Python's environment."""
    return str(Path(sys.executable).with_name("backout"))


def kubectl() -> str:
    """``$BACKOUT_BENCH_KUBECTL``, else the pinned one (`python -m backout.tools`), else that on the PATH."""
    return os.environ.get("BACKOUT_BENCH_KUBECTL") or _pinned("kubectl") or "kubectl"


def helms() -> dict[str, str]:
    """Helm by major version: ``$BACKOUT_BENCH_HELM3`` and ``4``, else the pinned ones, else what is on the PATH."""
    named = (os.environ.get(f"BACKOUT_BENCH_HELM{major}") or _pinned("helm", major) for major in (4, 3))
    given = [*named, which("helm") or ""]
    found: dict[str, str] = {}
    for path in filter(None, given):
        major = machine.tool_version(path).removeprefix("v").partition(".")[0]
        if major in ("3", "4"):
            found.setdefault(major, path)
    return found


def _pinned(name: str, major: int = 0) -> str:
    """The path of a pinned program in the tool folder; empty when it was not installed."""
    pin = pin_of(name, major)
    path = tool_folder() / pin.file_name if pin else None
    return str(path) if path and path.exists() else ""
