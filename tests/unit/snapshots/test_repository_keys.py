# SPDX-License-Identifier: Apache-2.0
"""Keys: wrong, missing, leaked, rotated; and what a machine remembers."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pyrage
import pytest
from repository_world import MINE, THEIRS, again, held, new, recipient, some, take

from backout.errors import (
    ConfigError,
    KeyMissing,
    RefusedError,
    RepositoryChanged,
    RepositoryDamaged,
    RepositoryNotFound,
    UsageError,
    WrongKey,
)
from backout.model.settings import SnapshotSettings
from backout.snapshots.repository import Repository
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.keys import parse_recipient, read_identities
from backout.snapshots.repository.opening import open_repository
from backout.snapshots.repository.verify import Subset, verify


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_wrong_key_is_told_from_a_damaged_file(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        with pytest.raises(WrongKey, match="does not open the snapshots"):
            await again(repository, THEIRS)
        keys = tmp_path / "r" / "keys" / "00000001"
        keys.write_bytes(keys.read_bytes()[:-1] + b"x")
        with pytest.raises(RepositoryDamaged, match="keys/00000001"):
            await again(repository)

    asyncio.run(main())


def test_a_second_recipient_opens_old_and_new() -> None:
    async def main() -> None:
        repository = await new()
        old = await take(repository, some(3), 0)
        await repository.add_recipient(str(THEIRS.to_public()), "the team")
        fresh = await take(repository, some(4), 1)
        theirs = await again(repository, THEIRS)
        assert await held(theirs, old) == some(3)
        assert await held(theirs, fresh) == some(4)
        assert [item.name for item in theirs.recipients] == ["", "the team"]
        with pytest.raises(UsageError, match="already"):
            await repository.add_recipient(str(THEIRS.to_public()))

    asyncio.run(main())


def test_a_removed_recipient_reads_nothing_that_is_new_even_with_the_old_keys(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "r"
        repository = await new(folder, MINE, THEIRS)
        old = await take(repository, some(3), 0)
        kept = (folder / "keys" / "00000001").read_bytes()
        removed = await repository.remove_recipient(str(THEIRS.to_public()))
        assert removed.recipient == str(THEIRS.to_public())
        fresh = await take(repository, some(4), 1)
        with pytest.raises(WrongKey):
            await again(repository, THEIRS)
        mine = await again(repository)
        assert await held(mine, old) == some(3)
        assert await held(mine, fresh) == some(4)
        assert (await verify(mine, Subset())).problems == ()
        # With a copy of the keys of that time, the old is readable, as the threat model says; the new is not.
        spy = Path(shutil.copytree(folder, tmp_path / "copy"))
        shutil.rmtree(spy / "keys")
        (spy / "keys").mkdir()
        (spy / "keys" / "00000001").write_bytes(kept)
        theirs = await Repository.open(Directory(spy), [THEIRS])
        assert [s.id for s in await theirs.snapshots()] == [old.id]
        assert "a key that this repository does not have" in str(theirs.unreadable[fresh.id])

    asyncio.run(main())


def test_the_last_recipient_and_ones_own_key_stay() -> None:
    async def main() -> None:
        repository = await new()
        with pytest.raises(RefusedError, match="last recipient"):
            await repository.remove_recipient(str(MINE.to_public()))
        await repository.add_recipient(str(THEIRS.to_public()))
        with pytest.raises(RefusedError, match="your own key would not open"):
            await repository.remove_recipient(str(MINE.to_public()))
        with pytest.raises(UsageError, match="not one recipient"):
            await repository.remove_recipient("nobody")
        assert len((await again(repository)).recipients) == 2

    asyncio.run(main())


def test_rotation_reads_the_old_and_writes_with_the_new() -> None:
    async def main() -> None:
        repository = await new()
        old = await take(repository, some(5), 0)
        await repository.rotate()
        async with repository.writer() as writer:
            address = await writer.put(some(5)["cm-1"])
        assert address not in {entry.address async for entry in repository.entries(old)}
        fresh = await take(repository, some(5), 1)
        assert not set(fresh.pages) & set(old.pages)
        opened = await again(repository)
        assert len(opened.keyring.generations) == 2
        assert await held(opened, old) == await held(opened, fresh) == some(5)
        names = [item.name for item in await repository.backend.listing("keys/")]
        assert names == ["keys/00000002"]

    asyncio.run(main())


def test_replacing_ones_identity() -> None:
    async def main() -> None:
        repository = await new()
        snapshot = await take(repository, some(2))
        next_ = pyrage.x25519.Identity.generate()
        both = await Repository.open(repository.backend, [next_, MINE])
        await both.replace_recipients([str(MINE.to_public())], str(next_.to_public()))
        assert await held(await again(repository, next_), snapshot) == some(2)
        with pytest.raises(WrongKey):
            await again(repository, MINE)

    asyncio.run(main())


def test_the_first_use_makes_key_and_repository(tmp_path: Path, data: Path) -> None:
    async def main() -> None:
        with pytest.raises(RepositoryNotFound):
            await open_repository(SnapshotSettings())
        assert not (data / "identity.age").exists()
        settings = SnapshotSettings(recipients=(str(THEIRS.to_public()),))
        found = await open_repository(settings, create=True)
        assert (found.key_made, found.created, found.first_seen) == (True, True, True)
        assert (data / "identity.age").stat().st_mode & 0o777 == 0o600
        snapshot = await take(found.repository, some(2))
        theirs = await Repository.open(found.repository.backend, [THEIRS])
        assert await held(theirs, snapshot) == some(2)
        second = await open_repository(settings, create=True)
        assert (second.key_made, second.created, second.first_seen) == (False, False, False)

    asyncio.run(main())


def test_without_its_key_nothing_is_written_or_read_and_none_is_made(data: Path) -> None:
    async def main() -> None:
        await open_repository(SnapshotSettings(), create=True)
        (data / "identity.age").rename(data / "elsewhere")
        for create in (True, False):
            with pytest.raises(KeyMissing, match=r"identity\.age, is missing"):
                await open_repository(SnapshotSettings(), create=create)
        assert not (data / "identity.age").exists()

    asyncio.run(main())


def test_a_key_that_is_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match=r"snapshots\.identity names"):
        asyncio.run(open_repository(SnapshotSettings(identity=str(tmp_path / "mine.age")), create=True))
    assert not (tmp_path / "mine.age").exists()


def test_a_key_that_others_may_read_is_refused(data: Path) -> None:
    asyncio.run(open_repository(SnapshotSettings(), create=True))
    (data / "identity.age").chmod(0o640)
    with pytest.raises(RefusedError, match="may be read by others"):
        asyncio.run(open_repository(SnapshotSettings()))


@pytest.mark.parametrize("content", ["", "AGE-SECRET-KEY-1NONSENSE", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"])
def test_a_file_that_is_no_key(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an age identity") as error:
        read_identities(path)
    assert "NONSENSE" not in str(error.value)


@pytest.mark.parametrize("text", ["", "bob", "age1nonsense", "ssh-ed25519 AAAA", str(MINE)], ids=range(5))
def test_what_is_no_recipient(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_recipient(text)
    assert str(MINE) not in str(error.value) + error.value.expected + json.dumps(error.value.arguments)


def test_another_repository_in_the_same_place_is_refused(tmp_path: Path) -> None:
    settings = SnapshotSettings(repository=str(tmp_path / "r"))

    async def main() -> None:
        found = await open_repository(settings, create=True)
        (tmp_path / "r").rename(tmp_path / "old")
        with pytest.raises(RepositoryChanged, match="is gone"):
            await open_repository(settings, create=True)
        # An attacker knows the recipient and can write: he makes a repository that this key opens.
        public = [item.recipient for item in found.repository.recipients]
        await Repository.create(Directory(tmp_path / "r"), [MINE], [recipient(MINE), *found.repository.recipients])
        assert public
        with pytest.raises(RepositoryChanged, match="another repository than before"):
            await open_repository(settings)

    asyncio.run(main())


def test_older_keys_are_not_accepted_again(tmp_path: Path) -> None:
    settings = SnapshotSettings(repository=str(tmp_path / "r"))

    async def main() -> None:
        found = await open_repository(settings, create=True)
        old = (tmp_path / "r" / "keys" / "00000001").read_bytes()
        await found.repository.rotate()
        await open_repository(settings)
        (tmp_path / "r" / "keys" / "00000002").unlink()
        (tmp_path / "r" / "keys" / "00000001").write_bytes(old)
        with pytest.raises(RepositoryChanged, match="not those that this machine has seen"):
            await open_repository(settings)

    asyncio.run(main())


def test_a_creation_that_died_is_begun_again(tmp_path: Path) -> None:
    settings = SnapshotSettings(repository=str(tmp_path / "r"))

    async def main() -> None:
        await new(tmp_path / "half")
        (tmp_path / "half" / "config").unlink()
        (tmp_path / "half").rename(tmp_path / "r")
        with pytest.raises(RepositoryNotFound):
            await open_repository(settings)
        found = await open_repository(settings, create=True)
        assert await held(found.repository, await take(found.repository, some(1))) == some(1)

    asyncio.run(main())


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(RefusedError, match="is not empty"):
        asyncio.run(open_repository(SnapshotSettings(repository=str(tmp_path / "r")), create=True))
