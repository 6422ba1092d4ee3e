# SPDX-License-Identifier: Apache-2.0
"""Every change to a namespace in one timeline: releases, rollouts past Helm, and edits of objects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from backout.changes.edits import edits
from backout.changes.rollouts import rollouts
from backout.cluster.port import ClusterReader
from backout.errors import AccessDenied, Invalid, TooLarge
from backout.helm.compare import compare
from backout.helm.payload import Release
from backout.helm.records import Record, Records
from backout.helm.text import first_line
from backout.model.change import FieldChange, LedgerEntry
from backout.model.message import Message, msg
from backout.model.target import Target

TOGETHER = timedelta(seconds=5)
"""A rollout or a write by helm this soon after a release's revision is part of it."""


async def changes(cluster: ClusterReader, namespace: str, since: datetime) -> list[LedgerEntry]:
    """What changed since then, oldest first. Sources that may not be read are left out.

    A rollout, or a write by helm, that came with a release's revision is told once, as that revision.
    """
    releases, rolled, edited = await asyncio.gather(
        release_changes(cluster, namespace, since),
        rollouts(cluster, namespace, since),
        edits(cluster, namespace, since),
    )
    rolled = [_with_actor(entry, edited) for entry in rolled]
    own = [entry for entry in (*rolled, *edited) if not _told(entry, releases)]
    own = [entry for entry in own if not (entry.source == "managedfields" and _told(entry, rolled))]
    return sorted((*releases, *own), key=lambda entry: entry.at)


def _with_actor(rollout: LedgerEntry, edited: Iterable[LedgerEntry]) -> LedgerEntry:
    """The writer of the object at that moment is who changed its template."""
    for entry in edited:
        if _same_object(rollout, entry) and abs(rollout.at - entry.at) <= TOGETHER:
            return msgspec.structs.replace(rollout, actor=entry.actor)
    return rollout


async def release_changes(cluster: ClusterReader, namespace: str, since: datetime) -> list[LedgerEntry]:
    """One entry for each revision of each release that was begun since then."""
    try:
        newest = await Records(cluster, namespace).releases()
    except AccessDenied:
        return []
    recent = [key for key, record in newest.items() if _began(record) >= since]
    found: list[LedgerEntry] = []
    for place, name in recent:
        records = Records(cluster, place)
        history = await records.history(name)
        for before, record in zip([None, *history], history, strict=False):
            began = _began(record)
            if began >= since:
                found.append(await _release_entry(cluster, records, before, record, began))
    return found


def _began(record: Record) -> datetime:
    return record.created or record.modified or datetime.min.replace(tzinfo=UTC)


async def _release_entry(
    cluster: ClusterReader, records: Records, before: Record | None, record: Record, began: datetime
) -> LedgerEntry:
    target = Target("helm", record.release, records.namespace, cluster.name)
    try:
        release = await records.load(record)
        old = await records.load(before) if before else None
        differing = compare(old.manifest if old else "", release.manifest, records.namespace)
    except (Invalid, TooLarge) as error:
        return LedgerEntry(
            at=began,
            source="helm",
            target=target,
            actor="helm",
            revision=record.revision,
            previous=before.revision if before else None,
            summary=msg("unreadable: {why}", why=error.message),
        )
    fields = [
        FieldChange(f"{change.ref} {field.path}", field.before, field.after, field.secret)
        for change in differing
        for field in change.fields
    ]
    return LedgerEntry(
        at=began,
        source="helm",
        target=target,
        actor="helm",
        revision=record.revision,
        previous=before.revision if before else None,
        summary=_summary(record, release),
        touches=tuple(change.ref for change in differing),
        fields=tuple(fields),
    )


def _summary(record: Record, release: Release) -> Message:
    return msg(
        "{status}: {description} ({chart})",
        status=record.status,
        description=first_line(release.info.description),
        chart=release.chart_label,
    )


def _told(entry: LedgerEntry, tellers: Iterable[LedgerEntry]) -> bool:
    """True when one of ``tellers`` changed the same object at the same time and so tells of it already."""
    by_helm = entry.actor == "helm"
    return any(
        timedelta(seconds=-1) <= entry.at - teller.at <= (TOGETHER * 12 if by_helm else TOGETHER)
        and _same_object(entry, teller)
        for teller in tellers
        if entry.source != "managedfields" or by_helm or teller.source != "helm"
    )


def _same_object(one: LedgerEntry, other: LedgerEntry) -> bool:
    mine = {(ref.kind, ref.namespace, ref.name) for ref in one.touches}
    return any((ref.kind, ref.namespace, ref.name) in mine for ref in other.touches)
