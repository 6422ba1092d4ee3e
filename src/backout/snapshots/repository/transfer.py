# SPDX-License-Identifier: Apache-2.0
"""From one repository to another by an archive: everything is decrypted, checked, and stored anew."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backout.errors import BadArchive, FormatUnknown, RefusedError, RepositoryDamaged, TooLarge
from backout.model.decoding import UNREADABLE
from backout.model.snapshot import Entry, Pointers, Snapshot
from backout.snapshots.repository.archive import Archive
from backout.snapshots.repository.format import CONTENTS_AT_ONCE
from backout.snapshots.repository.keys import Identity, Recipient, parse_recipient
from backout.snapshots.repository.saving import SnapshotWriter, plain_draft

if TYPE_CHECKING:
    from backout.snapshots.repository.repository import Repository

MAX_IMPORT = 16 * 1024 * 1024 * 1024
"""Bytes after decompression."""

Progress = Callable[[Snapshot], None]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where an archive says that it comes from, and its proof."""

    repository: str
    generation: str
    proof: str


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was written."""

    path: str
    bytes: int
    snapshots: tuple[str, ...]
    objects: int
    recipients: tuple[str, ...]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive brought. ``foreign`` is True when this repository can't prove that it made it."""

    snapshots: tuple[Snapshot, ...]
    present: tuple[str, ...]
    source: str
    foreign: bool


async def export(
    repository: Repository,
    snapshots: Sequence[Snapshot],
    path: Path,
    *,
    recipients: Sequence[str] = (),
    identities: Sequence[Identity],
    progress: Progress | None = None,
) -> Exported:
    """Writes snapshots into a new archive, for the repository's recipients and further ones.

    Raises:
        UsageError: the file exists, or a recipient is none.
        RepositoryDamaged: something of a snapshot can't be read; the archive is not there then.
        StorageError: the archive can't be written.
    """
    from backout.snapshots.repository.repository import Repository as Opened

    now = datetime.now(UTC)
    wanted = {item.recipient: item for item in repository.recipients}
    for text in recipients:
        parse_recipient(text)
        wanted.setdefault(text, Recipient(recipient=text, added=now))
    archive = Archive.create(path)
    try:
        async with repository.shared_lock("export"):
            target = await Opened.create(archive, identities, list(wanted.values()))
            objects = 0
            async with target.writer() as writer:
                for snapshot in sorted(snapshots, key=lambda s: s.taken_at):
                    await _copy(repository, writer, snapshot, snapshot.imported_from)
                    objects += snapshot.objects
                    if progress is not None:
                        progress(snapshot)
            generation = repository.keyring.current
            proof = generation.proof(archive.proven)
            origin = Origin(repository=repository.id, generation=generation.id.hex(), proof=proof)
            size = await archive.finish(msgspec.json.encode(origin))
    finally:
        await archive.close()
    return Exported(
        path=str(path), bytes=size, snapshots=tuple(s.id for s in snapshots), objects=objects, recipients=tuple(wanted)
    )


async def import_(
    repository: Repository,
    path: Path,
    *,
    identities: Sequence[Identity],
    identity: str = "the key",
    foreign: bool = False,
    limit: int = MAX_IMPORT,
    progress: Progress | None = None,
) -> Imported:
    """Takes over the snapshots of an archive that are not here yet.

    Raises:
        BadArchive: it is none, or was altered; nothing was imported.
        TooLarge: more than ``limit`` bytes after decompression.
        WrongKey: it was not made for this key.
        RefusedError: it is not from this repository, and ``foreign`` was not given.
    """
    from backout.snapshots.repository.repository import Repository as Opened

    archive = Archive.open(path)
    try:
        origin = _origin(archive, path)
        own = _proven(repository, origin, archive.proven)
        if not own and not foreign:
            raise RefusedError(
                "{path} does not come from this repository, or nobody can prove it: it says that it is of {source}.",
                path=str(path),
                source=origin.repository[:8],
                hint="if you trust where you have it from, give --foreign; its snapshots are marked then",
            )
        try:
            source = await Opened.open(archive, identities, identity=identity)
        except (FormatUnknown, RepositoryDamaged) as error:
            raise BadArchive(
                "{path} can't be imported: {reason}", path=str(path), reason=str(error), hint="nothing was imported"
            ) from error
        snapshots = await source.snapshots()
        if source.unreadable:
            raise next(iter(source.unreadable.values()))
        if sum(snapshot.size for snapshot in snapshots) > limit:
            raise _too_large(path, limit)
        here = {snapshot.id for snapshot in await repository.snapshots()}
        new = [snapshot for snapshot in snapshots if snapshot.id not in here]
        done: list[Snapshot] = []
        left = limit
        async with repository.writer("import") as writer:
            for snapshot in sorted(new, key=lambda s: s.taken_at):
                mark = snapshot.imported_from if own else origin.repository
                # What strangers made may say that it is smaller than it is: then one at a time, each within its limit.
                at_once = CONTENTS_AT_ONCE if own else 1
                copied, size = await _copy(source, writer, snapshot, mark, left, at_once)
                left -= size
                done.append(copied)
                if progress is not None:
                    progress(copied)
        return Imported(
            snapshots=tuple(done),
            present=tuple(s.id for s in snapshots if s.id in here),
            source=origin.repository,
            foreign=not own,
        )
    finally:
        await archive.close()


async def _copy(
    source: Repository,
    writer: SnapshotWriter,
    snapshot: Snapshot,
    mark: str,
    left: int = MAX_IMPORT,
    at_once: int = CONTENTS_AT_ONCE,
) -> tuple[Snapshot, int]:
    size = 0
    async for entry, content in source.contents(snapshot, at_once=at_once):
        size += len(content)
        if size > left:
            raise _too_large(Path(source.backend.where), left)
        address = await writer.put(content)
        await writer.add(_moved(entry, address, len(content)))
    releases = []
    for release in snapshot.pointers.releases:
        if release.address:
            content = await source.get(release.address, f"the record of release {release.name}")
            size += len(content)
            release = msgspec.structs.replace(release, address=await writer.put(content))
        releases.append(release)
    pointers: Pointers = msgspec.structs.replace(snapshot.pointers, releases=tuple(releases))
    draft = msgspec.structs.replace(plain_draft(snapshot), pointers=pointers)
    return await writer.save(draft, id_=snapshot.id, imported_from=mark), size


def _moved(entry: Entry, address: str, size: int) -> Entry:
    return msgspec.structs.replace(entry, address=address, size=size)


def _origin(archive: Archive, path: Path) -> Origin:
    try:
        return msgspec.json.decode(archive.origin, type=Origin)
    except UNREADABLE as error:
        raise BadArchive("{path} does not say where it comes from.", path=str(path)) from error


def _proven(repository: Repository, origin: Origin, content: bytes) -> bool:
    for generation in repository.keyring.generations:
        if origin.repository == repository.id and generation.id.hex() == origin.generation:
            return hmac.compare_digest(generation.proof(content), origin.proof)
    return False


def _too_large(path: Path, limit: int) -> TooLarge:
    return TooLarge(
        "{path} holds more than {limit} bytes after decompression.",
        path=str(path),
        limit=limit,
        hint="what was completed before is imported; export fewer snapshots at a time",
    )
