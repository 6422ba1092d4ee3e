# SPDX-License-Identifier: Apache-2.0
"""When a snapshot was taken, by the cluster's clock: starts of pods are held against it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from memory_cluster import MemoryCluster
from repository_world import new

from backout.cluster.port import CONFIGMAPS
from backout.snapshots.collect import About, take


class Elsewhere(MemoryCluster):
    """A cluster whose clock differs from this machine's."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__([CONFIGMAPS])
        self.ahead = ahead

    async def server_time(self) -> datetime:
        return (datetime.now(UTC) + self.ahead).replace(microsecond=0)


@pytest.mark.parametrize("ahead", [timedelta(hours=-3), timedelta(0), timedelta(minutes=7)])
def test_a_snapshot_has_the_clusters_time(ahead: timedelta) -> None:
    async def main() -> None:
        cluster = Elsewhere(ahead)
        before = await cluster.server_time()
        taken = await take(cluster, await new(), "n", About())  # type: ignore[arg-type]
        assert before <= taken.snapshot.taken_at < await cluster.server_time() + timedelta(seconds=1)

    asyncio.run(main())
