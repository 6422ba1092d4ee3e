# SPDX-License-Identifier: Apache-2.0
"""Plan and run of one command go over the same connections; what was learnt about the cluster is asked anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backout.app.settings import load_settings
from backout.app.workspace import Where, Workspace
from backout.cluster.client import KubernetesCluster
from backout.model.scope import ClusterIdentity

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: blue
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: blue, context: {cluster: c, user: u}}
- {name: green, context: {cluster: c, user: u}}
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return str(tmp_path / "kubeconfig")


def workspace_of(kubeconfig: str, tmp_path: Path, config: str = "") -> Workspace:
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\n" + config)
    return Workspace(load_settings(str(tmp_path / "backout.yaml")), Where(kubeconfig=kubeconfig))


async def opened(workspace: Workspace, *names: str) -> list[KubernetesCluster]:
    found: list[KubernetesCluster] = []
    for name in names:
        async with workspace.cluster(name) as cluster:
            assert isinstance(cluster, KubernetesCluster)
            found.append(cluster)
    return found


def test_within_it_a_cluster_stays_connected_and_is_asked_anew(kubeconfig: str, tmp_path: Path) -> None:
    async def main() -> None:
        workspace = workspace_of(kubeconfig, tmp_path)
        async with workspace.keeping():
            (first,) = await opened(workspace, "")
            first._identity = ClusterIdentity(uid="u", server="s", ca="")
            again, green = await opened(workspace, "blue", "green")
            assert again is first and green is not first
            assert first._identity is None, "who is behind the address is asked again before anything is written"
        one, other = await opened(workspace, "blue", "blue")
        assert one is not other, "and apart from that each has its own"

    asyncio.run(main())


def test_a_name_that_the_configuration_gives_to_another_cluster_is_not_mixed_up(
    kubeconfig: str, tmp_path: Path
) -> None:
    async def main() -> None:
        workspace = workspace_of(kubeconfig, tmp_path, "clusters: {blue: {context: green}}\n")
        async with workspace.keeping():
            current, named = await opened(workspace, "", "blue")
        assert (current.context, named.context) == ("blue", "green")

    asyncio.run(main())
