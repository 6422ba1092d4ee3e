# SPDX-License-Identifier: Apache-2.0
"""The port to where files are kept. Few verbs, so that a plain directory and any S3 can do them all.

Failures are `Missing` and `Exists`, which callers expect, and `StorageError` (trying again is of no use) or
`StorageUnreachable` (it may be), which they pass on.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Missing(Exception):
    """There is no file of that name."""


class Exists(Exception):
    """A file of that name is there already."""


class Stored(NamedTuple):
    """One file of a listing; ``modified`` is in seconds since 1970 by the clock of the storage."""

    name: str
    size: int
    modified: float


class Backend(Protocol):
    """Where a repository is kept. Names are those of docs/snapshot-format.md."""

    where: str
    """The place, for people."""
    shared: bool
    """False where no other process can come in between, so that locks are of no use."""

    async def get(self, name: str, limit: int) -> bytes:
        """The whole file.

        Raises:
            Missing: there is none.
            StorageError: it is longer than ``limit``, or can't be read.
        """

    async def get_range(self, name: str, start: int, length: int) -> bytes:
        """A part of the file; shorter where the file ends before.

        Raises:
            Missing: there is none.
            StorageError: it can't be read.
        """

    async def put(self, name: str, content: bytes, *, create: bool = False) -> None:
        """Writes the file, whole or not at all, and durable when this returns.

        Raises:
            Exists: ``create`` was asked for and it is there. (Some S3 servers overwrite all the same.)
            StorageError: it can't be written.
        """

    async def listing(self, prefix: str) -> list[Stored]:
        """All files below a prefix that ends with ``/``, or all for an empty one, in no order.

        Raises:
            StorageError: they can't be listed.
        """

    async def delete(self, name: str) -> None:
        """Removes the file; nothing happens when there is none.

        Raises:
            StorageError: it can't be removed.
        """

    async def tidy(self) -> int:
        """Removes what interrupted writes left behind; gives the number of files. Only under an exclusive lock."""

    async def close(self) -> None:
        """Lets go of connections."""
