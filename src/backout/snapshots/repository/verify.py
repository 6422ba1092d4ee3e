# SPDX-License-Identifier: Apache-2.0
"""Proves that every snapshot is whole; on request by reading and authenticating every byte."""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from backout.errors import RepositoryDamaged, UsageError
from backout.model.snapshot import Snapshot
from backout.snapshots.repository.backend import Backend, Missing, Stored
from backout.snapshots.repository.crypto import Keyring
from backout.snapshots.repository.format import MAX_PACK, NAMES, PACKS, SNAPSHOTS
from backout.snapshots.repository.manifests import references
from backout.snapshots.repository.objects import Place
from backout.snapshots.repository.packs import read_table

if TYPE_CHECKING:
    from backout.snapshots.repository.repository import Repository

AT_ONCE = 4
NAMED = 20
"""How many objects are named for one damage."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is damaged or missing. ``needed_by``: objects of snapshots that can't be put back from here."""

    name: str
    reason: str
    needed_by: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found. ``unused`` objects are no problem; `prune` removes them."""

    snapshots: int
    packs: int
    objects: int
    bytes: int
    packs_read: int
    bytes_read: int
    unused: int
    unknown_files: tuple[str, ...]
    problems: tuple[Problem, ...]


class Subset(msgspec.Struct, frozen=True, kw_only=True):
    """Which packs are read: part ``part`` of ``parts``, or a random ``share`` of them (0 to 1)."""

    part: int = 0
    parts: int = 0
    share: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Subset:
        """Reads ``2/7`` or ``10%``.

        Raises:
            UsageError: it is neither.
        """
        if found := re.fullmatch(r"(\d{1,6})/(\d{1,6})", text):
            part, parts = int(found[1]), int(found[2])
            if 1 <= part <= parts:
                return cls(part=part, parts=parts)
        elif found := re.fullmatch(r"(\d{1,3}(?:\.\d{1,4})?)%", text):
            share = float(found[1]) / 100
            if 0 < share <= 1:
                return cls(share=share)
        raise UsageError("{text} is no part of the data.", text=text, expected="such as 1/7, or 10%")

    def of(self, packs: list[Stored]) -> list[Stored]:
        """The packs of this part; a pack is always in the same one of n parts."""
        if self.parts:
            return [p for p in packs if int(p.name.removeprefix(PACKS)[:8], 16) % self.parts == self.part - 1]
        return random.sample(packs, math.ceil(len(packs) * self.share))


async def verify(
    repository: Repository, subset: Subset | None = None, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Looks at everything; ``subset`` says which packs are read as a whole (None: none).

    Raises:
        RepositoryLocked: somebody prunes.
        StorageError: it can't be read.
    """
    async with repository.shared_lock("verify"):
        listed = await repository.backend.listing("")
        await repository.index.load(again=True)
        snapshots = await repository.manifests.all()
        problems = [Problem(name=f"{SNAPSHOTS}{id_}", reason=str(e)) for id_, e in repository.unreadable.items()]
        problems += [Problem(name=name, reason=str(e)) for name, e in repository.index.damaged.items()]
        lost: dict[bytes, str] = {}
        used = await _used(repository, snapshots, problems, lost)
        packs = [item for item in listed if item.name.startswith(PACKS) and NAMES.fullmatch(item.name)]
        chosen = subset.of(packs) if subset is not None else []
        read = await _read(repository, chosen, problems, lost, progress)
        problems += await _who_needs(repository, snapshots, lost)
        return Report(
            snapshots=len(snapshots),
            packs=len(packs),
            objects=len(repository.index.places),
            bytes=sum(item.size for item in listed),
            packs_read=len(chosen),
            bytes_read=read,
            unused=sum(1 for address in repository.index.places if address not in used),
            unknown_files=tuple(sorted(item.name for item in listed if not NAMES.fullmatch(item.name))),
            problems=tuple(problems),
        )


