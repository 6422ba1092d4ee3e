# SPDX-License-Identifier: Apache-2.0
"""What an import costs is part of the port: a command line starts with it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("backout.cluster.port", {"lightkube", "httpx2", "asyncio", "ssl", "yaml"}),
        ("backout.cluster.kubeconfig", {"lightkube", "httpx2", "asyncio", "ssl"}),
        ("backout.cluster.client", {"lightkube"}),
    ],
)
def test_what_an_import_does_not_bring(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(found)
