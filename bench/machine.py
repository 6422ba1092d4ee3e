# SPDX-License-Identifier: Apache-2.0
"""What was measured on, and with which versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which


def describe() -> list[str]:
    """Processor, memory, system, Python and the libraries that matter, one a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    packages = ", ".join(f"{name} {_version(name)}" for name in ("httpx2", "msgspec", "click", "dbos", "lightkube"))
    return [
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB memory",
        f"{system}, Linux {platform.release()}, Python {platform.python_version()}",
        f"Backout {_version('backout')} ({commit()}), {packages}",
    ]


def commit() -> str:
    """The short commit of the tree that was measured, with a plus when its source has other changes."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "no commit") + ("+" if git("status", "--short", "src") else "")


def load() -> str:
    """How busy the machine was: the load of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


@cache
def tool_version(program: str) -> str:
    """What kubectl, helm or restic says of its version; empty when it is not there."""
    path = which(program)
    if path is None:
        return ""
    if "kubectl" in Path(path).name:
        done = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"]) if done.returncode == 0 else ""
    if "restic" in Path(path).name:
        done = subprocess.run([path, "version"], capture_output=True, text=True, check=False)
        return (done.stdout.split() or ["", "?"])[1]
    done = subprocess.run([path, "version", "--template", "{{.Version}}"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
