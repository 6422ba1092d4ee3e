# SPDX-License-Identifier: Apache-2.0
"""Snapshots and what is done with them. Contents of objects are in none of these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.app.results import (
    DamagedPart,
    Exported,
    Imported,
    Recipient,
    Report,
    RestoreItem,
    SnapshotDifference,
    Taken,
)
from backout.app.snapshots.keeping import Pruning
from backout.app.snapshots.keys import Keys
from backout.app.snapshots.reading import Difference, Listed, Shown
from backout.app.snapshots.restoring import Restored
from backout.documents.base import API_VERSION, Document, Version
from backout.model.message import Message
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Entry, GitPointer, Pointers, Skipped, Snapshot, SnapshotKind
from backout.model.target import ObjectRef


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot without its entries. ``healthy`` is null where health could not be measured; ``size`` is in bytes."""

    id: str
    type: SnapshotKind
    cluster: str
    namespace: str
    taken_at: datetime
    tags: tuple[str, ...]
    message: str
    healthy: bool | None
    incident: bool
    good: bool
    objects: int
    size: int
    actor: str
    run: str
    parent: str
    identity: ClusterIdentity
    imported_from: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a snapshot; ``size`` is in bytes."""

    ref: ObjectRef
    size: int
    owner: str
    address: str


class Made(Item, frozen=True, kw_only=True):
    """A snapshot that was just taken; ``written``: bytes that the repository did not have."""

    written: int
    kinds: dict[str, int]
    skipped: tuple[Skipped, ...]
    git: tuple[GitPointer, ...]


class SnapshotCreatedList(Document, frozen=True, kw_only=True):
    """`backout snapshot create`: a snapshot for each cluster."""

    kind: Literal["SnapshotCreatedList"] = "SnapshotCreatedList"
    items: tuple[Made, ...]


class SnapshotList(Document, frozen=True, kw_only=True):
    """`backout snapshot list`: the newest of ``total``; ``unreadable`` are ids whose summaries can't be read."""

    kind: Literal["SnapshotList"] = "SnapshotList"
    items: tuple[Item, ...]
    total: int
    unreadable: tuple[str, ...]


class SnapshotDocument(Item, frozen=True, kw_only=True, omit_defaults=True):
    """`backout snapshot show`: one snapshot; ``entries`` with ``--objects``."""

    apiVersion: Version = API_VERSION
    kind: Literal["Snapshot"] = "Snapshot"
    kinds: dict[str, int]
    skipped: tuple[Skipped, ...]
    pointers: Pointers
    entries: tuple[Held, ...] = ()


class SnapshotDiff(Document, frozen=True, kw_only=True):
    """`backout snapshot diff`: every object that differs between snapshot ``before`` and ``after`` (an id, or live)."""

    kind: Literal["SnapshotDiff"] = "SnapshotDiff"
    before: str
    after: str
    differences: tuple[SnapshotDifference, ...]
    compared: int
    notes: tuple[Message, ...]


class SnapshotRestore(Document, frozen=True, kw_only=True):
    """`backout snapshot restore`: what is done to each object; ``before`` is the snapshot of the state before."""

    kind: Literal["SnapshotRestore"] = "SnapshotRestore"
    snapshot: str
    dry_run: bool
    before: str
    items: tuple[RestoreItem, ...]
    exit_code: int


class SnapshotVerification(Document, frozen=True, kw_only=True):
    """`backout snapshot verify`: what was looked at, and what is damaged."""

    kind: Literal["SnapshotVerification"] = "SnapshotVerification"
    ok: bool
    snapshots: int
    packs: int
    objects: int
    bytes: int
    packs_read: int
    bytes_read: int
    unused: int
    unknown_files: tuple[str, ...]
    problems: tuple[DamagedPart, ...]


class SnapshotPrune(Document, frozen=True, kw_only=True):
    """`backout snapshot prune`: what was removed (or would be), what stays and why; ``freed`` is in bytes."""

    kind: Literal["SnapshotPrune"] = "SnapshotPrune"
    dry_run: bool
    removed: tuple[Item, ...]
    kept: dict[str, str]
    packs_removed: int
    packs_rewritten: int
    objects_removed: int
    freed: int
    left_alone: tuple[str, ...]


