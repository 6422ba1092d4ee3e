# SPDX-License-Identifier: Apache-2.0
"""Removes snapshots that a policy does not keep, and whatever nothing refers to. It can die at any point: what is left
then is too much, never too little (docs/snapshot-format.md, Order of writes)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from backout.errors import RepositoryDamaged
from backout.model.snapshot import Snapshot
from backout.snapshots.repository.backend import Missing, Stored
from backout.snapshots.repository.format import MAX_PACK, PACK_OBJECTS, Kind
from backout.snapshots.repository.locks import Lock
from backout.snapshots.repository.manifests import references
from backout.snapshots.repository.objects import PackHead, Place
from backout.snapshots.repository.packs import Pack, assemble, read_table
from backout.snapshots.repository.retention import Policy, kept

if TYPE_CHECKING:
    from backout.snapshots.repository.repository import Repository

WASTE = 0.3
SMALL = 1024 * 1024
MANY_SMALL = 8
TARGET = 4 * 1024 * 1024
"""Sealed bytes of a pack that is written anew."""


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed (or would be), and what stays and why. ``freed`` is in bytes."""

    removed: tuple[Snapshot, ...]
    kept: dict[str, str]
    packs_removed: int
    packs_rewritten: int
    objects_removed: int
    freed: int
    leftovers: int
    left_alone: tuple[str, ...]
    """Packs that are damaged: they are not touched, so that what can be saved of them still can be."""


async def prune(repository: Repository, policy: Policy, *, dry_run: bool = False) -> Pruned:
    """Removes what the policy does not keep.

    Raises:
        RepositoryLocked: somebody works on the repository.
        RepositoryDamaged: something can't be read, so that nobody knows what it needs; nothing was removed.
        StorageError: it can't be read or written.
    """
    if dry_run:
        async with repository.shared_lock("prune --dry-run"):
            return await _pruned(repository, policy, None)
    async with repository.exclusive_lock("prune") as lock:
        return await _pruned(repository, policy, lock)


async def _pruned(repository: Repository, policy: Policy, lock: Lock | None) -> Pruned:
    index = repository.index
    await index.load(again=True)
    snapshots = await repository.manifests.all()
    for error in repository.unreadable.values():
        raise RepositoryDamaged(
            "Nothing was pruned, since a snapshot can't be read and nobody knows what it needs: {reason}",
            reason=str(error),
            hint="put its file back from a copy of the storage, or remove the file to give it up",
        ) from error
    stay = kept(snapshots, policy)
    removed = [snapshot for snapshot in snapshots if snapshot.id not in stay]
    live = await _live(repository, [snapshot for snapshot in snapshots if snapshot.id in stay])
    for address in live & index.copies.keys():
        await repository.reader.settle(address)
    used = [0] * len(index.packs)
    objects = [0] * len(index.packs)
    for address in live:
        if (number := index.places.get(address)) is not None:
            place = Place.unpacked(number)
            used[place.pack] += place.length
            objects[place.pack] += 1
    dead = [pack for pack, count in zip(index.packs, objects, strict=True) if count == 0]
    again = _rewritten(index.packs, used, objects)
    before = sum(pack.size for pack in (*dead, *again))
    written = 0
    damaged = set(index.damaged)
    staying = {pack.name: count for pack, count in zip(index.packs, objects, strict=True)}
    if lock is not None:
        new, broken = await _rewrite(repository, again, live, lock)
        damaged |= broken
        again = [pack for pack in again if pack.name not in broken]
        written = sum(new.values())
        await lock.confirm()
        for snapshot in removed:
            lock.check()
            await repository.manifests.remove(snapshot.id)
        await lock.confirm()
        for pack in (*dead, *again):
            lock.check()
            if pack.name not in new:
                await repository.backend.delete(pack.name)
        leftovers = await repository.backend.tidy()
        await index.load(again=True)
    else:
        written = sum(used[i] for i, pack in enumerate(index.packs) if pack in again)
        leftovers = 0
    gone = sum(pack.objects - staying[pack.name] for pack in (*dead, *again))
    return Pruned(
        removed=tuple(removed),
        kept=stay,
        packs_removed=len(dead),
        packs_rewritten=len(again),
        objects_removed=gone,
        freed=max(0, before - written),
        leftovers=leftovers,
        left_alone=tuple(sorted(damaged)),
    )


