# SPDX-License-Identifier: Apache-2.0
"""Plan and run of one command go over the same connections; what was learnt about the cluster is asked anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backout.cli.session import Session
from backout.cluster.client import KubernetesCluster
from backout.model.plan import ClusterIdentity

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


def session_of(kubeconfig: str, tmp_path: Path, config: str = "") -> Session:
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\n" + config)
    return Session({"kubeconfig": kubeconfig, "config": str(tmp_path / "backout.yaml")})


async def opened(session: Session, *names: str) -> list[KubernetesCluster]:
    found: list[KubernetesCluster] = []
    for name in names:
        async with session.cluster(name) as cluster:
            assert isinstance(cluster, KubernetesCluster)
            found.append(cluster)
    return found


def test_within_it_a_cluster_stays_connected_and_is_asked_anew(kubeconfig: str, tmp_path: Path) -> None:
    async def main() -> None:
        session = session_of(kubeconfig, tmp_path)
        async with session.keeping():
            (first,) = await opened(session, "")
            first._identity = ClusterIdentity(uid="u", server="s", ca="")
            again, green = await opened(session, "blue", "green")
            assert again is first and green is not first
            assert first._identity is None, "who is behind the address is asked again before anything is written"
        one, other = await opened(session, "blue", "blue")
        assert one is not other, "and apart from that each has its own"

    asyncio.run(main())


def test_a_name_that_the_configuration_gives_to_another_cluster_is_not_mixed_up(
    kubeconfig: str, tmp_path: Path
) -> None:
    async def main() -> None:
        session = session_of(kubeconfig, tmp_path, "clusters: {blue: {context: green}}\n")
        async with session.keeping():
            current, named = await opened(session, "", "blue")
        assert (current.context, named.context) == ("blue", "green")

    asyncio.run(main())
