# SPDX-License-Identifier: Apache-2.0
"""Contents by address: where each is, writing of those that are new, reading of many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from backout.errors import RepositoryDamaged
from backout.snapshots.repository.backend import Backend, Missing, Stored
from backout.snapshots.repository.crypto import Generation, Keyring
from backout.snapshots.repository.format import NAMES, PACK_BYTES, PACK_OBJECTS, PACKS, Kind, damaged
from backout.snapshots.repository.packs import Pack, build, read_table

AT_ONCE = 16
"""Requests to the storage at the same time."""
IN_FLIGHT = 2
"""Packs that are being made or stored at the same time; with `PACK_BYTES` this bounds the memory."""
LARGE = 256 * 1024
"""Contents from here on are hashed in a thread."""


class Place(NamedTuple):
    """Where an object is. ``pack`` is a number of `Index.packs`."""

    pack: int
    offset: int
    length: int

    def packed(self) -> int:
        """As one number: there are as many places in memory as objects in the repository."""
        return self.pack << 64 | self.offset << 32 | self.length

    @classmethod
    def unpacked(cls, number: int) -> Place:
        """The inverse of `packed`."""
        return cls(number >> 64, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF)


class PackHead(NamedTuple):
    """What is kept in memory of a pack."""

    name: str
    size: int
    generation: bytes
    objects: int


class Index:
    """Which object is where: the tables of all packs, read once and again for packs that came later."""

    def __init__(self, backend: Backend, keyring: Keyring) -> None:
        self._backend = backend
        self._keyring = keyring
        self.packs: list[PackHead] = []
        self.places: dict[bytes, int] = {}
        self.copies: dict[bytes, list[int]] = {}
        """Further places of objects that are stored more than once: two writers, or a `prune` that died, did that."""
        self.damaged: dict[str, RepositoryDamaged] = {}
        """Packs whose table can't be read. What they hold counts as missing, so that it is written again."""
        self._loaded = False
        self._lock = asyncio.Lock()

    async def load(self, *, again: bool = False) -> None:
        """Reads the tables that were not read yet; with ``again`` it looks for packs that came since."""
        async with self._lock:
            if self._loaded and not again:
                return
            listed = [stored for stored in await self._backend.listing(PACKS) if NAMES.fullmatch(stored.name)]
            known = {pack.name for pack in self.packs} | set(self.damaged)
            if not known <= {stored.name for stored in listed}:
                # Somebody pruned: what was known of packs that are gone would lead new snapshots astray.
                self.packs, self.places, self.copies, self.damaged, known = [], {}, {}, {}, set()
            slots = asyncio.Semaphore(AT_ONCE)

            async def read(stored: Stored) -> None:
                async with slots:
                    try:
                        self.add(await read_table(self._backend, self._keyring, stored))
                    except RepositoryDamaged as error:
                        self.damaged[stored.name] = error

            await asyncio.gather(*(read(stored) for stored in listed if stored.name not in known))
            self._loaded = True

    def add(self, pack: Pack) -> None:
        """Takes up a pack."""
        number = len(self.packs)
        self.packs.append(PackHead(pack.name, pack.size, pack.generation, len(pack.rows)))
        for row in pack.rows:
            place = Place(number, row.offset, row.length).packed()
            if self.places.setdefault(row.address, place) != place:
                self.copies.setdefault(row.address, []).append(place)

    def current(self, address: bytes) -> bool:
        """True when the object is stored, under the current generation of the key."""
        place = self.places.get(address)
        if place is None:
            return False
        return self.packs[Place.unpacked(place).pack].generation == self._keyring.current.id

    async def find(self, address: bytes, label: str) -> Place:
        """Where an object is.

        Raises:
            RepositoryDamaged: nowhere.
        """
        await self.load()
        if address not in self.places:
            await self.load(again=True)
        place = self.places.get(address)
        if place is None:
            if self.damaged:
                raise damaged(label, f"it is missing; perhaps it was in {next(iter(self.damaged))}, which is damaged")
            raise damaged(label, "it is missing")
        return Place.unpacked(place)


