# SPDX-License-Identifier: Apache-2.0
"""What the snapshots of a namespace know of a release: records that Helm pruned, and which revision was well when.

Only snapshots of the same cluster and namespace count, and none that a foreign archive brought. A record counts only if
it is of the same life of the release: Helm carries ``info.first_deployed`` from revision to revision, and an install
begins anew (helm pkg/action/{install,upgrade,rollback}.go), so a release that was uninstalled in between has another.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from backout.errors import BackoutError, Invalid, RepositoryDamaged, TooLarge
from backout.helm.payload import Release, decode, parse_time
from backout.helm.records import Kept, Record, Records, record_of
from backout.helm.workloads import workloads
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.templates import fits
from backout.model.decoding import UNREADABLE
from backout.model.message import Message, msg
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef
from backout.snapshots import source

if TYPE_CHECKING:
    from backout.snapshots.repository import Repository

PATIENCE = 5.0
"""Seconds for a repository that does not answer: whoever looks at a history must not wait for it much longer."""
LOOKED_THROUGH = 8
"""Snapshots whose every object is looked through, the newest and the newest good ones: the summary of a snapshot names
one record of a release, its objects hold all that there were."""
MOST = 10
"""Revisions that are read of a release, the newest first."""


class SnapshotRecords(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. ``names``: ids and tags of the snapshots in which a revision was the deployed one; ``vouched``:
    for a revision that was deployed, newest and in force in a good snapshot, the sentence that says so; ``blind``: why
    nothing is known."""

    records: tuple[Record, ...] = ()
    names: dict[int, tuple[str, ...]] = {}
    vouched: dict[int, Message] = {}
    blind: Message | None = None


class _Held(msgspec.Struct, frozen=True):
    """One content of one revision's record. ``deployed``: the snapshots in which it was the deployed one."""

    address: str
    snapshots: list[Snapshot]
    deployed: list[Snapshot]


async def records_in_snapshots(records: Records, release: str, listed: Sequence[Record]) -> SnapshotRecords:
    """Looks a release up in the snapshots. A repository that can't be read is no error here, but `SnapshotRecords.blind`."""
    try:
        async with asyncio.timeout(PATIENCE), source.opened() as repository:
            if repository is None:
                return SnapshotRecords()
            return await _look(repository, records, release, listed)
    except BackoutError as error:
        return SnapshotRecords(
            blind=msg("Whether a snapshot has more is not known, since they can't be read: {why}", why=error.message)
        )
    except TimeoutError:
        return SnapshotRecords(
            blind=msg(
                "Whether a snapshot has more is not known: their repository gave no answer within {seconds} s.",
                seconds=round(PATIENCE),
            )
        )


async def _look(repository: Repository, records: Records, release: str, listed: Sequence[Record]) -> SnapshotRecords:
    identity = await records.cluster.identity()
    life = await _life(records, listed)
    snapshots = [
        snapshot
        for snapshot in await repository.snapshots(identity, records.namespace)
        if not snapshot.imported_from and (life is None or snapshot.taken_at > life)
    ]
    held, newest = await _find(repository, records, release, snapshots)
    living = {record.revision: record for record in listed}
    found: list[Record] = []
    names: dict[int, tuple[str, ...]] = {}
    vouched: dict[int, Message] = {}
    for revision in sorted((number for number in held if number <= listed[-1].revision), reverse=True)[:MOST]:
        content, deployed = await _content(records, living.get(revision)), []
        for mine in held[revision].values():
            if revision not in living:
                loaded = await _load(repository, records, release, revision, mine)
                if loaded is None or (life is not None and parse_time(loaded[1].info.first_deployed) != life):
                    continue
                if content is None:
                    found.append(loaded[0])
                    content = loaded[1]
            deployed += mine.deployed
        deployed.sort(key=lambda snapshot: snapshot.taken_at, reverse=True)
        names[revision] = tuple(dict.fromkeys(name for s in deployed for name in (s.id, *s.tags)))
        witness = next((s for s in deployed if s.good and newest.get(s.id) == revision), None)
        if witness is not None and content is not None and await _in_force(repository, witness, content):
            vouched[revision] = msg(
                "It was in force in snapshot {id} of {time}, when everything was healthy.",
                id=witness.short,
                time=witness.taken_at.strftime("%Y-%m-%d %H:%M UTC"),
            )
    return SnapshotRecords(records=tuple(sorted(found, key=lambda r: r.revision)), names=names, vouched=vouched)


