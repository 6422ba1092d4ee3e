# SPDX-License-Identifier: Apache-2.0
"""Takes a snapshot of a namespace: every kind that may be listed, sanitised, page by page into the repository.

Memory is that of a few pages of objects and a few packs, whatever the size of the namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from backout.cluster.namespaces import require_namespace
from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied
from backout.kube.sanitise import sanitise
from backout.model.snapshot import Entry, GitPointer, Snapshot, SnapshotDraft, SnapshotKind
from backout.model.target import ObjectRef
from backout.ownership.owners import Owners
from backout.snapshots.pointers import PointerReader
from backout.snapshots.repository import Repository
from backout.snapshots.repository.manifests import selected
from backout.snapshots.walk import Skips, walk


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever takes a snapshot knows of it.

    ``healthy`` is None where health could not be measured. ``git``: the commits of the repositories that it comes from.
    """

    kind: SnapshotKind = "manual"
    tags: tuple[str, ...] = ()
    message: str = ""
    healthy: bool | None = None
    incident: bool = False
    run: str = ""
    actor: str = ""
    git: tuple[GitPointer, ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """A completed snapshot.

    ``written``: bytes that the repository did not have; ``kinds``: objects of each; ``unread``: what was not listed.
    """

    snapshot: Snapshot
    written: int
    kinds: dict[str, int]
    unread: tuple[str, ...] = ()


async def take(
    cluster: ClusterReader,
    repository: Repository,
    namespace: str,
    about: About,
    progress: Callable[[int], None] = lambda objects: None,
) -> Taken:
    """Takes a snapshot; it exists when this returns, and not at all when this raises.

    Raises:
        ObjectNotFound: there is no such namespace.
        AccessDenied: nothing of it may be listed.
        StorageError, RepositoryLocked, LockLost: see `backout.snapshots.repository`.
    """
    await require_namespace(cluster, namespace)
    identity = await cluster.identity()
    earlier = selected(await repository.snapshots(), identity, namespace)[:1]
    at = await _now(cluster)
    skips, owners, pointers = Skips(), Owners(cluster), PointerReader(cluster, namespace)
    kinds: dict[str, int] = {}
    async with repository.writer() as writer:

        async def keep(resource: Resource, page: list[Object]) -> None:
            for obj in page:
                content = encode(sanitise(obj))
                address = await writer.put(content)
                owner = await owners.of(obj)
                ref = ObjectRef(resource.api_version, resource.kind, obj["metadata"]["name"], namespace)
                await writer.add(
                    Entry(
                        ref=ref,
                        address=address,
                        size=len(content),
                        owner=owner.name,
                        owner_kind=owner.kind,
                        plural=resource.plural,
                    )
                )
                pointers.see(obj, address, owner)
            kinds[resource.kind] = kinds.get(resource.kind, 0) + len(page)
            progress(sum(kinds.values()))

        await walk(cluster, namespace, keep, skips)
        if skips.unread and not skips.listed:
            raise AccessDenied(
                "Nothing of namespace {namespace} may be listed, so no snapshot was taken.",
                namespace=namespace,
                expected="the right to list what it holds",
                hint="`backout doctor` prints the Role that is missing.",
            )
        around = msgspec.structs.replace(await pointers.read(), git=about.git)
        for ref, why in pointers.unread:
            skips.add(ref, why)
        # In the middle of a rollout nothing is broken, and yet it is no state to come back to.
        healthy = False if about.healthy and any(w.healthy is False for w in around.workloads) else about.healthy
        draft = SnapshotDraft(
            kind=about.kind,
            cluster=cluster.name,
            identity=identity,
            namespace=namespace,
            taken_at=at,
            tags=about.tags,
            message=about.message,
            healthy=healthy,
            incident=about.incident,
            run=about.run,
            actor=about.actor,
            parent=earlier[0].id if earlier else "",
            skipped=skips.sorted(),
            pointers=around,
        )
        snapshot = await writer.save(draft)
        unread = tuple(sorted(f"{kind}.{group}" if group else kind for group, kind in skips.unread))
        return Taken(snapshot, writer.written, dict(sorted(kinds.items())), unread)


def encode(obj: Object) -> bytes:
    """The content that is kept: equal objects have equal bytes."""
    return msgspec.json.encode(obj, order="sorted")


async def _now(cluster: ClusterReader) -> datetime:
    """The cluster's time, which is what starts of pods are held against; ours only tells the parts of a second."""
    theirs = await cluster.server_time()
    return min(max(datetime.now(UTC), theirs), theirs + timedelta(seconds=0.999))
