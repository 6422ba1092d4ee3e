# SPDX-License-Identifier: Apache-2.0
"""The cluster that the contract suite runs against.

Without variables that is a twin of the test's own. `BACKOUT_TEST_KUBECONFIG` (and `BACKOUT_TEST_CONTEXT`) name any
other cluster; `BACKOUT_TEST_SIMULATED_KUBELET=1` attaches the simulated kubelet to it, for a control plane without
nodes. That one has to reach the pods' addresses on the loopback interface (docs/twin.md): what goes through the API
server's proxies is skipped otherwise. `BACKOUT_TEST_POD_CIDR` gives it other addresses than its own choice.
Every test has a namespace of its own, which is deleted afterwards.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_harness import Cluster, connect
from cluster_harness.twin import simulated_kubelet, twin


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster under test."""
    given = os.environ.get("BACKOUT_TEST_KUBECONFIG")
    if not given:
        with twin(tmp_path_factory.mktemp("twin")) as found:
            yield found
        return
    found = connect(Path(given), os.environ.get("BACKOUT_TEST_CONTEXT"))
    if os.environ.get("BACKOUT_TEST_SIMULATED_KUBELET") == "1":
        with simulated_kubelet(found, tmp_path_factory):
            yield found
        return
    yield found


@pytest.fixture
def ns(cluster: Cluster) -> Iterator[str]:
    """A namespace of this test, with its default service account."""
    name = f"contract-{secrets.token_hex(4)}"
    cluster.post("/api/v1/namespaces", {"metadata": {"name": name}}).ok()
    cluster.wait(f"/api/v1/namespaces/{name}/serviceaccounts/default", lambda _: True)
    yield name
    cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """A cluster whose pods really start: fails, and says how to get one, when it has no kubelet."""
    nodes = cluster.get("/api/v1/nodes").ok()["items"]
    ready = [
        n
        for n in nodes
        if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", ()))
    ]
    assert ready, "this cluster has no ready node; set BACKOUT_TEST_SIMULATED_KUBELET=1 for a bare control plane"
    return cluster
