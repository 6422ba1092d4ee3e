# SPDX-License-Identifier: Apache-2.0
"""Archives: what is exported comes back, and nothing else ever comes in."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository_world import MINE, THEIRS, again, draft, entry, held, new, recipient, some, take

from backout.errors import BackoutError, BadArchive, RefusedError, RepositoryDamaged, TooLarge, UsageError, WrongKey
from backout.model.snapshot import Pointers, ReleasePointer
from backout.snapshots.repository import Repository
from backout.snapshots.repository.archive import Archive, _header
from backout.snapshots.repository.transfer import export, import_
from backout.snapshots.repository.verify import Subset, verify


async def source(path: Path, **more: object) -> Repository:
    """A repository with two snapshots, and its archive."""
    repository = await new()
    async with repository.writer() as writer:
        record = await writer.put(b"the release record")
        for name, content in some(30).items():
            await writer.add(entry(name, await writer.put(content), content))
        release = ReleasePointer(name="thanos", namespace="monitoring", revision=3, address=record)
        await writer.save(draft(0, pointers=Pointers(releases=(release,)), tags=("v1",)))
    await take(repository, some(30) | {"cm-2": b"changed"}, 1)
    await export(repository, await repository.snapshots(), path, identities=[MINE], **more)  # type: ignore[arg-type]
    return repository


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"

    async def main() -> None:
        repository = await source(path)
        snapshots = await repository.snapshots()
        assert path.stat().st_mode & 0o777 == 0o600
        result = await import_(repository, path, identities=[MINE])
        assert (result.snapshots, set(result.present)) == ((), {s.id for s in snapshots})
        for one in snapshots:
            await repository.manifests.remove(one.id)
        await repository.rotate()
        back = await import_(repository, path, identities=[MINE])
        assert (back.foreign, len(back.snapshots)) == (False, 2)
        fresh = await again(repository)
        old = await fresh.load("v1")
        assert (old.id, old.imported_from) == (snapshots[1].id, "")
        assert await held(fresh, old) == some(30)
        assert await fresh.get(old.pointers.releases[0].address) == b"the release record"
        assert await held(fresh, (await fresh.snapshots())[0]) == some(30) | {"cm-2": b"changed"}
        assert (await verify(fresh, Subset())).problems == ()

    asyncio.run(main())


def test_it_is_plain_tar_that_holds_nothing_in_clear_and_no_key_of_the_repository(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    repository = asyncio.run(source(path))
    with tarfile.open(path) as tar:
        names = tar.getnames()
        sums = tar.extractfile("SHA256SUMS").read().decode()  # type: ignore[union-attr]
        content = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert sums.splitlines() == [f"{hashlib.sha256(content[n]).hexdigest()}  {n}" for n in names if n != "SHA256SUMS"]
    assert b"canary" not in path.read_bytes()
    assert b"monitoring" not in path.read_bytes()
    keys = json.loads(pyrage.decrypt(content["keys/00000001"], [MINE]))
    assert keys["repository"] != repository.id
    assert not {g["key"] for g in keys["generations"]} & {g.key for g in repository.keys.generations}


def test_further_recipients_open_it_and_strangers_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"

    async def main() -> None:
        await source(path, recipients=[str(THEIRS.to_public())])
        theirs = await Repository.create(
            (await new()).backend.__class__(_store(), "memory"), [THEIRS], [recipient(THEIRS)]
        )
        with pytest.raises(RefusedError, match="does not come from this repository"):
            await import_(theirs, path, identities=[THEIRS])
        result = await import_(theirs, path, identities=[THEIRS], foreign=True)
        assert result.foreign
        assert {s.imported_from for s in result.snapshots} == {result.source}
        assert await held(theirs, result.snapshots[0]) == some(30)
        for name in ("latest", "good", "v1"):
            with pytest.raises(BackoutError, match="has no snapshot"):
                await theirs.load(name)
        stranger = pyrage.x25519.Identity.generate()
        with pytest.raises(WrongKey):
            await import_(theirs, path, identities=[stranger], foreign=True)

    asyncio.run(main())


def _store() -> object:
    from obstore.store import MemoryStore

    return MemoryStore()


def test_an_existing_file_is_not_overwritten_and_a_failed_export_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"

    async def main() -> None:
        repository = await source(path)
        before = path.read_bytes()
        with pytest.raises(UsageError, match="exists already"):
            await export(repository, await repository.snapshots(), path, identities=[MINE])
        assert path.read_bytes() == before
        for item in await repository.backend.listing("packs/"):
            await repository.backend.delete(item.name)
        with pytest.raises(RepositoryDamaged):
            await export(repository, await repository.snapshots(), tmp_path / "b.tar", identities=[MINE])
        assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]

    asyncio.run(main())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "a.tar"
    asyncio.run(source(path))
    return path


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_every_altered_byte_is_noticed(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(good.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "altered.tar"
    path.write_bytes(content)
    with pytest.raises((BadArchive, TooLarge)):
        Archive.open(path)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_every_cut_is_noticed(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = good.read_bytes()
    path = tmp_path / "cut.tar"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(BadArchive):
        Archive.open(path)
    path.write_bytes(content + bytes(512))
    with pytest.raises(BadArchive, match="end"):
        Archive.open(path)


def tar_with(change: Callable[[tarfile.TarFile], None], *, form: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        change(tar)
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = len(content)
    info.mode = 0o600
    for key, value in more.items():
        setattr(info, key, value)
    return info


EVIL = {
    "parent": (member("../../etc/cron.d/x"), "name that no archive has"),
    "absolute": (member("/etc/passwd"), "name that no archive has"),
    "inside": (member("packs/../../x"), "name that no archive has"),
    "dot": (member("./config"), "name that no archive has"),
    "empty": (member(""), "name that no archive has"),
    "newline": (member("config\n"), "name that no archive has"),
    "escape": (member("\x1b[2Jconfig"), "name that no archive has"),
    "lock": (member("locks/" + "a" * 32), "name that no archive has"),
    "symlink": (member("config", tarfile.SYMTYPE, linkname="/etc/passwd"), "a symbolic link"),
    "hardlink": (member("config", tarfile.LNKTYPE, linkname="/etc/passwd"), "a hard link"),
    "device": (member("config", tarfile.CHRTYPE), "a device"),
    "block": (member("config", tarfile.BLKTYPE), "a device"),
    "pipe": (member("config", tarfile.FIFOTYPE), "a pipe"),
    "folder": (member("packs", tarfile.DIRTYPE), "a directory"),
    "sparse": (member("config", tarfile.GNUTYPE_SPARSE), "a sparse file"),
    "mode": (member("config", mode=0o4777), "a header holds what"),
    "owner": (member("config", uid=1000), "a header holds what"),
    "time": (member("config", mtime=1_700_000_000), "a header holds what"),
}


@pytest.mark.parametrize("name", EVIL)
def test_what_no_archive_may_hold(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.tar"
    info, reason = EVIL[name]
    path.write_bytes(tar_with(lambda tar: tar.addfile(info)))
    with pytest.raises(BadArchive, match=reason) as error:
        Archive.open(path)
    assert "\x1b" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_by_extension_headers(tmp_path: Path, form: int) -> None:
    path = tmp_path / "evil.tar"
    path.write_bytes(tar_with(lambda tar: tar.addfile(member("packs/" + "a" * 300)), form=form))
    with pytest.raises(BadArchive, match="an extension header"):
        Archive.open(path)


@pytest.mark.parametrize("size", [64 * 1024 + 1, 8 * 1024**3 - 1])
def test_a_huge_size_is_refused_before_anything_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "evil.tar"
    path.write_bytes(_header("config", size) + bytes(4096))
    with pytest.raises(TooLarge, match=f"config of {size} bytes"):
        Archive.open(path)
    path.write_bytes(_header("config", 60_000) + bytes(4096))
    with pytest.raises(BadArchive, match="cut"):
        Archive.open(path)


def test_a_size_that_is_no_octal_number(tmp_path: Path) -> None:
    path = tmp_path / "evil.tar"
    for field in (b"\x80" + bytes(10) + b"\x05", b"-0000000001\0", b" 0000000012 "):
        head = bytearray(_header("config", 5))
        head[124:136] = field
        path.write_bytes(bytes(head) + bytes(4096))
        with pytest.raises(BadArchive, match="size is not readable"):
            Archive.open(path)


def test_a_name_twice(tmp_path: Path) -> None:
    path = tmp_path / "evil.tar"
    path.write_bytes((_header("config", 0) * 2) + bytes(1024))
    with pytest.raises(BadArchive, match="a name twice"):
        Archive.open(path)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 1024, b"PK\3\4" + bytes(600), b"\x1f\x8b" + bytes(1022)])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(BadArchive):
        Archive.open(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        Archive.open(tmp_path / "nothing")
    with pytest.raises(BadArchive, match="not a regular file"):
        Archive.open(tmp_path)
    with pytest.raises(BadArchive, match="not a regular file"):
        Archive.open(Path("/dev/zero"))


def test_an_altered_archive_with_right_sums_is_not_taken_for_ours(good: Path, tmp_path: Path) -> None:
    """Who can write the file can also write its sums; the proof of origin is what he can't write."""
    with tarfile.open(good) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    files.pop("SHA256SUMS")
    victim = next(name for name in files if name.startswith("snapshots/"))
    del files[victim]
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    files["SHA256SUMS"] = sums.encode()
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(_header(n, len(c)) + c + bytes(-len(c) % 512) for n, c in files.items()) + bytes(1024))

    async def main() -> None:
        repository = await source(tmp_path / "own.tar")
        with pytest.raises(RefusedError, match="nobody can prove it"):
            await import_(repository, path, identities=[MINE])

    asyncio.run(main())


def test_an_archive_that_holds_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"

    async def main() -> None:
        repository = await source(path)
        for snapshot in await repository.snapshots():
            await repository.manifests.remove(snapshot.id)
        with pytest.raises(TooLarge, match="more than 1000 bytes after decompression"):
            await import_(repository, path, identities=[MINE], limit=1000)
        assert await repository.snapshots() == []

    asyncio.run(main())
