# SPDX-License-Identifier: Apache-2.0
"""One pack: many encrypted objects and their table in one file (docs/snapshot-format.md, Encryption)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from backout.snapshots.repository.backend import Backend, Missing, Stored
from backout.snapshots.repository.crypto import Generation, Keyring
from backout.snapshots.repository.format import (
    HEADER,
    LENGTH,
    MAX_PACK,
    MAX_ROWS,
    NONCE,
    PACKS,
    PLAIN,
    ROW,
    TAG,
    Kind,
    damaged,
    header,
    read_header,
)

TAIL = 64 * 1024
"""Bytes that are read at the end of a pack in the hope that its table is in them; it is for 1,000 objects."""
OVERHEAD = NONCE + TAG + PLAIN.size
BLOBS = {Kind.OBJECT, Kind.PAGE}


class Row(NamedTuple):
    """One object of a pack; ``offset`` counts from the start of the file."""

    kind: Kind
    address: bytes
    offset: int
    length: int


class Pack(NamedTuple):
    """A pack whose table was read."""

    name: str
    size: int
    generation: bytes
    rows: tuple[Row, ...]


class Sealed(NamedTuple):
    """A finished pack that is not yet stored."""

    name: str
    content: bytes
    pack: Pack


def build(generation: Generation, contents: Iterable[tuple[Kind, bytes, bytes]]) -> Sealed:
    """Seals contents (kind, address, content) into a pack. Takes processor time: call it in a thread."""
    return assemble(generation, ((kind, address, generation.seal(kind, address, c)) for kind, address, c in contents))


def assemble(generation: Generation, sealed: Iterable[tuple[Kind, bytes, bytes]]) -> Sealed:
    """Makes a pack of objects that are sealed already, by the same generation."""
    parts = [header(Kind.TABLE, generation.id)]
    offset = HEADER.size
    rows: list[Row] = []
    for kind, address, blob in sealed:
        parts.append(blob)
        rows.append(Row(kind, address, offset, len(blob)))
        offset += len(blob)
    table = generation.seal(Kind.TABLE, b"table", b"".join(ROW.pack(row.kind, row.address, row.length) for row in rows))
    content = b"".join((*parts, table, LENGTH.pack(len(table))))
    name = PACKS + hashlib.sha256(content).hexdigest()
    return Sealed(name, content, Pack(name, len(content), generation.id, tuple(rows)))


async def read_table(backend: Backend, keyring: Keyring, stored: Stored) -> Pack:
    """Reads the table of a pack, with one request where it is short.

    Raises:
        RepositoryDamaged: cut, altered, or gone.
    """
    name, size = stored.name, stored.size
    if not HEADER.size + OVERHEAD + LENGTH.size <= size <= MAX_PACK:
        raise damaged(name, "its size is not that of a pack; it may be cut")
    try:
        start = max(0, size - TAIL)
        tail = await backend.get_range(name, start, size - start)
        if len(tail) != size - start:
            raise damaged(name, "it is shorter than the storage says")
        (length,) = LENGTH.unpack(tail[-LENGTH.size :])
        if not OVERHEAD <= length <= size - LENGTH.size - HEADER.size:
            raise damaged(name, "its end is not that of a pack; it may be cut")
        if length + LENGTH.size > len(tail):
            tail = await backend.get_range(name, size - length - LENGTH.size, length + LENGTH.size)
        head = tail[: HEADER.size] if start == 0 and len(tail) == size else None
        if head is None:
            head = await backend.get_range(name, 0, HEADER.size)
    except Missing:
        raise damaged(name, "it is missing") from None
    generation = keyring.generation(read_header(head, Kind.TABLE, name), name)
    table = generation.open(Kind.TABLE, b"table", tail[-length - LENGTH.size : -LENGTH.size], name)
    rows = tuple(_rows(table, name))
    end = rows[-1].offset + rows[-1].length if rows else HEADER.size
    if end != size - length - LENGTH.size:
        raise damaged(name, "its table does not fit its size")
    return Pack(name, size, generation.id, rows)


def _rows(table: bytes, name: str) -> Iterator[Row]:
    if len(table) % ROW.size or len(table) > MAX_ROWS * ROW.size:
        raise damaged(name, "its table has not the size of a table")
    offset = HEADER.size
    for kind, address, length in ROW.iter_unpack(table):
        if kind not in BLOBS or length < OVERHEAD:
            raise damaged(name, "its table holds what no table may hold")
        yield Row(Kind(kind), address, offset, length)
        offset += length
