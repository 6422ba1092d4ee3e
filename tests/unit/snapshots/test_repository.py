# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out, is kept once, and is in clear nowhere."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repository_world import CLUSTER, SECRET, again, draft, entry, held, new, some, take

from backout.errors import SnapshotNotFound, TooLarge, UsageError
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Pointers, ReleasePointer
from backout.snapshots.repository.format import MAX_CONTENT
from backout.snapshots.repository.verify import Subset, verify

NAMES = st.text("abcdefghij", min_size=1, max_size=3)
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=400), max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CONTENTS, min_size=1, max_size=4))
def test_every_snapshot_gives_back_exactly_what_was_put(states: list[dict[str, bytes]]) -> None:
    async def main() -> None:
        repository = await new()
        taken = [await take(repository, state, number) for number, state in enumerate(states)]
        fresh = await again(repository)
        for snapshot, state in zip(taken, states, strict=True):
            assert await held(fresh, await fresh.load(snapshot.id)) == state
            assert (snapshot.objects, snapshot.size) == (len(state), sum(map(len, state.values())))
        assert not (await verify(fresh, Subset())).problems

    asyncio.run(main())


def test_a_snapshot_with_few_changes_says_only_what_changed() -> None:
    async def main() -> None:
        repository = await new()
        first = await take(repository, some(3000))
        async with repository.writer() as writer:
            state = some(3000)
            del state["cm-7"]
            state |= {"cm-5": b"changed", "cm-new": b"new"}
            for name, content in state.items():
                await writer.add(entry(name, await writer.put(content), content))
            second = await writer.save(draft(1))
            assert writer.written < 3000
        assert second.pages == first.pages
        assert len(second.changes) == 1
        fresh = await again(repository)
        assert await held(fresh, second) == state
        assert await held(fresh, first) == some(3000)

    asyncio.run(main())


def test_equal_contents_are_stored_once_and_addresses_tell_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "one")
        async with repository.writer() as writer:
            one, two = await writer.put(SECRET), await writer.put(SECRET)
        assert one == two
        assert one != hashlib.sha256(SECRET).hexdigest()
        other = await new(tmp_path / "two")
        async with other.writer() as writer:
            assert await writer.put(SECRET) != one

    asyncio.run(main())


def test_nothing_is_in_clear_and_nothing_is_for_others(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "snapshots"

    async def main() -> None:
        await take(await new(folder), some(), message="private-message", tags=("private-tag",))

    asyncio.run(main())
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert not re.search(rb"canary|password|monitoring|private|cluster-01|cm-1", content)
        assert path.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in [folder, *folder.rglob("*")])
    for pack in (folder / "packs").iterdir():
        assert hashlib.sha256(pack.read_bytes()).hexdigest() == pack.name


def test_what_was_not_put_is_not_referred_to() -> None:
    async def main() -> None:
        repository = await new()
        async with repository.writer() as writer:
            with pytest.raises(ValueError, match="not put"):
                await writer.add(entry("x", "ab" * 32, b"x"))
            release = ReleasePointer(name="r", namespace="n", revision=1, address="cd" * 32)
            with pytest.raises(ValueError, match="not put"):
                await writer.save(draft(pointers=Pointers(releases=(release,))))
        assert await repository.snapshots() == []

    asyncio.run(main())


def test_an_object_can_be_too_large() -> None:
    async def main() -> None:
        repository = await new()
        async with repository.writer() as writer:
            await writer.put(bytes(MAX_CONTENT + 1))
            with pytest.raises(TooLarge, match="larger than"):
                await writer.save(draft())
        assert await repository.snapshots() == []

    asyncio.run(main())


def test_large_and_incompressible_contents_and_many_packs() -> None:
    async def main() -> None:
        repository = await new()
        state = {f"n{i}": hashlib.shake_128(bytes([i])).digest(3_000_000) for i in range(9)}
        snapshot = await take(repository, state)
        fresh = await again(repository)
        assert await held(fresh, snapshot) == state
        assert len(fresh.index.packs) > 2

    asyncio.run(main())


