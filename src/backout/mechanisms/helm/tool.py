# SPDX-License-Identifier: Apache-2.0
"""Which helm is called, and its version."""

from __future__ import annotations

import asyncio
import os
import shutil

from backout.errors import ToolMissing
from backout.mechanisms.helm.binary import Helm

_known: dict[tuple[str, float], Helm] = {}


async def find_helm() -> Helm:
    """The user's own helm.

    Raises:
        ToolMissing: there is none, or it does not say its version.
    """
    path = shutil.which("helm")
    if path is None:
        raise _missing("it is not in PATH")
    key = (path, os.stat(path).st_mtime)  # noqa: PTH116
    if key not in _known:
        process = await asyncio.create_subprocess_exec(
            path, "version", "--template", "{{.Version}}",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        out, _ = await process.communicate()
        version = out.decode("ascii", "replace").strip()
        if process.returncode != 0 or not version.startswith("v"):
            raise _missing("the one in PATH does not tell its version")
        _known[key] = Helm(path, version)
    return _known[key]


def _missing(why: str) -> ToolMissing:
    return ToolMissing(
        "helm is needed for this way back: {why}.", why=why, expected="helm 3.18 or newer, or helm 4",
        hint="Install helm, or run `make setup`, which puts a pinned one into Backout's own tool folder.",
    )  # fmt: skip
