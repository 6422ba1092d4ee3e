# SPDX-License-Identifier: Apache-2.0
"""What the tests of the repository share: identities, repositories with something in them, a backend that fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Entry, Snapshot, SnapshotDraft
from backout.model.target import ObjectRef
from backout.snapshots.repository import Repository
from backout.snapshots.repository.backend import Backend, Stored
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.keys import Recipient
from backout.snapshots.repository.objectstore import memory

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
CLUSTER = ClusterIdentity("uid-1", "ca-1")
MINE = pyrage.x25519.Identity.generate()
THEIRS = pyrage.x25519.Identity.generate()
SECRET = b"canary-7d1f4e-password"


def recipient(identity: Any, name: str = "") -> Recipient:
    return Recipient(recipient=str(identity.to_public()), name=name, added=NOON)


async def new(backend: Backend | Path | None = None, *identities: Any) -> Repository:
    """An empty repository, in memory unless a place is given."""
    place = memory() if backend is None else Directory(backend) if isinstance(backend, Path) else backend
    return await Repository.create(place, [MINE], [recipient(i) for i in identities or (MINE,)])


async def again(repository: Repository, identity: Any = MINE) -> Repository:
    """The same repository, opened anew: nothing is remembered."""
    return await Repository.open(repository.backend, [identity])


def draft(number: int = 0, **fields: Any) -> SnapshotDraft:
    defaults: dict[str, Any] = {
        "kind": "manual",
        "cluster": "cluster-01",
        "identity": CLUSTER,
        "namespace": "monitoring",
        "taken_at": NOON + timedelta(hours=number),
        "healthy": True,
    }
    return SnapshotDraft(**defaults | fields)


def entry(name: str, address: str, content: bytes, kind: str = "ConfigMap") -> Entry:
    return Entry(ref=ObjectRef("v1", kind, name, "monitoring"), address=address, size=len(content))


async def take(repository: Repository, contents: Mapping[str, bytes], number: int = 0, **fields: Any) -> Snapshot:
    """Takes a snapshot of some objects."""
    async with repository.writer() as writer:
        for name, content in contents.items():
            await writer.add(entry(name, await writer.put(content), content))
        return await writer.save(draft(number, **fields))


async def held(repository: Repository, snapshot: Snapshot) -> dict[str, bytes]:
    """What a snapshot holds."""
    return {entry.ref.name: content async for entry, content in repository.contents(snapshot)}


def some(count: int = 20, mark: str = "") -> dict[str, bytes]:
    """Contents that differ, one of them secret."""
    made = {f"cm-{i}": f"{i} {mark} {hashlib.sha256(str(i).encode()).hexdigest() * 4}".encode() for i in range(count)}
    return made | {"password": SECRET}


Fault = Callable[[str, str], Exception | None]


class Faulty:
    """A backend that fails when ``fault(verb, name)`` gives an error; ``after`` is asked when the work is done."""

    def __init__(self, backend: Backend, fault: Fault, after: Fault = lambda verb, name: None) -> None:
        self.backend = backend
        self.fault = fault
        self.after = after
        self.where = backend.where
        self.shared = backend.shared

    async def _do(self, verb: str, name: str, work: Any) -> Any:
        if (error := self.fault(verb, name)) is not None:
            work.close()
            raise error
        found = await work
        if (error := self.after(verb, name)) is not None:
            raise error
        return found

    async def get(self, name: str, limit: int) -> bytes:
        return await self._do("get", name, self.backend.get(name, limit))

    async def get_range(self, name: str, start: int, length: int) -> bytes:
        return await self._do("get", name, self.backend.get_range(name, start, length))

    async def put(self, name: str, content: bytes, *, create: bool = False) -> None:
        await self._do("put", name, self.backend.put(name, content, create=create))

    async def listing(self, prefix: str) -> list[Stored]:
        return await self._do("list", prefix, self.backend.listing(prefix))

    async def delete(self, name: str) -> None:
        await self._do("delete", name, self.backend.delete(name))

    async def tidy(self) -> int:
        return await self.backend.tidy()

    async def close(self) -> None:
        await self.backend.close()