class Writer:
    """Puts contents that are new into packs. After a failure nothing more is written."""

    def __init__(self, backend: Backend, generation: Generation, index: Index, check: Callable[[], None]) -> None:
        self._backend = backend
        self._generation = generation
        self._index = index
        self._check = check
        self._waiting: list[tuple[Kind, bytes, bytes]] = []
        self._bytes = 0
        self._coming: set[bytes] = set()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self.written = 0
        """Bytes that were stored."""

    async def put(self, kind: Kind, content: bytes) -> bytes:
        """The address of the content, which is stored when `flush` returns; not at all when it was there before."""
        if len(content) < LARGE:
            address = self._generation.address(kind, content)
        else:
            address = await asyncio.to_thread(self._generation.address, kind, content)
        if self.has(address):
            return address
        self._raise()
        self._coming.add(address)
        self._waiting.append((kind, address, content))
        self._bytes += len(content)
        if self._bytes >= PACK_BYTES or len(self._waiting) >= PACK_OBJECTS:
            await self._send()
        return address

    def has(self, address: bytes) -> bool:
        """True when it is stored, or on its way."""
        return address in self._index.places or address in self._coming

    async def flush(self) -> None:
        """Returns when everything that was put is stored."""
        if self._waiting:
            await self._send()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        self._raise()

    async def abandon(self) -> None:
        """Ends what is under way, without a word."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self) -> None:
        batch, self._waiting, self._bytes = self._waiting, [], 0
        await self._slots.acquire()
        task = asyncio.create_task(self._store(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, batch: list[tuple[Kind, bytes, bytes]]) -> None:
        try:
            self._check()
            sealed = await asyncio.to_thread(build, self._generation, batch)
            batch.clear()
            await self._backend.put(sealed.name, sealed.content)
            self.written += len(sealed.content)
            self._index.add(sealed.pack)
            self._coming.difference_update(row.address for row in sealed.pack.rows)
        except Exception as error:
            self._failure = self._failure or error
        finally:
            self._slots.release()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure


class Reader:
    """Reads contents by address, several with few requests where they lie together."""

    def __init__(self, backend: Backend, keyring: Keyring, index: Index) -> None:
        self._backend = backend
        self._keyring = keyring
        self._index = index

    async def get(self, kind: Kind, address: bytes, label: str = "") -> bytes:
        """One content.

        Raises:
            RepositoryDamaged: missing or altered; ``label`` says of what, else its address does.
        """
        return (await self.get_many(kind, [address], [label]))[0]

    async def get_many(
        self, kind: Kind, addresses: Sequence[bytes], labels: Sequence[str] = (), *, settled: bool = False
    ) -> list[bytes]:
        """Many contents, in the order of the addresses.

        Raises:
            RepositoryDamaged: one of them is missing or altered.
        """
        names = [
            f"{labels[i]} (object {address.hex()[:12]}…)" if labels and labels[i] else f"object {address.hex()}"
            for i, address in enumerate(addresses)
        ]
        wanted: dict[int, list[tuple[int, Place]]] = {}
        for i, address in enumerate(addresses):
            place = await self._index.find(address, names[i])
            wanted.setdefault(place.pack, []).append((i, place))
        found: list[bytes] = [b""] * len(addresses)
        slots = asyncio.Semaphore(AT_ONCE)

        async def read(number: int, group: list[tuple[int, Place]]) -> None:
            head = self._index.packs[number]
            for start, end, members in _spans(group):
                async with slots:
                    try:
                        part = await self._backend.get_range(head.name, start, end - start)
                    except Missing:
                        raise damaged(names[members[0][0]], f"its pack {head.name} is missing") from None
                    await asyncio.to_thread(self._open, kind, head, part, start, members, addresses, names, found)

        tasks = [asyncio.create_task(read(number, group)) for number, group in wanted.items()]
        try:
            await asyncio.gather(*tasks)
        except RepositoryDamaged:
            again = [a for a in addresses if a in self._index.copies]
            if not again or settled:
                raise
            for address in again:
                await self.settle(address)
            return await self.get_many(kind, addresses, labels, settled=True)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    def _open(
        self,
        kind: Kind,
        head: PackHead,
        part: bytes,
        start: int,
        members: Iterable[tuple[int, Place]],
        addresses: Sequence[bytes],
        names: Sequence[str],
        found: list[bytes],
    ) -> None:
        generation = self._keyring.generation(head.generation, head.name)
        for i, place in members:
            sealed = part[place.offset - start : place.offset - start + place.length]
            if len(sealed) != place.length:
                raise damaged(names[i], f"its pack {head.name} is cut")
            found[i] = generation.open_addressed(kind, addresses[i], sealed, f"{names[i]} in {head.name}")

    async def settle(self, address: bytes) -> None:
        """Of several copies of an object, makes one that can be read the one that counts."""
        places = [self._index.places[address], *self._index.copies.get(address, ())]
        for place in map(Place.unpacked, places):
            head = self._index.packs[place.pack]
            generation = self._keyring.generation(head.generation, head.name)
            for kind in (Kind.OBJECT, Kind.PAGE):
                try:
                    sealed = await self._backend.get_range(head.name, place.offset, place.length)
                    generation.open_addressed(kind, address, sealed, head.name)
                except (Missing, RepositoryDamaged):
                    continue
                self._index.places[address] = place.packed()
                return


def _spans(group: list[tuple[int, Place]]) -> list[tuple[int, int, list[tuple[int, Place]]]]:
    """Joins neighbours into one request when little lies between them."""
    spans: list[tuple[int, int, list[tuple[int, Place]]]] = []
    for member in sorted(group, key=lambda item: item[1].offset):
        place = member[1]
        if spans and place.offset - spans[-1][1] <= 64 * 1024:
            start, end, members = spans[-1]
            members.append(member)
            spans[-1] = (start, max(end, place.offset + place.length), members)
        else:
            spans.append((place.offset, place.offset + place.length, [member]))
    return spans


__all__ = ["Index", "Reader", "Writer"]
