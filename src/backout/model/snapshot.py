# SPDX-License-Identifier: Apache-2.0
"""What a namespace was at one moment: which objects, who owned them, and the pointers that make the state whole.

A snapshot is a small summary (`Snapshot`) and, beside it, pages of entries: a namespace can hold tens of thousands of
objects, and neither taking nor listing snapshots may need memory for all of them. What an object held is kept in the
repository under its address; nothing here holds secret values, but names, labels of keys and messages are private to
the owners of the repository all the same, and are stored encrypted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from backout.model.message import Message
from backout.model.scope import ClusterIdentity
from backout.model.target import ObjectRef

SnapshotKind = Literal["manual", "run", "incident"]
"""``manual``: somebody asked for it. ``run``: taken before a run's first write. ``incident``: taken while things were
broken, for the record."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of a snapshot.

    ``address`` finds its content in the repository; equal contents have equal addresses within one generation of the
    repository's key, so two snapshots are compared without reading what did not change. ``size`` is in bytes, before
    compression. ``owner`` is who would undo a change of it, as ``helm/thanos``, ``app/central``, ``deployment/web``;
    empty when nobody would. ``owner_kind`` is the kind of that owner as `backout.ownership.owner` tells it.
    """

    ref: ObjectRef
    address: str
    size: int
    owner: str = ""
    owner_kind: str = "none"
    resource_version: str = ""
    plural: str = ""
    """The resource's name in the API's paths, so that it can be put back when discovery has lost its kind."""


class Skipped(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was left out, and why. ``ref`` without a name stands for a whole kind."""

    ref: ObjectRef
    reason: Message
    count: int = 1


class ReleasePointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Helm release: the revision that was deployed, and the address of its record as Helm stores it."""

    name: str
    namespace: str
    revision: int
    status: str = ""
    chart: str = ""
    app_version: str = ""
    record: ObjectRef | None = None
    address: str = ""


class WorkloadPointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workload: its revision number, the ReplicaSet or ControllerRevision that holds it, and whether it was well."""

    ref: ObjectRef
    revision: int = 0
    holder: ObjectRef | None = None
    replicas: int = 0
    ready: int = 0
    healthy: bool | None = None


class ClaimPointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A PersistentVolumeClaim: which volume it was bound to, by uid, and the driver's handle of that volume."""

    ref: ObjectRef
    volume: str = ""
    volume_uid: str = ""
    handle: str = ""
    driver: str = ""
    storage_class: str = ""
    reclaim_policy: str = ""


class ImagePointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image as it ran: the name that the pod template gives, and the digest that the node had pulled."""

    image: str
    digest: str
    workload: str = ""
    container: str = ""


class ApplicationPointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An Argo CD Application: the id of its deployment history and the Git commit of it."""

    name: str
    namespace: str
    history: int = 0
    commit: str = ""
    sync: str = ""
    health: str = ""


class GitPointer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The commit of a configured repository, and the annotated tag that was made of it."""

    url: str
    commit: str
    tag: str = ""
    pushed: bool = False


class Pointers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the objects alone do not say."""

    releases: tuple[ReleasePointer, ...] = ()
    workloads: tuple[WorkloadPointer, ...] = ()
    claims: tuple[ClaimPointer, ...] = ()
    images: tuple[ImagePointer, ...] = ()
    applications: tuple[ApplicationPointer, ...] = ()
    git: tuple[GitPointer, ...] = ()


class SnapshotDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that whoever takes a snapshot says of it; the repository adds id, pages and counts.

    ``healthy`` is None where health could not be measured. ``parent`` is the snapshot before it of the same namespace.
    ``run`` is the run that it was taken for. ``incident`` marks the state as broken: it never stands in for a good one.
    """

    kind: SnapshotKind
    cluster: str
    identity: ClusterIdentity
    namespace: str
    taken_at: datetime
    tags: tuple[str, ...] = ()
    message: str = ""
    healthy: bool | None = None
    incident: bool = False
    parent: str = ""
    run: str = ""
    actor: str = ""
    skipped: tuple[Skipped, ...] = ()
    pointers: Pointers = Pointers()


class Snapshot(SnapshotDraft, frozen=True, kw_only=True, omit_defaults=True):
    """A completed snapshot. ``objects`` and ``size`` (bytes) are the sums of its entries.

    ``pages`` are addresses of entry pages; an earlier snapshot of the same namespace may have the same ones, and then
    ``changes`` are addresses of pages that say which of their entries do not hold here, and which do instead.

    ``imported_from`` is the id of the foreign repository that an archive brought it from, else empty.
    """

    id: str
    pages: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    objects: int = 0
    size: int = 0
    imported_from: str = ""

    @property
    def short(self) -> str:
        """The id as people write it: its first eight characters."""
        return self.id[:8]

    @property
    def good(self) -> bool:
        """True when it is known to be a state worth going back to."""
        return self.healthy is True and not self.incident and self.kind != "incident"

    @property
    def vouches(self) -> bool:
        """True when it makes good what it holds: an archive from elsewhere may say anything of itself."""
        return self.good and not self.imported_from