def test_what_a_run_took_never_stands_in_for_what_somebody_asked_for() -> None:
    async def main() -> None:
        repository = await new()

        async def named(name: str) -> str:
            return (await repository.load(name, namespace="monitoring")).id

        incident = await take(repository, some(1), 1, kind="run", run="r1", incident=True, healthy=False)
        assert await named("latest") == incident.id
        calm = await take(repository, some(2), 2, kind="run", run="r2", healthy=None)
        await take(repository, some(3), 3, kind="run", run="r3", incident=True, healthy=False)
        assert await named("latest") == calm.id
        with pytest.raises(SnapshotNotFound):
            await named("good")
        asked = await take(repository, some(4), 0)
        assert await named("latest") == await named("good") == asked.id

    asyncio.run(main())


def test_clusters_whose_kube_system_may_not_be_read_are_told_apart_by_their_authority() -> None:
    """Who may read one namespace only still finds its snapshots, and never those of another cluster."""
    strong, rotated, other = (ClusterIdentity(*pair) for pair in (("u1", "ca1"), ("u1", "ca9"), ("u2", "ca1")))
    weak, stranger, nothing = (ClusterIdentity("", ca) for ca in ("ca1", "ca2", ""))
    assert strong.same_as(rotated) and not strong.same_as(other)
    assert strong.same_as(weak) and weak.same_as(strong) and weak.same_as(weak)
    assert not weak.same_as(stranger) and not stranger.same_as(strong)
    assert not nothing.same_as(nothing) and not nothing.same_as(strong)

    async def main() -> None:
        repository = await new()
        mine = await take(repository, some(1), 0, identity=strong)
        theirs = await take(repository, some(2), 1, identity=stranger)
        assert [s.id for s in await repository.snapshots(weak)] == [mine.id]
        assert [s.id for s in await repository.snapshots(stranger)] == [theirs.id]

    asyncio.run(main())


def test_snapshots_are_found_by_what_people_call_them() -> None:
    async def main() -> None:
        repository = await new()
        old = await take(repository, some(1), 0, tags=("v1",))
        newer = await take(repository, some(2), 1, tags=("v1", "v2"))
        sick = await take(repository, some(3), 2, healthy=False)
        broken = await take(repository, some(4), 3, kind="incident", incident=True, tags=("v2",))
        elsewhere = await take(repository, some(5), 4, namespace="other", identity=ClusterIdentity("uid-2", "ca"))

        async def named(name: str) -> str:
            return (await repository.load(name, namespace="monitoring")).id

        assert await named("latest") == sick.id
        assert await named("good") == newer.id
        assert await named("v1") == newer.id
        assert await named("v2") == newer.id, "a capture of the incident never stands in for a good one"
        assert await named(old.id) == old.id
        assert await named(broken.id[:10]) == broken.id
        assert (await repository.load("latest")).id == elsewhere.id
        assert [s.id for s in await repository.snapshots(CLUSTER)] == [broken.id, sick.id, newer.id, old.id]
        for unknown in ("v9", "", "abc", "zzzz"):
            with pytest.raises(SnapshotNotFound):
                await named(unknown)

    asyncio.run(main())


def test_an_ambiguous_start_is_refused() -> None:
    async def main() -> None:
        repository = await new()
        async with repository.writer() as writer:
            for end in "ab":
                await writer.save(draft(), id_="cafe" + end * 28)
        with pytest.raises(UsageError, match="2 snapshots start with cafe"):
            await repository.load("cafe")
        assert (await repository.load("cafea")).id.startswith("cafea")

    asyncio.run(main())


def test_digests_of_values_need_the_key() -> None:
    async def main() -> None:
        one, other = await new(), await new()
        assert one.digest(b"x") == one.digest(b"x") != one.digest(b"y")
        assert one.digest(b"x") != other.digest(b"x")
        assert one.digest(b"x") == (await again(one)).digest(b"x")

    asyncio.run(main())