async def _live(repository: Repository, snapshots: list[Snapshot]) -> set[bytes]:
    """Everything that stays. All entries of a page count, also those that a later snapshot does without."""
    live: set[bytes] = set()
    pages: set[str] = set()
    for snapshot in snapshots:
        live.update(map(bytes.fromhex, references(snapshot)))
        for address in (*snapshot.pages, *snapshot.changes):
            if address not in pages:
                pages.add(address)
                page = await repository.manifests.page(snapshot, address)
                live.update(bytes.fromhex(entry.address) for entry in page.entries)
    return live


def _rewritten(packs: list[PackHead], used: list[int], objects: list[int]) -> list[PackHead]:
    """Packs with much waste; and the small ones once there are many."""
    alive = [(pack, used[i]) for i, pack in enumerate(packs) if objects[i]]
    # A table takes 37 bytes an object; that is no waste.
    wasteful = [pack for pack, bytes_ in alive if bytes_ + 37 * pack.objects + 128 < (1 - WASTE) * pack.size]
    small = [pack for pack, _ in alive if pack.size < SMALL and pack not in wasteful]
    return wasteful + (small if len(small) >= MANY_SMALL else [])


async def _rewrite(
    repository: Repository, packs: list[PackHead], live: set[bytes], lock: Lock
) -> tuple[dict[str, int], set[str]]:
    """Writes what is live in these packs into new ones; gives the new packs with their sizes, and the packs that can't
    be read whole, which must stay."""
    backend, keyring = repository.backend, repository.keyring
    numbers = {pack.name: number for number, pack in enumerate(repository.index.packs)}
    new: dict[str, int] = {}
    broken: set[str] = set()
    waiting: dict[bytes, list[tuple[Kind, bytes, bytes]]] = {}

    async def store(generation: bytes) -> None:
        blobs = waiting.pop(generation, [])
        if not blobs:
            return
        lock.check()
        sealed = await asyncio.to_thread(assemble, keyring.generation(generation, "a pack"), blobs)
        await backend.put(sealed.name, sealed.content)
        new[sealed.name] = len(sealed.content)

    for pack in packs:
        try:
            content = await backend.get(pack.name, MAX_PACK)
            table = await read_table(backend, keyring, Stored(pack.name, pack.size, 0.0))
            blobs = await asyncio.to_thread(_live_blobs, repository, table, content, numbers[pack.name], live)
        except (Missing, RepositoryDamaged):
            broken.add(pack.name)
            continue
        # Places are settled by `Index.places`, so an object that is in two packs is taken from one of them only.
        group = waiting.setdefault(pack.generation, [])
        group += blobs
        if len(group) >= PACK_OBJECTS or sum(len(blob) for _, _, blob in group) >= TARGET:
            await store(pack.generation)
    for generation in list(waiting):
        await store(generation)
    return new, broken


def _live_blobs(
    repository: Repository, table: Pack, content: bytes, number: int, live: set[bytes]
) -> list[tuple[Kind, bytes, bytes]]:
    """The live objects of a pack, still sealed. Each is opened once: damage is not to be carried on."""
    generation = repository.keyring.generation(table.generation, table.name)
    found: list[tuple[Kind, bytes, bytes]] = []
    for row in table.rows:
        place = repository.index.places.get(row.address)
        if row.address in live and place is not None and Place.unpacked(place) == (number, row.offset, row.length):
            sealed = content[row.offset : row.offset + row.length]
            generation.open_addressed(row.kind, row.address, sealed, f"object {row.address.hex()}")
            found.append((row.kind, row.address, sealed))
    return found
