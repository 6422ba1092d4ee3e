# SPDX-License-Identifier: Apache-2.0
"""The client programs: those that BACKOUT_TEST_KUBECTL, BACKOUT_TEST_HELM3 and BACKOUT_TEST_HELM4 name, else pinned
ones. A program that cannot be had fails its tests."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from cluster_harness import Cluster
from cluster_harness.clients import Program, environment


def _program(name: str) -> Path:
    variable = f"BACKOUT_TEST_{name.upper()}"
    if given := os.environ.get(variable):
        assert Path(given).is_file(), f"{variable} names no file: {given}"
        return Path(given)
    from backout.tools import pinned

    return asyncio.run(pinned())[name]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory for the programs of one test worker: their discovery caches live there."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def kubectl_path() -> Path:
    return _program("kubectl")


@pytest.fixture
def kubectl(cluster: Cluster, ns: str, home: Path, kubectl_path: Path) -> Program:
    """kubectl, in this test's namespace."""
    arguments = ("--context", cluster.context, "-n", ns)
    return Program(kubectl_path, arguments, environment(home, cluster.kubeconfig))


@pytest.fixture(scope="session", params=["helm3", "helm4"])
def helm_path(request: pytest.FixtureRequest) -> Path:
    return _program(request.param)


@pytest.fixture
def helm(cluster: Cluster, ns: str, home: Path, helm_path: Path) -> Program:
    """Both majors of helm in turn, in this test's namespace."""
    arguments = ("--kube-context", cluster.context, "-n", ns)
    return Program(helm_path, arguments, environment(home, cluster.kubeconfig))


@pytest.fixture
def is_helm4(helm_path: Path) -> bool:
    return "4" in helm_path.name
