# SPDX-License-Identifier: Apache-2.0
"""What snapshots there are, what one holds, what differs, and whether they are whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.app.snapshots.opening import chosen_cluster, chosen_namespace, cluster_of, find, opened, tell_unreadable
from backout.errors import UsageError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.model.snapshot import Entry, Snapshot
    from backout.snapshots.diff import Comparison
    from backout.snapshots.repository.verify import Report

LIVE = "live"
"""The cluster as it is now, where a snapshot is asked for."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The newest of ``total`` snapshots; ``unreadable`` are ids whose summaries can't be read."""

    snapshots: tuple[Snapshot, ...]
    total: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One snapshot: how many objects of each kind it holds, and the objects where they were asked for."""

    snapshot: Snapshot
    kinds: dict[str, int]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between ``before`` and ``after`` (a name, or `LIVE`)."""

    before: Snapshot
    after: str
    comparison: Comparison


async def snapshots(workspace: Workspace, *, tag: str = "", limit: int = 50) -> Listed:
    """The snapshots, newest first, of the namespace and cluster where these were given.

    Raises:
        BackoutError: there is no repository, or it can't be read.
    """
    from backout.snapshots.repository.manifests import selected

    async with opened(workspace) as repository:
        every = await repository.snapshots()
        tell_unreadable(workspace, repository)
        unreadable = tuple(sorted(repository.unreadable))
    identity, cluster = await chosen_cluster(workspace)
    found = selected(every, identity, chosen_namespace(workspace), cluster)
    found = [snapshot for snapshot in found if not tag or tag in snapshot.tags]
    return Listed(tuple(found[:limit]), len(found), unreadable)


async def show(workspace: Workspace, name: str, *, objects: bool = False) -> Shown:
    """One snapshot; its objects too where they are asked for. Contents are never given out.

    Raises:
        BackoutError: it is not there, or can't be read.
    """
    async with opened(workspace) as repository:
        found = await find(workspace, repository, name)
        kinds: Counter[str] = Counter()
        entries = []
        async for entry in repository.entries(found):
            kinds[entry.ref.kind] += 1
            if objects:
                entries.append(entry)
    return Shown(found, dict(sorted(kinds.items())), tuple(entries))


async def diff(workspace: Workspace, before: str, after: str = LIVE, kinds: Sequence[str] = ()) -> Difference:
    """What changed from one snapshot to another, or to the cluster as it is now.

    Raises:
        BackoutError: one of them is not there, or can't be read.
    """
    from backout.snapshots.diff import between, with_live
    from backout.snapshots.selection import Selection

    wanted = Selection(kinds=tuple(kinds))
    async with opened(workspace) as repository:
        old = await find(workspace, repository, before)
        if after == LIVE:
            async with cluster_of(workspace, old) as cluster:
                result = await with_live(cluster, repository, old, wanted)
        else:
            result = await between(repository, old, await find(workspace, repository, after), wanted)
    return Difference(old, after, result)


async def verify(workspace: Workspace, *, read_data: bool = False, part: str = "") -> Report:
    """Proves that every snapshot is whole; with ``read_data`` every byte is read, with ``part`` (2/7, 10%) some.

    Raises:
        UsageError: both, or no such part.
        BackoutError: the repository can't be read.
    """
    from backout.snapshots.repository.verify import Subset
    from backout.snapshots.repository.verify import verify as verified

    if read_data and part:
        raise UsageError("--read-data reads everything; --read-data-subset a part of it.", expected="one of them")
    subset = Subset.parse(part) if part else Subset() if read_data else None
    async with opened(workspace) as repository:
        return await verified(repository, subset)
