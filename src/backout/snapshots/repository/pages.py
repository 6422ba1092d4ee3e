# SPDX-License-Identifier: Apache-2.0
"""Pages of entries, and how a snapshot says only what is different from an earlier one (docs/snapshot-format.md).

Addresses are random bytes to a compressor: 10,000 of them are a large part of what a snapshot of small objects weighs.
So a snapshot that differs little from the one before takes that one's pages, and adds what does not hold and what does.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator

import msgspec

from backout.model.decoding import UNREADABLE
from backout.model.snapshot import Entry
from backout.snapshots.repository.crypto import deflate, inflate
from backout.snapshots.repository.format import MAX_PAGE, PAGE_ENTRIES, damaged

DIGEST = 16


class Page(msgspec.Struct, frozen=True, omit_defaults=True):
    """``entries`` that hold, and digests of entries on other pages that do not."""

    entries: tuple[Entry, ...] = ()
    without: tuple[bytes, ...] = ()


_DECODER = msgspec.msgpack.Decoder(Page)
_ENCODER = msgspec.msgpack.Encoder()


def entry_digest(entry: Entry) -> bytes:
    """Tells entries apart."""
    return hashlib.sha256(_ENCODER.encode(entry)).digest()[:DIGEST]


def encode_page(page: Page) -> bytes:
    """A page as it is stored."""
    return _ENCODER.encode(page)


def decode_page(content: bytes, label: str) -> Page:
    """Reads a page.

    Raises:
        RepositoryDamaged: it is none.
    """
    if len(content) > MAX_PAGE:
        raise damaged(label, "it is larger than any page may be")
    try:
        return _DECODER.decode(content)
    except UNREADABLE:
        raise damaged(label, "it holds no entries") from None


class Spool:
    """The entries of a snapshot that is being taken, in little memory: about 60 bytes each."""

    def __init__(self) -> None:
        self._open: list[Entry] = []
        self._closed: list[tuple[int, bytes]] = []
        self.objects = 0
        self.size = 0

    def add(self, entry: Entry) -> None:
        """Takes an entry up."""
        self._open.append(entry)
        self.objects += 1
        self.size += entry.size
        if len(self._open) >= PAGE_ENTRIES:
            self._close()

    def pages(self) -> Iterator[bytes]:
        """All entries, as encoded pages."""
        if self._open:
            self._close()
        for size, packed in self._closed:
            yield inflate(packed, size, "page")

    async def compared(self, earlier: AsyncIterator[Entry], limit: int) -> list[Page] | None:
        """What is different from earlier entries, as pages; None when that is more than ``limit`` entries."""
        here = {entry_digest(entry) for entry in self._entries()}
        without: list[bytes] = []
        async for entry in earlier:
            digest = entry_digest(entry)
            if digest in here:
                here.remove(digest)
            else:
                without.append(digest)
                if len(without) > limit:
                    return None
        if len(without) + len(here) > limit:
            return None
        new = [entry for entry in self._entries() if entry_digest(entry) in here]
        return [
            Page(tuple(new[start : start + PAGE_ENTRIES]), tuple(without[start : start + PAGE_ENTRIES]))
            for start in range(0, max(len(new), len(without)), PAGE_ENTRIES)
        ]

    def _entries(self) -> Iterator[Entry]:
        for page in self.pages():
            yield from _DECODER.decode(page).entries

    def _close(self) -> None:
        content = encode_page(Page(tuple(self._open)))
        self._closed.append((len(content), deflate(content)))
        self._open = []