async def _find(
    repository: Repository, records: Records, release: str, snapshots: Sequence[Snapshot]
) -> tuple[dict[int, dict[str, _Held]], dict[str, int]]:
    """The records by revision and address; and the newest revision in each snapshot that was looked through."""
    held: dict[int, dict[str, _Held]] = {}
    newest: dict[str, int] = {}
    good = [snapshot for snapshot in snapshots if snapshot.good]
    looked = {snapshot.id for snapshot in (*snapshots[:LOOKED_THROUGH], *good[:LOOKED_THROUGH])}
    for snapshot in snapshots:
        if snapshot.id in looked:
            every = await _entries(repository, snapshot, release, records.resource.kind)
            newest[snapshot.id] = max(every, default=0)
            for revision, address in every.items():
                _held(held, revision, address).snapshots.append(snapshot)
        pointer = next((p for p in snapshot.pointers.releases if p.name == release and p.address), None)
        if pointer and pointer.record and pointer.record.kind == records.resource.kind and pointer.status == "deployed":
            mine = _held(held, pointer.revision, pointer.address)
            mine.deployed.append(snapshot)
            if snapshot.id not in looked:
                mine.snapshots.append(snapshot)
    return held, newest


def _held(held: dict[int, dict[str, _Held]], revision: int, address: str) -> _Held:
    return held.setdefault(revision, {}).setdefault(address, _Held(address, [], []))


async def _entries(repository: Repository, snapshot: Snapshot, release: str, kind: str) -> dict[int, str]:
    """The addresses of all of a release's records in a snapshot, by revision."""
    pattern = re.compile(rf"sh\.helm\.release\.v1\.{re.escape(release)}\.v(\d+)", re.ASCII)
    found = {}
    async for entry in repository.entries(snapshot):
        match = pattern.fullmatch(entry.ref.name) if entry.ref.kind == kind else None
        if match is not None:
            found[int(match.group(1))] = entry.address
    return found


async def _life(records: Records, listed: Sequence[Record]) -> datetime | None:
    """When the release was first deployed, by the newest record that can be read."""
    for record in reversed(listed):
        content = await _content(records, record)
        if content is not None:
            return parse_time(content.info.first_deployed)
    return None


async def _content(records: Records, record: Record | None) -> Release | None:
    try:
        return await records.load(record) if record is not None else None
    except BackoutError:
        return None


async def _load(
    repository: Repository, records: Records, release: str, revision: int, held: _Held
) -> tuple[Record, Release] | None:
    """The record as it is kept; None where it can't be used, since what is useless is no way back."""
    try:
        obj = msgspec.json.decode(await repository.get(held.address, f"revision {revision} of helm/{release}"))
        kept = Kept(
            repository=repository.id,
            snapshot=held.snapshots[0].id,
            taken=held.snapshots[0].taken_at,
            address=held.address,
        )
        record, body = kept_record(obj, kept, records.namespace)
        content = decode(body, record.name, wrapped=records.resource.kind == "Secret")
    except (RepositoryDamaged, Invalid, TooLarge, *UNREADABLE):
        return None
    if (record.release, record.revision, content.name, content.version) != (release, revision, release, revision):
        return None
    records.remember(record, content)
    return record, content


def kept_record(obj: dict[str, Any], kept: Kept, namespace: str) -> tuple[Record, str]:
    """The record in an object that a snapshot holds, and its payload.

    Raises:
        Invalid: it is none.
    """
    record = record_of(obj, namespace)
    body = (obj.get("data") or {}).get("release")
    if record is None or not isinstance(body, str):
        raise Invalid("What is kept as a release record is none.")
    return msgspec.structs.replace(record, uid="", resource_version="", created=None, kept=kept), body


async def _in_force(repository: Repository, snapshot: Snapshot, release: Release) -> bool:
    """True when the snapshot's workloads are those of the revision: somebody may have mended it past Helm."""
    try:
        wanted = {w.id: w.template for w in workloads(release.manifest, release.namespace or snapshot.namespace)}
        here = {key: template for key, template in wanted.items() if key[1] == snapshot.namespace}

        def needed(entry: Entry) -> bool:
            return _id(entry.ref) in here and entry.ref.api_version.startswith("apps/")

        seen = set()
        async for entry, content in repository.contents(snapshot, needed):
            template = (msgspec.json.decode(content).get("spec") or {}).get("template") or {}
            if not fits(template, here[_id(entry.ref)]):
                return False
            seen.add(_id(entry.ref))
    except (RepositoryDamaged, Invalid, TooLarge, *UNREADABLE):
        return False
    return bool(here) and seen == set(here)


def _id(ref: ObjectRef) -> tuple[str, str, str]:
    return (ref.kind if ref.kind in WORKLOAD_RESOURCES else "", ref.namespace, ref.name)


__all__ = ["SnapshotRecords", "kept_record", "records_in_snapshots"]
