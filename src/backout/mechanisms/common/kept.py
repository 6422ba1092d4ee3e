# SPDX-License-Identifier: Apache-2.0
"""What snapshots hold of one object: read, found again by a step, and told of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import RepositoryNotFound
from backout.model.message import Message, msg
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef
from backout.snapshots import source
from backout.snapshots.repository import Repository
from backout.snapshots.repository.pages import entry_digest


class FromSnapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="from", forbid_unknown_fields=True):
    """Where a step finds a content: at ``address`` of a repository (its id); ``snapshot`` is told of."""

    repository: str
    snapshot: str
    address: str

    @property
    def label(self) -> Message:
        """For people."""
        return msg("snapshot {snapshot}", snapshot=self.snapshot[:8])

    async def load(self) -> tuple[Object, Repository]:
        """The content, and its repository, closed: it still names contents. May hold secrets: never print it.

        Raises:
            RepositoryNotFound: the configured repository is another one, or there is none.
            RepositoryDamaged, StorageError: it can't be read.
        """
        async with source.opened() as repository:
            if repository is None or repository.id != self.repository:
                raise RepositoryNotFound(
                    "The repository of snapshots that the plan was made with is not the configured one.",
                    expected="repository {wanted}",
                    found="{other}",
                    wanted=self.repository[:8],
                    other=f"repository {repository.id[:8]}" if repository is not None else "none",
                    hint="use the same configuration as for the plan",
                )
            content: Object = msgspec.json.decode(await repository.get(self.address))
            return content, repository


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What one snapshot holds of an object; neither entry nor content where it holds nothing of it. May hold secrets."""

    snapshot: Snapshot
    entry: Entry | None = None
    content: Object | None = None


async def held(reader: ClusterReader, ref: ObjectRef) -> tuple[Repository | None, list[Held]]:
    """What each snapshot of the object's namespace holds of it, oldest first, and their repository, closed: it still names
    contents. None of either where no repository is configured. Equal contents at one address are one object.

    Raises:
        KeyMissing, WrongKey, RepositoryDamaged, StorageError: there is a repository, and it can't be read.
    """
    async with source.opened() as repository:
        if repository is None:
            return None, []
        snapshots = await repository.snapshots(await reader.identity(), ref.namespace)
        found = await entries_of(repository, list(reversed(snapshots)), ref)
        distinct = list({entry.address: entry for _, entry in found if entry is not None}.values())
        contents = await repository.get_many(distinct)
        decoded: dict[str, Object] = {
            entry.address: msgspec.json.decode(content) for entry, content in zip(distinct, contents, strict=True)
        }
        return repository, [
            Held(snapshot=snapshot, entry=entry, content=decoded[entry.address] if entry is not None else None)
            for snapshot, entry in found
        ]


def unproven(snapshots: Sequence[Snapshot]) -> Message:
    """Why what these snapshots hold (oldest first) is not known to be good, where none of them vouches for it."""
    if not snapshots:
        return msg("No snapshot holds it.")
    last = snapshots[-1]
    if last.imported_from:
        return msg("Snapshot {id} holds it, but came from elsewhere in an archive.", id=last.short)
    if last.incident or last.healthy is False:
        return msg("Snapshot {id} holds it, but was taken while something was broken.", id=last.short)
    return msg("Snapshot {id} holds it, but nobody measured whether everything was healthy.", id=last.short)


def proven(snapshot: Snapshot) -> Message:
    """Why what a snapshot that vouches for it holds is good."""
    return msg("Snapshot {id} holds it, which was taken while everything was healthy.", id=snapshot.short)


async def entries_of(
    repository: Repository, snapshots: Iterable[Snapshot], ref: ObjectRef
) -> list[tuple[Snapshot, Entry | None]]:
    """What each snapshot holds of an object. Pages that snapshots share are read once."""
    pages: dict[str, tuple[tuple[Entry, ...], frozenset[bytes]]] = {}

    def mine(entry: Entry) -> bool:
        same_group = entry.ref.api_version.partition("/")[0] == ref.api_version.partition("/")[0]
        return entry.ref.name == ref.name and entry.ref.kind == ref.kind and same_group

    async def page(snapshot: Snapshot, address: str) -> tuple[tuple[Entry, ...], frozenset[bytes]]:
        if address not in pages:
            found = await repository.manifests.page(snapshot, address)
            pages[address] = tuple(entry for entry in found.entries if mine(entry)), frozenset(found.without)
        return pages[address]

    result: list[tuple[Snapshot, Entry | None]] = []
    for snapshot in snapshots:
        changes = [await page(snapshot, address) for address in snapshot.changes]
        without = {digest for _, digests in changes for digest in digests}
        entries = [
            entry
            for address in snapshot.pages
            for entry in (await page(snapshot, address))[0]
            if entry_digest(entry) not in without
        ]
        entries += [entry for found, _ in changes for entry in found]
        result.append((snapshot, entries[0] if entries else None))
    return result
