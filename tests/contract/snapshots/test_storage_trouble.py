# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, servers that answer 5xx or not at all: an error that says so, and a repository that is whole."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from s3_server import Server, proxy, s3_server

from backout.errors import ConfigError, StorageError, StorageUnreachable
from backout.model.scope import ClusterIdentity
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Entry, Snapshot, SnapshotDraft
from backout.model.target import ObjectRef
from backout.snapshots.repository import Repository
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.keys import Recipient
from backout.snapshots.repository.objectstore import s3
from backout.snapshots.repository.retry import Retrying
from backout.snapshots.repository.verify import Subset, verify

MINE = pyrage.x25519.Identity.generate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(autouse=True)
def credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)


def store(endpoint: str, bucket: str, attempts: int = 6, timeout: float = 20.0) -> Retrying:
    settings = SnapshotSettings(endpoint=endpoint, timeout=timeout)
    return Retrying(s3(f"s3://{bucket}/p", settings), attempts=attempts, first=0.01, longest=0.05)


async def create(backend: Retrying | Directory) -> Repository:
    public = Recipient(recipient=str(MINE.to_public()), added=datetime.now(UTC))
    return await Repository.create(backend, [MINE], [public])


async def take(repository: Repository, count: int, mark: str = "") -> Snapshot:
    async with repository.writer() as writer:
        for i in range(count):
            content = f"{i} {mark}".encode() * 20
            ref = ObjectRef("v1", "ConfigMap", f"n{i}", "n")
            await writer.add(Entry(ref=ref, address=await writer.put(content), size=len(content)))
        draft = SnapshotDraft(
            kind="manual", cluster="c", identity=ClusterIdentity("u", "c"), namespace="n", taken_at=datetime.now(UTC)
        )
        return await writer.save(draft)


async def whole(repository: Repository, count: int) -> None:
    fresh = await Repository.open(repository.backend, [MINE])
    assert len(await fresh.snapshots()) == count
    assert (await verify(fresh, Subset())).problems == ()


@pytest.mark.parametrize("what", ["503", "reset", "lost"])
def test_every_third_request_fails(server: Server, what: str) -> None:
    async def main() -> None:
        count = 0

        def trouble(line: str) -> str:
            nonlocal count
            count += 1
            return what if count % 3 == 0 else ""

        async with proxy(server.port, trouble) as endpoint:
            repository = await create(store(endpoint, server.bucket()))
            await take(repository, 2500)
            await take(repository, 2500, "again")
            await whole(repository, 2)
        assert count > 30

    asyncio.run(main())


@pytest.mark.parametrize(("what", "said"), [("503", "503 Slow"), ("reset", "no connection, or it was lost")])
def test_it_fails_for_good_in_the_middle(server: Server, what: str, said: str) -> None:
    async def main() -> None:
        bucket = server.bucket()
        repository = await create(store(server.endpoint, bucket))
        await take(repository, 1500)
        puts = 0

        def trouble(line: str) -> str:
            nonlocal puts
            puts += line.startswith("PUT") and "/packs/" in line
            return what if puts > 1 else ""

        async with proxy(server.port, trouble) as endpoint:
            failing = await Repository.open(store(endpoint, bucket, attempts=3), [MINE])
            with pytest.raises(StorageUnreachable) as error:
                await take(failing, 3500, "new")
        assert said in error.value.message
        assert "packs/" in error.value.message or "snapshots/" in error.value.message
        assert error.value.retryable
        for secret in (server.key, server.secret):
            assert secret not in error.value.message + str(error.value.__cause__)
        await whole(repository, 1)
        await take(await Repository.open(store(server.endpoint, bucket), [MINE]), 3500, "new")
        await whole(repository, 2)

    asyncio.run(main())


def test_a_server_that_never_answers(server: Server) -> None:
    async def main() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        dumb = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with dumb:
            endpoint = f"http://127.0.0.1:{dumb.sockets[0].getsockname()[1]}"
            with pytest.raises(StorageUnreachable, match="did not answer for config"):
                await Repository.open(store(endpoint, "bucket", attempts=2, timeout=0.3), [MINE])

    asyncio.run(main())


def test_refusals_are_told_apart(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with pytest.raises(StorageError, match="bucket of s3://no-such-bucket/p does not exist"):
            await create(store(server.endpoint, "no-such-bucket"))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        with pytest.raises(StorageError, match="does not allow access to config") as error:
            await Repository.open(store(server.endpoint, server.bucket()), [MINE])
        assert "wrong-secret" not in error.value.message
        assert not error.value.retryable

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("s3://Bucket_/x", ""),
        ("s3://", ""),
        ("s3://b?x=1", ""),
        ("s3://user:hunter2@bucket/x", ""),
        ("s3://bucket/x", "not an url"),
        ("s3://bucket/x", "http://127.0.0.1:0"),
        ("s3://bucket/x", "http://h:99999"),
        ("s3://bucket/x", "https://user:hunter2@host"),
        ("s3://bucket/x", "file:///etc"),
    ],
)
def test_places_that_are_none(url: str, endpoint: str) -> None:
    with pytest.raises(ConfigError) as error:
        s3(url, SnapshotSettings(endpoint=endpoint))
    assert "hunter2" not in str(error.value)


def test_the_shared_credentials_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "credentials"
    path.write_text(f"[team]\naws_access_key_id = {server.key}\naws_secret_access_key = {server.secret}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "team")

    async def main() -> None:
        repository = await create(store(server.endpoint, server.bucket()))
        await take(repository, 3)
        await whole(repository, 1)

    asyncio.run(main())


FULL = """
import asyncio, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import pyrage, test_storage_trouble as t
t.MINE = pyrage.x25519.Identity.from_str(Path(sys.argv[1], "key").read_text())
async def main():
    repository = await t.Repository.open(t.Directory(Path(sys.argv[1], "r")), [t.MINE])
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    try:
        await t.take(repository, 3000, "new")
    except t.StorageError as error:
        print(error.message, "|", error.hint)
        sys.exit(5)
asyncio.run(main())
"""


@pytest.mark.parametrize("limit", [1, 100, 5000, 30_000])
def test_a_disk_that_is_full(tmp_path: Path, limit: int) -> None:
    """The limit on the size of files stands for the end of the disk: the kernel cuts the write and then refuses."""

    async def main() -> None:
        repository = await create(Directory(tmp_path / "r"))
        await take(repository, 100)
        (tmp_path / "key").write_text(str(MINE))
        arguments = ("-c", FULL, str(tmp_path), str(Path(__file__).parent), str(limit))
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        said = (await child.communicate())[0].decode()
        assert child.returncode == 5, said
        assert "File too large" in said
        assert "completed snapshots are not harmed" in said
        assert list((tmp_path / "r" / "tmp").iterdir()) == []
        await whole(repository, 1)
        await take(await Repository.open(repository.backend, [MINE]), 3000, "new")
        await whole(repository, 2)

    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    asyncio.run(main())


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="Not a directory"):
        asyncio.run(create(Directory(tmp_path / "file" / "r")))
