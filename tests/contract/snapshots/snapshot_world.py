# SPDX-License-Identifier: Apache-2.0
"""A namespace of a whole API server, a repository in memory, and the way from one to the other and back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pyrage
from cluster_harness import Cluster as Harness

from backout.cluster.client import KubernetesCluster
from backout.cluster.kubeconfig import connection
from backout.cluster.port import Object
from backout.model.snapshot import Snapshot
from backout.snapshots.collect import About, Taken, take
from backout.snapshots.diff import with_live
from backout.snapshots.repository import Repository
from backout.snapshots.repository.keys import Recipient
from backout.snapshots.repository.objectstore import memory
from backout.snapshots.restore import carry_out
from backout.snapshots.restore_plan import RestorePlan, plan_restore
from backout.snapshots.selection import Selection

ME = pyrage.x25519.Identity.generate()


class Counting(KubernetesCluster):
    """Counts the writes that really happened."""

    writes = 0

    async def create(self, obj: Object) -> Object:
        self.writes += 1
        return await super().create(obj)

    async def replace(self, obj: Object) -> Object:
        self.writes += 1
        return await super().replace(obj)

    async def delete(self, *arguments: Any, **more: Any) -> None:
        self.writes += 1
        await super().delete(*arguments, **more)


class World:
    """A cluster, a namespace, and a repository in memory."""

    def __init__(self, cluster: Counting, repository: Repository, ns: str) -> None:
        self.cluster = cluster
        self.repository = repository
        self.ns = ns

    async def make(self, kind: str, name: str, api: str = "v1", **fields: Any) -> Object:
        metadata = {"name": name, "namespace": self.ns, **fields.pop("metadata", {})}
        return await self.cluster.create({"apiVersion": api, "kind": kind, "metadata": metadata, **fields})

    async def take(self) -> Taken:
        return await take(self.cluster, self.repository, self.ns, About(healthy=True))

    async def plan(self, snapshot: Snapshot, *names: str, kinds: tuple[str, ...] = (), **more: Any) -> RestorePlan:
        return await plan_restore(self.cluster, self.repository, snapshot, Selection(names, kinds), **more)

    async def differences(self, snapshot: Snapshot) -> dict[str, str]:
        found = await with_live(self.cluster, self.repository, snapshot)
        assert not found.notes
        return {str(d.ref): d.change for d in found.differences}

    async def restore(self, snapshot: Snapshot, *names: str, **more: Any) -> dict[str, str]:
        plan = await self.plan(snapshot, *names, **more)
        items = await carry_out(self.cluster, plan)
        return {str(item.ref): item.state or item.action for item in items}


def run(harness: Harness, ns: str, work: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        mine = Recipient(recipient=str(ME.to_public()), name="", added=datetime.now(UTC))
        repository = await Repository.create(memory(), [ME], [mine])
        found = connection(str(harness.kubeconfig), harness.context or "")
        async with asyncio.timeout(600), Counting(found, name="here") as cluster:
            await work(World(cluster, repository, ns))

    asyncio.run(main())
