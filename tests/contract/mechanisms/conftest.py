# SPDX-License-Identifier: Apache-2.0
"""A release to break, with helm 3 and with helm 4."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cluster_harness import Cluster as Harness

sys.path.insert(0, str(Path(__file__).parent))

from helm_world import World, find


@pytest.fixture(params=[3, 4], ids=["helm3", "helm4"])
def world(
    request: pytest.FixtureRequest, running: Harness, ns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    """A namespace without a release yet."""
    helm = find(request.param)
    if helm is None:
        pytest.skip(f"there is no helm {request.param} on this machine")
    monkeypatch.setenv("BACKOUT_HELM", helm)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("HELM_DRIVER", raising=False)
    return World(running, ns, helm, request.param, tmp_path)
