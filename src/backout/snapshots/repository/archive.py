# SPDX-License-Identifier: Apache-2.0
"""A repository in one tar file. Written here, and read by a reader that knows nothing but what is written here
(docs/snapshot-format.md, Archives): general tar readers follow links and paths that an attacker chose."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

from backout.errors import BadArchive, StorageError, TooLarge, UsageError
from backout.snapshots.repository.backend import Exists, Missing, Stored
from backout.snapshots.repository.format import MAX_CONFIG, MAX_CONTENT, MAX_KEYS, MAX_PACK, NAMES

BLOCK = 512
ORIGIN = "origin"
SUMS = "SHA256SUMS"
MAX_FILES = 200_000
MAX_SUMS = 32 * 1024 * 1024
_LIMITS = {"config": MAX_CONFIG, "keys": MAX_KEYS, "packs": MAX_PACK, "snapshots": MAX_CONTENT, ORIGIN: 4096}
_OCTAL = re.compile(rb"[0-7]{11}\0")
_TYPE = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a directory",
    b"6": "a pipe",
    b"x": "an extension header",
    b"g": "an extension header",
    b"L": "an extension header",
    b"K": "an extension header",
    b"S": "a sparse file",
}


class Place(NamedTuple):
    """Where a file's content is in the archive."""

    offset: int
    size: int
    digest: str


