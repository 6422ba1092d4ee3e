# SPDX-License-Identifier: Apache-2.0
"""What snapshots hold of one object."""

from __future__ import annotations

from collections.abc import Iterable

from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef
from backout.snapshots.repository import Repository
from backout.snapshots.repository.pages import entry_digest


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
