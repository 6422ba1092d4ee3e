# SPDX-License-Identifier: Apache-2.0
"""The repository of snapshots, a snapshot in it by name, and the cluster that a snapshot is of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from backout.app.events import RepositoryOpened, SnapshotUnreadable
from backout.errors import BackoutError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.scope import ClusterIdentity
    from backout.model.snapshot import Snapshot
    from backout.snapshots.repository import Repository
    from backout.snapshots.repository.opening import Opened

ANSWER = 3.0
"""Seconds for a cluster to say what it is, where its name would do."""


@asynccontextmanager
async def opened(workspace: Workspace, *, create: bool = False) -> AsyncIterator[Repository]:
    """The repository of the configuration; ``create`` makes it, and a key, at the first use."""
    from backout.snapshots.repository.opening import open_repository

    found = await open_repository(workspace.settings.snapshots, create=create)
    try:
        workspace.tell(told(found))
        yield found.repository
    finally:
        await found.repository.close()


def told(found: Opened) -> RepositoryOpened:
    """What a front must hear of it."""
    from backout.snapshots.repository.keys import read_identities, recipients_of

    return RepositoryOpened(
        where=found.repository.backend.where,
        fingerprint=found.repository.keyring.fingerprint,
        identity=str(found.identity),
        public=recipients_of(read_identities(found.identity))[0] if found.key_made or found.created else "",
        key_made=found.key_made,
        created=found.created,
        first_seen=found.first_seen,
    )


async def find(workspace: Workspace, repository: Repository, name: str) -> Snapshot:
    """The snapshot that is meant, within the namespace and the cluster where these were given."""
    identity, cluster = await chosen_cluster(workspace)
    return await repository.load(name, identity=identity, namespace=chosen_namespace(workspace), cluster=cluster)


def chosen_namespace(workspace: Workspace) -> str | None:
    """The namespace that was given, or None for every one."""
    return workspace.where.namespace if workspace.where.namespace and not workspace.where.all_namespaces else None


async def chosen_cluster(workspace: Workspace) -> tuple[ClusterIdentity | None, str | None]:
    """The cluster that was given: by what it is, as plans look for it, since contexts are renamed; by its name where it gives no
    answer. None and None for every one."""
    import asyncio

    name = workspace.contexts[0]
    if not name:
        return None, None
    try:
        async with asyncio.timeout(ANSWER), workspace.cluster(name) as cluster:
            return await cluster.identity(), None
    except (BackoutError, TimeoutError):
        return None, name


def tell_unreadable(workspace: Workspace, repository: Repository) -> None:
    """Which summaries could not be read."""
    for id_, error in repository.unreadable.items():
        workspace.tell(SnapshotUnreadable(id_, error))


@asynccontextmanager
async def cluster_of(workspace: Workspace, snapshot: Snapshot) -> AsyncIterator[Cluster]:
    """The cluster that a snapshot is of: the chosen one, else the context of the snapshot's own name.

    Raises:
        WrongCluster: it leads to another cluster.
    """
    from backout.errors import UnknownContext, WrongCluster

    async with AsyncExitStack() as stack:
        try:
            cluster = await stack.enter_async_context(workspace.cluster(workspace.contexts[0] or snapshot.cluster))
        except UnknownContext:
            if workspace.contexts[0]:
                raise
            cluster = await stack.enter_async_context(workspace.cluster())
        found = await cluster.identity()
        if not found.same_as(snapshot.identity):
            raise WrongCluster(
                "Snapshot {id} is of another cluster than the one that {context} leads to.",
                id=snapshot.short,
                context=cluster.name,
                expected="{name}, kube-system with uid {wanted}",
                found="uid {actual}",
                name=snapshot.cluster,
                wanted=snapshot.identity.uid or "?",
                actual=found.uid or "?",
                hint="choose its context with --context",
            )
        yield cluster
