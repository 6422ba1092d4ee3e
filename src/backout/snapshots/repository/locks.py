# SPDX-License-Identifier: Apache-2.0
"""Locks are files of the repository: who, where, since when, at what (docs/snapshot-format.md, Locks)."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import os
import platform
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from backout.errors import BackoutError, LockLost, RepositoryDamaged, RepositoryLocked
from backout.model.decoding import UNREADABLE
from backout.snapshots.repository.backend import Backend, Missing, Stored
from backout.snapshots.repository.crypto import Keyring
from backout.snapshots.repository.format import HEADER, LOCKS, MAX_LOCK, Kind, header, read_header

REFRESH = 5 * 60.0
LOST = 20 * 60.0
STALE = 30 * 60.0
"""Seconds. A process gives up long before others take its lock for abandoned."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock."""

    operation: str
    exclusive: bool
    host: str
    user: str
    pid: int
    place: str
    since: datetime


class Lock:
    """A lock that is held. Every write that relies on it asks `check` first."""

    def __init__(self, backend: Backend, name: str, content: bytes, *, refresh: float = REFRESH, lost: float = LOST):
        self._backend = backend
        self.name = name
        self._content = content
        self._refresh = refresh
        self._lost = lost
        self._last = time.monotonic()
        self.gone = False

    async def keep(self) -> None:
        """Refreshes it for ever; a failure is tried again until the lock counts as lost."""
        while not self.gone:
            await asyncio.sleep(self._refresh)
            try:
                await self.confirm()
                await self._backend.put(self.name, self._content)
                self._last = time.monotonic()
            except LockLost:
                return
            except BackoutError:
                continue

    def check(self) -> None:
        """Costs nothing.

        Raises:
            LockLost: the lock is gone, or its last refresh was too long ago.
        """
        if self.gone or time.monotonic() - self._last > self._lost:
            self.gone = True
            raise _lost(self._backend.where)

    async def confirm(self) -> None:
        """Looks whether the lock is still there.

        Raises:
            LockLost: it is not.
        """
        if not self._backend.shared:
            return
        self.check()
        try:
            found = await self._backend.get(self.name, MAX_LOCK)
        except Missing:
            found = b""
        if found != self._content:
            self.gone = True
            raise _lost(self._backend.where)


def _lost(where: str) -> LockLost:
    return LockLost(
        "The lock on {where} was lost: it was removed, or the storage could not be reached for too long.",
        where=where,
        hint="run it again; what was completed before is not harmed",
    )


@asynccontextmanager
async def locked(
    backend: Backend, keyring: Keyring, operation: str, *, exclusive: bool, refresh: float = REFRESH
) -> AsyncIterator[Lock]:
    """Holds a lock for as long as the block runs.

    Raises:
        RepositoryLocked: another lock excludes this one.
    """
    id_ = secrets.token_hex(16)
    name = LOCKS + id_
    content = _sealed(keyring, id_, operation, exclusive)
    lock = Lock(backend, name, content, refresh=refresh)
    if not backend.shared:
        yield lock
        return
    await backend.put(name, content, create=True)
    keeper = None
    try:
        await _alone(backend, keyring, name, exclusive)
        keeper = asyncio.create_task(lock.keep())
        yield lock
    finally:
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        try:
            await asyncio.shield(backend.delete(name))
        except BackoutError:
            # It goes stale by itself; the error that led here is worth more.
            lock.gone = True


async def holders(backend: Backend, keyring: Keyring) -> list[Holder | None]:
    """Who holds the repository now, stale locks left out; None for a lock that can't be read."""
    listed = await backend.listing(LOCKS)
    now = max((lock.modified for lock in listed), default=0.0)
    return [holder for lock in listed if not _stale(holder := await _holder(backend, keyring, lock), lock, now)]


async def _alone(backend: Backend, keyring: Keyring, mine: str, exclusive: bool) -> None:
    listed = await backend.listing(LOCKS)
    # My own lock was written a moment ago: its time is the storage's "now", whatever clocks say here.
    now = max((lock.modified for lock in listed if lock.name == mine), default=time.time())
    for other in listed:
        if other.name == mine:
            continue
        try:
            holder = await _holder(backend, keyring, other)
        except Missing:
            continue
        if _stale(holder, other, now):
            await backend.delete(other.name)
            continue
        if exclusive or holder is None or holder.exclusive:
            raise _taken(backend.where, other, holder)


async def _holder(backend: Backend, keyring: Keyring, lock: Stored) -> Holder | None:
    content = await backend.get(lock.name, MAX_LOCK)
    id_ = lock.name.removeprefix(LOCKS)
    try:
        generation = keyring.generation(read_header(content, Kind.LOCK, lock.name), lock.name)
        plain = generation.open(Kind.LOCK, bytes.fromhex(id_), content[HEADER.size :], lock.name)
        return msgspec.json.decode(plain, type=Holder)
    except (RepositoryDamaged, ValueError, *UNREADABLE):
        return None


def _stale(holder: Holder | None, lock: Stored, now: float) -> bool:
    if now - lock.modified > STALE:
        return True
    if holder is None or holder.place != _place():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _taken(where: str, lock: Stored, holder: Holder | None) -> RepositoryLocked:
    if holder is None:
        return RepositoryLocked(
            "{where} is locked by {name}, which this key can't read.",
            where=where,
            name=lock.name,
            hint="wait; a lock that is not refreshed is ignored after 30 minutes",
        )
    return RepositoryLocked(
        "{where} is in use: {operation} by {user} on {host} (process {pid}) since {since}.",
        where=where,
        operation=holder.operation,
        user=holder.user,
        host=holder.host,
        pid=holder.pid,
        since=holder.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        hint="wait until it is done; a lock that is not refreshed is ignored after 30 minutes",
    )


def _sealed(keyring: Keyring, id_: str, operation: str, exclusive: bool) -> bytes:
    holder = Holder(
        operation=operation,
        exclusive=exclusive,
        host=platform.node(),
        user=_user(),
        pid=os.getpid(),
        place=_place(),
        since=datetime.now(UTC),
    )
    generation = keyring.current
    sealed = generation.seal(Kind.LOCK, bytes.fromhex(id_), msgspec.json.encode(holder))
    return header(Kind.LOCK, generation.id) + sealed


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _place() -> str:
    """Where process ids mean the same: this boot of this machine, and this process namespace; empty when unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return f"unknown-{secrets.token_hex(8)}"
    return hashlib.sha256(f"{boot} {namespace} {platform.node()}".encode()).hexdigest()[:32]
