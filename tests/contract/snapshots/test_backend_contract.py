# SPDX-License-Identifier: Apache-2.0
"""What every place for snapshots must do: memory, a directory, S3."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from s3_server import Server, s3_server

from backout.errors import StorageError
from backout.model.scope import ClusterIdentity
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Entry, SnapshotDraft
from backout.model.target import ObjectRef
from backout.snapshots.repository import Repository
from backout.snapshots.repository.backend import Backend, Exists, Missing
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.keys import Recipient
from backout.snapshots.repository.objectstore import memory, s3
from backout.snapshots.repository.prune import prune
from backout.snapshots.repository.retention import Policy
from backout.snapshots.repository.retry import Retrying
from backout.snapshots.repository.verify import Subset, verify

PACK = "packs/" + "a" * 64
LOCK = "locks/" + "b" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(params=["memory", "directory", "s3", "s3-retrying"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    if request.param == "memory":
        return memory()
    if request.param == "directory":
        return Directory(tmp_path / "deep" / "r")
    server: Server = request.getfixturevalue("server")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
    found = s3(f"s3://{server.bucket()}/some/prefix", SnapshotSettings(endpoint=server.endpoint))
    return Retrying(found) if request.param == "s3-retrying" else found


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_what_is_put_is_there(backend: Backend) -> None:
    async def main() -> None:
        content = os.urandom(300_000)
        await backend.put(PACK, content)
        assert await backend.get(PACK, 300_000) == content
        assert await backend.get_range(PACK, 0, 10) == content[:10]
        assert await backend.get_range(PACK, 299_990, 10) == content[-10:]
        assert await backend.get_range(PACK, 299_990, 500) == content[-10:]
        assert await backend.get_range(PACK, 100, 100_000) == content[100:100_100]
        (stored,) = await backend.listing("packs/")
        assert (stored.name, stored.size) == (PACK, 300_000)

    run(main)


def test_a_file_can_be_written_anew_and_removed_twice(backend: Backend) -> None:
    async def main() -> None:
        await backend.put(LOCK, b"one")
        (before,) = await backend.listing("locks/")
        await backend.put(LOCK, b"three")
        (after,) = await backend.listing("locks/")
        assert await backend.get(LOCK, 100) == b"three"
        assert after.modified >= before.modified > 1_500_000_000
        await backend.delete(LOCK)
        await backend.delete(LOCK)
        assert await backend.listing("locks/") == []

    run(main)


def test_what_is_not_there(backend: Backend) -> None:
    async def main() -> None:
        with pytest.raises(Missing):
            await backend.get("config", 100)
        with pytest.raises(Missing):
            await backend.get_range(PACK, 0, 10)
        assert await backend.listing("") == []
        assert await backend.listing("packs/") == []

    run(main)


def test_listings(backend: Backend) -> None:
    async def main() -> None:
        names = ["config", "keys/00000001", PACK, LOCK, "snapshots/" + "c" * 32]
        for name in names:
            await backend.put(name, name.encode())
        assert sorted(item.name for item in await backend.listing("")) == sorted(names)
        assert [item.name for item in await backend.listing("keys/")] == ["keys/00000001"]

    run(main)


def test_many_files_are_listed(backend: Backend) -> None:
    async def main() -> None:
        names = {f"packs/{i:064x}" for i in range(1100)}
        patient = Retrying(backend)  # as a repository writes: a server under fire may say 500
        for start in range(0, 1100, 100):
            await asyncio.gather(*(patient.put(name, b"x") for name in sorted(names)[start : start + 100]))
        assert {item.name for item in await backend.listing("packs/")} == names

    run(main)


def test_a_file_that_is_too_large_is_not_read(backend: Backend) -> None:
    async def main() -> None:
        await backend.put("config", bytes(1000))
        with pytest.raises(StorageError, match="config"):
            await backend.get("config", 999)

    run(main)


def test_only_creation_keeps_what_is_there(backend: Backend) -> None:
    """Servers that know no conditional creation overwrite; nothing may depend on it, so both are right there."""

    async def main() -> None:
        await backend.put(LOCK, b"first", create=True)
        try:
            await backend.put(LOCK, b"second", create=True)
        except Exists:
            assert await backend.get(LOCK, 100) == b"first"
        else:
            assert "s3" in backend.where

    run(main)


def test_empty_files(backend: Backend) -> None:
    async def main() -> None:
        await backend.put("config", b"")
        assert await backend.get("config", 10) == b""

    run(main)


def test_a_whole_repository(backend: Backend) -> None:
    async def main() -> None:
        mine = pyrage.x25519.Identity.generate()
        now = datetime.now(UTC)
        one = await Repository.create(backend, [mine], [Recipient(recipient=str(mine.to_public()), added=now)])
        state = {f"n{i}": os.urandom(40) * 9 for i in range(1500)}
        for number in range(3):
            async with one.writer() as writer:
                for name, content in state.items():
                    address = await writer.put(content)
                    ref = ObjectRef("v1", "Secret", name, "monitoring")
                    await writer.add(Entry(ref=ref, address=address, size=len(content)))
                draft = SnapshotDraft(
                    kind="manual", cluster="c", identity=ClusterIdentity("u", "c"), namespace="monitoring", taken_at=now
                )
                await writer.save(draft)
            state[f"n{number}"] = b"changed"
        fresh = await Repository.open(backend, [mine])
        assert len(await fresh.snapshots()) == 3
        assert (await verify(fresh, Subset())).problems == ()
        await fresh.rotate()
        await prune(fresh, Policy(last=1))
        last = await Repository.open(backend, [mine])
        (kept,) = await last.snapshots()
        found = {entry.ref.name: content async for entry, content in last.contents(kept)}
        assert len(found) == 1500
        report = await verify(last, Subset())
        assert (report.problems, report.unused, report.unknown_files) == ((), 0, ())

    run(main)