async def _used(
    repository: Repository, snapshots: list[Snapshot], problems: list[Problem], lost: dict[bytes, str]
) -> set[bytes]:
    """Addresses that snapshots need; those that are nowhere are noted as lost."""
    used: set[bytes] = set()
    pages: set[str] = set()
    for snapshot in snapshots:
        for address in references(snapshot):
            used.add(bytes.fromhex(address))
        for address in (*snapshot.pages, *snapshot.changes):
            if address in pages:
                continue
            pages.add(address)
            try:
                page = await repository.manifests.page(snapshot, address)
            except RepositoryDamaged as error:
                problems.append(Problem(name=f"page {address}", reason=str(error), needed_by=(_named(snapshot),)))
                continue
            used.update(bytes.fromhex(entry.address) for entry in page.entries)
    lost.update((address, "it is missing") for address in used if address not in repository.index.places)
    for page_address in pages:
        lost.pop(bytes.fromhex(page_address), None)
    return used


async def _read(
    repository: Repository,
    packs: list[Stored],
    problems: list[Problem],
    lost: dict[bytes, str],
    progress: Callable[[int, int], None] | None,
) -> int:
    slots = asyncio.Semaphore(AT_ONCE)
    done = 0
    total = 0

    async def one(stored: Stored) -> None:
        nonlocal done, total
        async with slots:
            if stored.name not in repository.index.damaged:
                bad = await check_pack(repository.backend, repository.keyring, stored)
                for address, reason in bad.items():
                    place = repository.index.places.get(address)
                    where = repository.index.packs[Place.unpacked(place).pack].name if place is not None else ""
                    if where in ("", stored.name):
                        lost[address] = reason
                if b"" in bad:
                    problems.append(Problem(name=stored.name, reason=bad[b""]))
                    lost.pop(b"", None)
            total += stored.size
            done += 1
            if progress is not None:
                progress(done, len(packs))

    await asyncio.gather(*(one(stored) for stored in packs))
    return total


async def check_pack(backend: Backend, keyring: Keyring, stored: Stored) -> dict[bytes, str]:
    """Reads a pack and opens everything in it: addresses that can't be opened → why; the empty one for the file."""
    bad: dict[bytes, str] = {}
    try:
        content = await backend.get(stored.name, MAX_PACK)
        pack = await read_table(backend, keyring, stored)
    except Missing:
        return {b"": "it is missing"}
    except RepositoryDamaged as error:
        return {b"": str(error)}

    def check() -> None:
        if hashlib.sha256(content).hexdigest() != stored.name.removeprefix(PACKS):
            bad[b""] = "its content is not what was written"
        generation = keyring.generation(pack.generation, pack.name)
        for row in pack.rows:
            try:
                sealed = content[row.offset : row.offset + row.length]
                generation.open_addressed(row.kind, row.address, sealed, f"object {row.address.hex()}")
            except RepositoryDamaged as error:
                bad[row.address] = str(error)

    await asyncio.to_thread(check)
    return bad


async def _who_needs(repository: Repository, snapshots: list[Snapshot], lost: dict[bytes, str]) -> list[Problem]:
    """Names the objects of the cluster behind what is lost; what no snapshot needs is no problem but its pack's."""
    if not lost:
        return []
    needed: dict[bytes, list[str]] = {}
    for snapshot in snapshots:
        for address in references(snapshot):
            if bytes.fromhex(address) in lost:
                needed.setdefault(bytes.fromhex(address), []).append(_named(snapshot))
        try:
            async for entry in repository.manifests.entries(snapshot):
                address_ = bytes.fromhex(entry.address)
                if address_ in lost and len(needed.setdefault(address_, [])) < NAMED:
                    needed[address_].append(f"{entry.ref} of {_named(snapshot)}")
        except RepositoryDamaged:
            # The page itself is reported; what was on it can't be named.
            continue
    return [
        Problem(name=f"object {address.hex()}", reason=lost[address], needed_by=tuple(names))
        for address, names in sorted(needed.items())
    ]


def _named(snapshot: Snapshot) -> str:
    return f"snapshot {snapshot.short}"
