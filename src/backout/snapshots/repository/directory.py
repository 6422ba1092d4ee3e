# SPDX-License-Identifier: Apache-2.0
"""A repository in a directory. Our own, not obstore's: files are 0600 and on the disk before their name is there."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from backout.effects import passing
from backout.errors import StorageError
from backout.snapshots.repository.backend import Exists, Missing, Stored

T = TypeVar("T")
TEMPORARY = "tmp"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class Directory:
    """Files below one folder."""

    shared = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    async def get(self, name: str, limit: int) -> bytes:
        return await self._do(name, lambda: self._read(name, 0, None, limit))

    async def get_range(self, name: str, start: int, length: int) -> bytes:
        return await self._do(name, lambda: self._read(name, start, length, None))

    async def put(self, name: str, content: bytes, *, create: bool = False) -> None:
        with passing("storage", f"put {name}"):
            await self._do(name, lambda: self._write(name, content, create))

    async def listing(self, prefix: str) -> list[Stored]:
        return await self._do(prefix or ".", lambda: list(self._walk(prefix)))

    async def delete(self, name: str) -> None:
        with passing("storage", f"delete {name}"):
            await self._do(name, lambda: self._remove(name))

    async def tidy(self) -> int:
        with passing("storage", f"tidy {TEMPORARY}"):
            return await self._do(TEMPORARY, self._sweep)

    async def close(self) -> None:
        return None

    async def _do(self, name: str, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError as error:
            raise Missing(name) from error
        except FileExistsError as error:
            raise Exists(name) from error
        except OSError as error:
            raise StorageError(
                "{name} in {where}: {reason}.",
                name=name,
                where=self.where,
                reason=error.strerror or type(error).__name__,
                hint=_hint(error),
            ) from error

    def _read(self, name: str, start: int, length: int | None, limit: int | None) -> bytes:
        descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            if limit is not None and state.st_size > limit:
                raise OSError(errno.EFBIG, "it is larger than any such file may be")
            wanted = state.st_size - start if length is None else length
            parts: list[bytes] = []
            file.seek(start)
            while wanted > 0 and (part := file.read(wanted)):
                parts.append(part)
                wanted -= len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    def _write(self, name: str, content: bytes, create: bool) -> None:
        target = self.folder / name
        temporary = self.folder / TEMPORARY / secrets.token_hex(12)
        self._folders(target.parent, temporary.parent)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                os.fsync(descriptor)
            if create:
                _link(temporary, target)
            else:
                temporary.replace(target)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def _folders(self, *folders: Path) -> None:
        for folder in (self.folder, *folders):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            except FileNotFoundError:
                # What is above is not ours: as the user's umask has it.
                folder.parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(folder.parent)

    def _walk(self, prefix: str) -> list[Stored]:
        found: list[Stored] = []
        waiting = [prefix]
        while waiting:
            below = waiting.pop()
            try:
                entries = os.scandir(self.folder / below)
            except FileNotFoundError:
                continue
            with entries:
                for entry in entries:
                    name = below + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if name != TEMPORARY:
                            waiting.append(f"{name}/")
                        continue
                    try:
                        state = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    found.append(Stored(name, state.st_size, state.st_mtime))
        return found

    def _remove(self, name: str) -> None:
        target = self.folder / name
        try:
            target.unlink()
        except FileNotFoundError:
            return
        _sync_folder(target.parent)

    def _sweep(self) -> int:
        folder = self.folder / TEMPORARY
        left = list(folder.iterdir()) if folder.is_dir() else []
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


def _link(temporary: Path, target: Path) -> None:
    """Gives the file its name unless that is taken."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: names are random or hashes, so looking first is as good as it gets.
        if target.exists():
            raise FileExistsError(errno.EEXIST, "it exists already") from error
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _hint(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room, or set snapshots.repository to another place; completed snapshots are not harmed"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "check who owns the directory, or set snapshots.repository to another place"
    return "set snapshots.repository to another place"
