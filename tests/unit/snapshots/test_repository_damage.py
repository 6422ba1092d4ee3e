# SPDX-License-Identifier: Apache-2.0
"""Flipped bits, missing, cut, swapped and foreign files, other versions: an error that names it, never wrong data."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository_world import MINE, held, new, some, take

from backout.errors import BackoutError, FormatUnknown, RepositoryDamaged, RepositoryNotFound
from backout.snapshots.repository import Repository
from backout.snapshots.repository.backend import Stored
from backout.snapshots.repository.crypto import deflate
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.format import PLAIN, Kind, read_config
from backout.snapshots.repository.packs import assemble, build, read_table
from backout.snapshots.repository.verify import Report, Subset, verify

STATES = [some(20), some(20) | {"cm-3": b"changed"}]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two snapshots."""
    folder = tmp_path_factory.mktemp("repository") / "r"

    async def main() -> None:
        repository = await new(folder)
        for number, state in enumerate(STATES):
            await take(repository, state, number)

    asyncio.run(main())
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


async def opened(folder: Path) -> Repository:
    return await Repository.open(Directory(folder), [MINE])


def checked(folder: Path) -> Report:
    async def main() -> Report:
        return await verify(await opened(folder), Subset())

    return asyncio.run(main())


def read_all(folder: Path) -> list[str]:
    """Reads everything; whatever is given must be right. The errors that were met."""

    async def main() -> list[str]:
        met = []
        repository = await opened(folder)
        snapshots = await repository.snapshots()
        met += [str(error) for error in repository.unreadable.values()]
        for snapshot in snapshots:
            try:
                assert await held(repository, snapshot) in STATES
            except RepositoryDamaged as error:
                met.append(str(error))
        return met

    try:
        return asyncio.run(main())
    except BackoutError as error:
        return [str(error)]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_an_untouched_repository_is_whole(copy: Path) -> None:
    report = checked(copy)
    assert (report.problems, report.unknown_files, report.snapshots, report.packs) == ((), (), 2, 2)
    assert report.bytes_read == sum(path.stat().st_size for path in (copy / "packs").iterdir())
    assert read_all(copy) == []


