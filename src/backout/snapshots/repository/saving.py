# SPDX-License-Identifier: Apache-2.0
"""Taking a snapshot: contents and entries as they come, the summary last."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import msgspec

from backout.errors import LockLost, RepositoryDamaged
from backout.model.snapshot import Entry, Snapshot, SnapshotDraft
from backout.snapshots.repository.format import Kind
from backout.snapshots.repository.locks import Lock
from backout.snapshots.repository.manifests import Manifests, references, selected
from backout.snapshots.repository.objects import Index, Writer
from backout.snapshots.repository.pages import Spool, encode_page

FEW = 0.1
"""Up to this part of its entries may differ for a snapshot to take an earlier one's pages."""


class SnapshotWriter:
    """Collects one snapshot. Memory is that of a few packs, and 60 bytes an entry."""

    def __init__(self, lock: Lock, writer: Writer, manifests: Manifests, index: Index) -> None:
        self._lock = lock
        self._writer = writer
        self._manifests = manifests
        self._index = index
        self._spool = Spool()

    @property
    def written(self) -> int:
        """Bytes of packs that were stored so far; what was there before costs nothing."""
        return self._writer.written

    async def put(self, content: bytes) -> str:
        """Keeps a content and gives its address.

        Raises:
            StorageError: an earlier content could not be stored.
            LockLost: the lock is gone.
            TooLarge: over 64 MiB.
        """
        return (await self._writer.put(Kind.OBJECT, content)).hex()

    async def add(self, entry: Entry) -> None:
        """Adds an object to the snapshot; its content must have been put before."""
        if not self._writer.has(bytes.fromhex(entry.address)):
            raise ValueError(f"{entry.ref}: its content was not put")
        self._spool.add(entry)

    async def save(self, draft: SnapshotDraft, *, id_: str = "", imported_from: str = "") -> Snapshot:
        """Completes the snapshot: everything is stored before the summary is.

        Raises:
            StorageError: something could not be stored; the snapshot does not exist then.
            LockLost: the lock is gone; the snapshot does not exist then.
        """
        spool, self._spool = self._spool, Spool()
        for release in draft.pointers.releases:
            if release.address and not self._writer.has(bytes.fromhex(release.address)):
                raise ValueError(f"{release.name}: its record was not put")
        pages, changes = await self._pages(spool, draft)
        await self._writer.flush()
        snapshot = Snapshot(
            **msgspec.structs.asdict(draft),
            id=id_ or secrets.token_hex(16),
            pages=pages,
            changes=changes,
            objects=spool.objects,
            size=spool.size,
            imported_from=imported_from,
        )
        await self._lock.confirm()
        await self._manifests.save(snapshot)
        try:
            await self._lock.confirm()
        except LockLost:
            await self._check_or_take_back(snapshot)
        return snapshot

    async def _pages(self, spool: Spool, draft: SnapshotDraft) -> tuple[tuple[str, ...], tuple[str, ...]]:
        earlier = await self._earlier(draft)
        if earlier is not None:
            try:
                different = await spool.compared(self._shared_entries(earlier), int(spool.objects * FEW))
            except RepositoryDamaged:
                different = None
            if different is not None:
                return earlier.pages, tuple([await self._put_page(encode_page(page)) for page in different])
        return tuple([await self._put_page(page) for page in spool.pages()]), ()

    async def _put_page(self, content: bytes) -> str:
        return (await self._writer.put(Kind.PAGE, content)).hex()

    async def _earlier(self, draft: SnapshotDraft) -> Snapshot | None:
        """The newest snapshot of the namespace, if its pages are of the current key."""
        before = selected(await self._manifests.all(), draft.identity, draft.namespace)[:1]
        if before and before[0].pages and all(self._index.current(bytes.fromhex(page)) for page in before[0].pages):
            return before[0]
        return None

    async def _shared_entries(self, snapshot: Snapshot) -> AsyncIterator[Entry]:
        for address in snapshot.pages:
            for entry in (await self._manifests.page(snapshot, address)).entries:
                yield entry

    async def _check_or_take_back(self, snapshot: Snapshot) -> None:
        """Without a lock somebody may have pruned meanwhile: the snapshot stays only if all of it is there."""
        await self._index.load(again=True)
        try:
            missing = any(bytes.fromhex(address) not in self._index.places for address in references(snapshot))
            if not missing:
                async for entry in self._manifests.entries(snapshot):
                    missing = missing or bytes.fromhex(entry.address) not in self._index.places
        except RepositoryDamaged:
            missing = True
        if not missing:
            return
        await self._manifests.remove(snapshot.id)
        raise LockLost(
            "The lock was lost while snapshot {id} was completed, and something that it needs was pruned.",
            id=snapshot.short,
            hint="take it again",
        )


def plain_draft(snapshot: Snapshot) -> SnapshotDraft:
    """What was said of a snapshot, without what the repository added."""
    fields = msgspec.structs.asdict(snapshot)
    return SnapshotDraft(**{name: fields[name] for name in SnapshotDraft.__struct_fields__})