class SnapshotExport(Document, frozen=True, kw_only=True):
    """`backout snapshot export`: the archive, and who can open it."""

    kind: Literal["SnapshotExport"] = "SnapshotExport"
    path: str
    bytes: int
    snapshots: tuple[str, ...]
    objects: int
    recipients: tuple[str, ...]


class SnapshotImport(Document, frozen=True, kw_only=True):
    """`backout snapshot import`: what came, and ids of what was here already."""

    kind: Literal["SnapshotImport"] = "SnapshotImport"
    imported: tuple[Item, ...]
    present: tuple[str, ...]
    source: str
    foreign: bool


class SnapshotKeys(Document, frozen=True, kw_only=True):
    """`backout snapshot key`: who can open the repository; ``missing`` are named in the configuration and can't yet."""

    kind: Literal["SnapshotKeys"] = "SnapshotKeys"
    repository: str
    where: str
    fingerprint: str
    generations: int
    identity: str
    own: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    missing: tuple[str, ...]


def item(snapshot: Snapshot) -> Item:
    """A snapshot as it is listed."""
    return Item(**_fields(snapshot))


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    same = {name: getattr(snapshot, name) for name in Item.__struct_fields__ if name != "type"}
    return {**same, "type": snapshot.kind}


def created_list(found: Sequence[Taken]) -> SnapshotCreatedList:
    """Snapshots that were just taken."""
    return SnapshotCreatedList(
        items=tuple(
            Made(
                **_fields(one.snapshot),
                written=one.written,
                kinds=one.kinds,
                skipped=one.snapshot.skipped,
                git=one.snapshot.pointers.git,
            )
            for one in found
        )
    )


def snapshot_list(found: Listed) -> SnapshotList:
    """What there is."""
    return SnapshotList(items=tuple(map(item, found.snapshots)), total=found.total, unreadable=found.unreadable)


def snapshot_document(found: Shown) -> SnapshotDocument:
    """One snapshot."""
    return SnapshotDocument(
        **_fields(found.snapshot),
        kinds=found.kinds,
        skipped=found.snapshot.skipped,
        pointers=found.snapshot.pointers,
        entries=tuple(map(_held, found.entries)),
    )


def _held(entry: Entry) -> Held:
    return Held(ref=entry.ref, size=entry.size, owner=entry.owner, address=entry.address)


def diff_document(found: Difference) -> SnapshotDiff:
    """What differs."""
    result = found.comparison
    return SnapshotDiff(
        before=found.before.id,
        after=found.after,
        differences=result.differences,
        compared=result.compared,
        notes=result.notes,
    )


def restore_document(found: Restored) -> SnapshotRestore:
    """What was done, or would be."""
    return SnapshotRestore(
        snapshot=found.snapshot.id,
        dry_run=found.dry_run,
        before=found.before,
        items=found.items,
        exit_code=found.exit_code,
    )


def verification(report: Report) -> SnapshotVerification:
    """Whether all is whole."""
    return SnapshotVerification(ok=not report.problems, **msgspec.structs.asdict(report))


def prune_document(found: Pruning) -> SnapshotPrune:
    """What goes and what stays."""
    result = found.result
    return SnapshotPrune(
        dry_run=not found.done,
        removed=tuple(map(item, result.removed)),
        kept=result.kept,
        packs_removed=result.packs_removed,
        packs_rewritten=result.packs_rewritten,
        objects_removed=result.objects_removed,
        freed=result.freed,
        left_alone=result.left_alone,
    )


def export_document(result: Exported) -> SnapshotExport:
    """The archive."""
    return SnapshotExport(**msgspec.structs.asdict(result))


def import_document(result: Imported) -> SnapshotImport:
    """What came."""
    return SnapshotImport(
        imported=tuple(map(item, result.snapshots)),
        present=result.present,
        source=result.source,
        foreign=result.foreign,
    )


def keys_document(keys: Keys) -> SnapshotKeys:
    """Who can open them."""
    return SnapshotKeys(
        repository=keys.repository,
        where=keys.where,
        fingerprint=keys.fingerprint,
        generations=keys.generations,
        identity=keys.identity,
        own=keys.own,
        recipients=keys.recipients,
        missing=keys.missing,
    )