def test_every_flipped_bit_of_the_file_in_clear_is_read_or_refused(made: Path) -> None:
    """Each one, not a sample: a bit may turn text into what is no UTF-8, which is another error of the decoder."""
    content = (made / "config").read_bytes()
    refused = 0
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            try:
                read_config(bytes(flipped), "here")
            except BackoutError:
                refused += 1
    assert refused > len(content) * 4


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_flipped_bit_is_noticed_and_never_believed(made: Path, tmp_path: Path, data: st.DataObject) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "flipped"))
    try:
        victim = data.draw(st.sampled_from(files(copy)))
        content = bytearray(victim.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
        victim.write_bytes(content)
        name = str(victim.relative_to(copy))
        met = read_all(copy)
        try:
            problems = checked(copy).problems
        except BackoutError as error:
            assert victim.name in str(error) or name.startswith(("keys", "config")), (name, str(error))
        else:
            # In `config` a bit of the time of creation may flip: it is in clear, and nothing depends on it.
            assert problems or name == "config"
            assert name == "config" or any(name in p.name or name in p.reason for p in problems), (name, problems)
        assert met or victim.parent.name == "packs" or name == "config"
    finally:
        shutil.rmtree(copy)


@pytest.mark.parametrize("keep", [0, 1, 13, 0.3, 0.9, -1])
def test_a_cut_file_is_noticed(copy: Path, keep: float) -> None:
    for victim in files(copy):
        whole = victim.read_bytes()
        count = int(keep * len(whole)) if isinstance(keep, float) else keep
        victim.write_bytes(whole[:count] if count >= 0 else whole[:-1])
        assert read_all(copy), victim
        with contextlib.suppress(BackoutError):
            assert checked(copy).problems, victim
        victim.write_bytes(whole)
    assert read_all(copy) == []


def test_a_missing_file_is_noticed_and_what_it_held_is_named(copy: Path) -> None:
    for victim in files(copy):
        content = victim.read_bytes()
        victim.unlink()
        kind = victim.relative_to(copy).parts[0]
        if kind == "snapshots":
            assert len(asyncio.run(_listed(copy))) == 1
        elif kind == "packs":
            problems = checked(copy).problems
            assert problems
            assert any("of snapshot" in name or "snapshot" in name for p in problems for name in p.needed_by)
            assert any("missing" in error for error in read_all(copy))
        else:
            with pytest.raises(RepositoryDamaged, match="missing"):
                checked(copy)
        victim.write_bytes(content)


async def _listed(folder: Path) -> list[Any]:
    return await (await opened(folder)).snapshots()


def test_a_lost_object_is_named_by_its_kind_and_name(copy: Path) -> None:
    largest = max((copy / "packs").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[14 + 20] ^= 1
    largest.write_bytes(content)
    problems = checked(copy).problems
    assert any(largest.name in problem.name for problem in problems)
    (lost,) = [problem for problem in problems if problem.name.startswith("object ")]
    assert any(name.startswith("configmap/cm-0 of snapshot") for name in lost.needed_by)
    assert any("configmap/cm-0" in error for error in read_all(copy))


def test_swapped_files_are_noticed(copy: Path) -> None:
    for folder in ("packs", "snapshots"):
        one, two = sorted((copy / folder).iterdir())
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        assert checked(copy).problems
        if folder == "snapshots":
            assert len(read_all(copy)) == 2
        one.write_bytes(first)
        two.write_bytes(second)


def test_swapped_objects_inside_a_pack_are_noticed(copy: Path) -> None:
    async def main() -> None:
        repository = await opened(copy)
        path = max((copy / "packs").iterdir(), key=lambda path: path.stat().st_size)
        content = path.read_bytes()
        name = f"packs/{path.name}"
        pack = await read_table(repository.backend, repository.keyring, Stored(name, len(content), 0))
        first, two = [row for row in pack.rows if row.kind == Kind.OBJECT and row.length == pack.rows[1].length][:2]
        swapped = bytearray(content)
        swapped[first.offset : first.offset + first.length] = content[two.offset : two.offset + two.length]
        swapped[two.offset : two.offset + two.length] = content[first.offset : first.offset + first.length]
        path.write_bytes(swapped)

    asyncio.run(main())
    assert len([p for p in checked(copy).problems if p.name.startswith("object ")]) == 2
    assert any("not what was written" in error for error in read_all(copy))


def test_a_file_of_another_repository_is_refused(copy: Path, tmp_path: Path) -> None:
    async def other() -> None:
        await take(await new(tmp_path / "other"), some(3))

    asyncio.run(other())
    for path in files(tmp_path / "other"):
        target = copy / path.relative_to(tmp_path / "other")
        if target.parent.name in ("packs", "snapshots"):
            shutil.copy(path, target)
    assert any("a key that this repository does not have" in problem.reason for problem in checked(copy).problems)
    assert len(asyncio.run(_listed(copy))) == 2


def test_unknown_files_are_told_and_not_touched(copy: Path) -> None:
    (copy / "packs" / "notes.txt").write_text("mine")
    (copy / "snapshots" / ("A" * 32)).write_text("mine")
    (copy / "locks").mkdir(exist_ok=True)
    (copy / "packs" / "link").symlink_to("/etc/passwd")
    report = checked(copy)
    assert set(report.unknown_files) == {"packs/link", "packs/notes.txt", "snapshots/" + "A" * 32}
    assert report.problems == ()


@pytest.mark.parametrize(("version", "word"), [(0, "older"), (2, "newer"), (9, "newer")])
def test_another_format_version_is_refused(copy: Path, version: int, word: str) -> None:
    config = json.loads((copy / "config").read_text())
    (copy / "config").write_text(json.dumps(config | {"version": version, "unknown": 1}))
    with pytest.raises(FormatUnknown, match=f"config is in format version {version}, which is {word}"):
        checked(copy)
    (copy / "config").write_text(json.dumps(config))
    pack = next((copy / "packs").iterdir())
    content = pack.read_bytes()
    pack.write_bytes(content[:4] + bytes((version,)) + content[5:])
    assert any(word in error or "missing" in error for error in read_all(copy))


def test_nothing_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFound, match="There is no snapshot repository"):
        checked(tmp_path / "nowhere")


def test_a_bomb_does_not_inflate(tmp_path: Path) -> None:
    """Made with the right key, as a recipient could: it says it is small, or that it is as large as it is."""

    async def main() -> None:
        repository = await new(tmp_path / "r")
        generation = repository.keyring.current
        bomb = deflate(bytes(300 * 1024 * 1024))
        for size in (10, 300 * 1024 * 1024, 0xFFFFFFFF):
            address = generation.address(Kind.OBJECT, b"bomb" + bytes((size % 251,)))
            nonce = b"\1" * 12
            plain = PLAIN.pack(1, size) + bomb
            sealed = nonce + generation._cipher.encrypt(nonce, plain, generation._associated(Kind.OBJECT, address))
            pack = assemble(generation, [(Kind.OBJECT, address, sealed)])
            await repository.backend.put(pack.name, pack.content)
            with pytest.raises(RepositoryDamaged, match=r"decompresses to another size|larger than anything"):
                await repository.get(address.hex())

    asyncio.run(main())


def test_what_can_not_be_read_is_written_anew_by_the_next_snapshot(copy: Path) -> None:
    """A pack whose table is lost counts as missing, so the next snapshot heals what is still the same."""
    for pack in (copy / "packs").iterdir():
        pack.write_bytes(pack.read_bytes()[:-10])

    async def main() -> None:
        repository = await opened(copy)
        snapshot = await take(repository, STATES[0], 5)
        fresh = await opened(copy)
        assert await held(fresh, snapshot) == STATES[0]
        assert await held(fresh, (await fresh.snapshots())[-1]) == STATES[0], "an old one is whole again too"

    asyncio.run(main())


def test_of_two_copies_the_good_one_is_read(copy: Path) -> None:
    async def main() -> None:
        repository = await opened(copy)
        generation = repository.keyring.current
        contents = [(Kind.OBJECT, generation.address(Kind.OBJECT, c), c) for c in STATES[0].values()]
        twin = build(generation, contents)
        await repository.backend.put(twin.name, twin.content)
        for path in (copy / "packs").iterdir():
            if path.name not in twin.name:
                content = bytearray(path.read_bytes())
                content[14 + 30] ^= 1
                path.write_bytes(content)
        fresh = await opened(copy)
        for _, address, content in contents:
            assert await fresh.get(address.hex()) == content

    asyncio.run(main())


def test_errors_hold_no_contents(copy: Path) -> None:
    for pack in (copy / "packs").iterdir():
        content = bytearray(pack.read_bytes())
        content[200] ^= 1
        pack.write_bytes(content)
    said = json.dumps(msgspec.to_builtins(checked(copy))) + "".join(read_all(copy))
    assert "canary" not in said