class Archive:
    """A backend in one file. Made with `create`, it takes new files only; opened with `open`, it is read only."""

    shared = False

    def __init__(self, path: Path, file: BinaryIO, *, draft: Path | None = None) -> None:
        self.path = path
        self.where = str(path)
        self._file = file
        self._draft = draft
        self._places: dict[str, Place] = {}
        self._end = 0

    # ---- writing

    @classmethod
    def create(cls, path: Path) -> Archive:
        """Begins an archive beside ``path``; it gets its name by `finish`.

        Raises:
            UsageError: something of that name is there already, or it can't be made.
        """
        if path.exists() or path.is_symlink():
            raise UsageError("{path} exists already.", path=str(path), hint="choose another name")
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(
                "{path} can't be written: {reason}.", path=str(path), reason=str(error.strerror)
            ) from error
        return cls(path, os.fdopen(descriptor, "w+b"), draft=draft)

    async def put(self, name: str, content: bytes, *, create: bool = False) -> None:
        if name in self._places:
            raise Exists(name)
        await asyncio.to_thread(self._append, name, content)

    def sums(self) -> str:
        """The lines of SHA256SUMS for what is in it so far."""
        return "".join(f"{place.digest}  {name}\n" for name, place in self._places.items())

    async def finish(self, origin: bytes) -> int:
        """Completes the archive and gives it its name; returns its size.

        Raises:
            StorageError: it can't be written.
        """
        await asyncio.to_thread(self._append, ORIGIN, origin)
        await asyncio.to_thread(self._append, SUMS, self.sums().encode())
        return await asyncio.to_thread(self._named)

    def _named(self) -> int:
        assert self._draft is not None
        try:
            self._file.seek(self._end)
            self._file.write(bytes(2 * BLOCK))
            self._file.flush()
            os.fsync(self._file.fileno())
            os.link(self._draft, self.path)
        except FileExistsError as error:
            raise UsageError("{path} exists already.", path=str(self.path), hint="choose another name") from error
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOTSUP) and not self.path.exists():
                self._draft.replace(self.path)
            else:
                raise self._failed(error) from error
        return self._end + 2 * BLOCK

    def _append(self, name: str, content: bytes) -> None:
        try:
            self._file.seek(self._end)
            self._file.write(_header(name, len(content)))
            offset = self._file.tell()
            self._file.write(content)
            self._file.write(bytes(-len(content) % BLOCK))
            self._end = self._file.tell()
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        self._places[name] = Place(offset, len(content), hashlib.sha256(content).hexdigest())

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(
            "The archive {path} can't be written: {reason}.",
            path=str(self.path),
            reason=error.strerror or type(error).__name__,
            hint="make room, or choose another place",
        )

    # ---- reading

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Reads a whole archive strictly: every name, header, size and digest is checked before anything is used.

        Raises:
            BadArchive: it holds anything that `create` would not have written, is cut, or damaged.
            TooLarge: it has more files, or larger ones, than any archive may have.
            UsageError: it can't be read.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise UsageError("{path} can't be read: {reason}.", path=str(path), reason=str(error.strerror)) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BadArchive("{path} is no archive: it is not a regular file.", path=str(path))
        file = os.fdopen(descriptor, "rb")
        archive = cls(path, file)
        try:
            archive._scan(os.fstat(descriptor).st_size)
        except BaseException:
            file.close()
            raise
        return archive

    @property
    def origin(self) -> bytes:
        """Where the archive says it comes from."""
        return self._content(ORIGIN)

    @property
    def proven(self) -> bytes:
        """What the origin's proof is over: the lines of SHA256SUMS but the origin's own."""
        return "".join(
            f"{place.digest}  {name}\n" for name, place in self._places.items() if name not in (ORIGIN, SUMS)
        ).encode()

    async def get(self, name: str, limit: int) -> bytes:
        place = self._place(name)
        if place.size > limit:
            raise self._bad("it holds a file that is larger than any such file may be", name)
        return await asyncio.to_thread(self._content, name)

    async def get_range(self, name: str, start: int, length: int) -> bytes:
        place = self._place(name)
        end = min(place.size, start + length)
        return await asyncio.to_thread(self._part, place.offset + start, max(0, end - start))

    async def listing(self, prefix: str) -> list[Stored]:
        return [
            Stored(name, place.size, 0.0)
            for name, place in self._places.items()
            if name.startswith(prefix) and name not in (ORIGIN, SUMS)
        ]

    async def delete(self, name: str) -> None:
        raise StorageError("Nothing can be removed from the archive {path}.", path=str(self.path))

    async def tidy(self) -> int:
        return 0

    async def close(self) -> None:
        self._file.close()
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)

    def _place(self, name: str) -> Place:
        if name not in self._places:
            raise Missing(name)
        return self._places[name]

    def _content(self, name: str) -> bytes:
        place = self._place(name)
        return self._part(place.offset, place.size)

    def _part(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset)

    def _scan(self, total: int) -> None:
        offset = 0
        while True:
            head = self._part(offset, BLOCK)
            if len(head) < BLOCK:
                raise self._bad("it is cut")
            if head == bytes(BLOCK):
                break
            if len(self._places) >= MAX_FILES:
                raise TooLarge("{path} holds more files than an archive may.", path=str(self.path), limit=MAX_FILES)
            if SUMS in self._places:
                raise self._bad("something follows SHA256SUMS")
            name, size = self._head(head)
            offset += BLOCK
            padded = size + -size % BLOCK
            if offset + padded > total:
                raise self._bad("it is cut", name)
            self._places[name] = Place(offset, size, self._digest(offset, size))
            if any(self._part(offset + size, padded - size)):
                raise self._bad("there is something where zeros belong", name)
            offset += padded
        if self._part(offset, 2 * BLOCK) != bytes(2 * BLOCK) or offset + 2 * BLOCK != total:
            raise self._bad("its end is not that of an archive")
        self._check_sums()

    def _head(self, head: bytes) -> tuple[str, int]:
        """Name and size of an entry; its header must be, byte by byte, the one that is written for them."""
        kind = head[156:157]
        raw = head[:100].rstrip(b"\0")
        label = raw.decode("ascii", "replace")[:100]
        if kind != b"0":
            raise self._bad(f"it holds {_TYPE.get(kind, 'an entry of an unknown kind')}", label)
        if not _OCTAL.fullmatch(head[124:136]):
            raise self._bad("a size is not readable", label)
        size = int(head[124:135], 8)
        name = raw.decode("ascii", "replace")
        if name != SUMS and name != ORIGIN and (not NAMES.fullmatch(name) or name.startswith("locks/")):
            raise self._bad("it holds a name that no archive has", label)
        if name in self._places:
            raise self._bad("it holds a name twice", label)
        limit = MAX_SUMS if name == SUMS else _LIMITS[name.partition("/")[0]]
        if size > limit:
            raise TooLarge(
                "{path} holds {name} of {size} bytes, which is larger than any such file may be.",
                path=str(self.path),
                name=name,
                size=size,
                limit=limit,
                expected="at most {limit} bytes",
            )
        if head != _header(name, size):
            raise self._bad("a header holds what no archive has", label)
        return name, size

    def _digest(self, offset: int, size: int) -> str:
        state = hashlib.sha256()
        while size > 0:
            part = self._part(offset, min(size, 1024 * 1024))
            if not part:
                raise self._bad("it is cut")
            state.update(part)
            offset, size = offset + len(part), size - len(part)
        return state.hexdigest()

    def _check_sums(self) -> None:
        if ORIGIN not in self._places or SUMS not in self._places:
            raise self._bad("it has no SHA256SUMS at its end, so it may be cut")
        own = self._places.pop(SUMS)
        expected = self.sums().encode()
        if self._part(own.offset, own.size) != expected:
            listed = dict(
                line.split("  ", 1)[::-1]
                for line in self._part(own.offset, own.size).decode("ascii", "replace").splitlines()
                if "  " in line
            )
            wrong = [name for name, place in self._places.items() if listed.get(name) != place.digest]
            raise self._bad("its content is not what was written", wrong[0] if wrong else SUMS)
        self._places[SUMS] = own

    def _bad(self, reason: str, name: str = "") -> BadArchive:
        clean = re.sub(r"[^ -~]", "?", name)
        if clean:
            return BadArchive(
                "{path} is no archive that can be imported: {name}: {reason}.",
                path=str(self.path),
                name=clean,
                reason=reason,
                hint="nothing was imported",
            )
        return BadArchive(
            "{path} is no archive that can be imported: {reason}.",
            path=str(self.path),
            reason=reason,
            hint="nothing was imported",
        )


def _header(name: str, size: int) -> bytes:
    """The one header that an entry of that name and size has (POSIX ustar)."""
    head = bytearray(BLOCK)
    head[0:100] = name.encode("ascii").ljust(100, b"\0")
    head[100:108] = b"0000600\0"
    head[108:116] = head[116:124] = b"0000000\0"
    head[124:136] = b"%011o\0" % size
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[156:157] = b"0"
    head[257:265] = b"ustar\x0000"
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)
