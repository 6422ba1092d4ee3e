# SPDX-License-Identifier: Apache-2.0
"""The command line as a user has it: a process of its own, an embedded cluster, a home that is thrown away."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backout_shell import Shell

from backout.tools import pinned
from kubetwin import process
from kubetwin.process import Twin

CHART = Path(__file__).parent / "tiny"
_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Two embedded clusters."""
    directory = tmp_path_factory.mktemp("twin")
    yield process.up(directory, process.cluster_names(2))
    process.down(directory)


@pytest.fixture(scope="session")
def tools() -> dict[str, Path]:
    """helm3, helm4 and kubectl."""
    return asyncio.run(pinned())


@pytest.fixture
def backout(twin: Twin, tools: dict[str, Path], tmp_path: Path) -> Shell:
    """The command, with helm 4 as the user's own."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(twin.kubeconfig),
        "BACKOUT_HELM": str(tools["helm4"]),
        "BACKOUT_STATE": str(tmp_path / "state.db"),
        "BACKOUT_DATA": str(tmp_path / "data"),
    }
    return Shell(tmp_path, twin.kubeconfig, environment)


@pytest.fixture(scope="session")
def helm(twin: Twin, tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Calls helm 4 on the first cluster."""
    home = tmp_path_factory.mktemp("helm")

    def call(*arguments: str) -> str:
        return subprocess.run(
            [str(tools["helm4"]), "--kubeconfig", str(twin.kubeconfig), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        ).stdout

    return call


@pytest.fixture
def release(helm: Any) -> str:
    """A release of the test's own with five revisions, of which Helm kept three; its namespace bears the same name."""
    name = f"tiny-{next(_COUNT)}"
    helm("install", name, str(CHART), "-n", name, "--create-namespace")
    for word in ("two", "three", "four", "five"):
        helm("upgrade", name, str(CHART), "-n", name, "--set", f"word={word}", "--history-max", "3")
    return name
