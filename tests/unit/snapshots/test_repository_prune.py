# SPDX-License-Identifier: Apache-2.0
"""Retention, and that pruning leaves too much rather than too little, wherever it dies."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repository_world import CLUSTER, NOON, Faulty, again, entry, held, new, some, take

from backout.errors import RepositoryDamaged, StorageError
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Snapshot
from backout.snapshots.repository import Repository
from backout.snapshots.repository.prune import prune
from backout.snapshots.repository.retention import Policy, kept
from backout.snapshots.repository.verify import Subset, verify


def snapshot(number: int, **fields: object) -> Snapshot:
    defaults: dict[str, object] = {
        "id": f"{number:032x}",
        "kind": "manual",
        "cluster": "c",
        "identity": CLUSTER,
        "namespace": "n",
        "taken_at": NOON + timedelta(hours=6 * number),
        "healthy": False,
    }
    return Snapshot(**defaults | fields)  # type: ignore[arg-type]


def stay(snapshots: list[Snapshot], **policy: object) -> dict[int, str]:
    return {int(id_, 16): why for id_, why in kept(snapshots, Policy(**policy)).items()}  # type: ignore[arg-type]


def test_the_last() -> None:
    assert stay([snapshot(i) for i in range(9)], last=2) == {8: "last", 7: "last"}


def test_of_each_day_and_week_the_newest() -> None:
    # Noon plus 6 h each: day 1 has 0 and 1, then four a day.
    every = [snapshot(i) for i in range(40)]
    assert stay(every, daily=3) == {39: "daily", 37: "daily", 33: "daily"}
    # 2026-11-01 is a Sunday.
    assert stay(every, weekly=9) == {39: "weekly", 29: "weekly", 1: "weekly"}


def test_tagged() -> None:
    assert stay([snapshot(0, tags=("v1",)), snapshot(1), snapshot(2, tags=("v2",))], tagged=True).keys() == {0, 2}


def test_the_newest_good_one_always_stays() -> None:
    every = [snapshot(0, healthy=True), snapshot(1, healthy=True), *(snapshot(i) for i in range(2, 9))]
    assert stay(every, last=1) == {8: "last", 1: "good"}
    fake = [*every, snapshot(7, healthy=True, imported_from="f" * 32)]
    assert stay(fake, last=1)[1] == "good"


def test_each_place_and_kind_counts_for_itself() -> None:
    every = [
        snapshot(0),
        snapshot(1, namespace="other"),
        snapshot(2, identity=ClusterIdentity("u2", "")),
        *(snapshot(i, kind="run") for i in range(3, 6)),
        *(snapshot(i, kind="incident", incident=True) for i in range(6, 20)),
    ]
    assert stay(every, last=1).keys() == {0, 1, 2, 5, 19}


def test_clusters_without_a_uid_count_each_for_itself() -> None:
    every = [
        snapshot(0, healthy=True, identity=ClusterIdentity("", "ca-1")),
        *(snapshot(i, healthy=True, identity=ClusterIdentity("", "ca-2")) for i in (1, 2)),
    ]
    assert stay(every, last=1).keys() == {0, 2}


def test_runs_push_out_neither_what_was_asked_for_nor_what_was_taken_of_an_incident() -> None:
    every = [
        snapshot(0, healthy=True),
        snapshot(1, incident=True),
        snapshot(2, kind="run", run="r0"),
        *(snapshot(i, kind="run", run=f"r{i}", incident=True) for i in range(3, 20)),
    ]
    assert stay(every, last=1) == {0: "last", 1: "last", 19: "last"}
    assert stay(every, last=3).keys() == {0, 1, 17, 18, 19}
    # Runs are begun when something is wrong, so what they took is never the good one.
    assert stay(every, tagged=True) == {0: "good"}


def test_no_policy_keeps_all() -> None:
    assert stay([snapshot(0), snapshot(1)]) == {0: "all", 1: "all"}


STATES = [some(30, "a"), some(30, "a") | {"cm-1": b"b"}, some(30, "c"), some(3, "d")]


async def filled(place: Path | None = None) -> tuple[Repository, list[Snapshot]]:
    repository = await new(place)
    return repository, [await take(repository, state, i, healthy=None) for i, state in enumerate(STATES)]


async def whole(repository: Repository, snapshots: list[Snapshot]) -> None:
    fresh = await again(repository)
    assert {s.id for s in await fresh.snapshots()} == {s.id for s in snapshots}
    for one in snapshots:
        assert await held(fresh, one) in STATES
    report = await verify(fresh, Subset())
    assert report.problems == ()


def test_what_nothing_needs_goes() -> None:
    async def main() -> None:
        repository, snapshots = await filled()
        before = sum(item.size for item in await repository.backend.listing("packs/"))
        planned = await prune(repository, Policy(last=1), dry_run=True)
        await whole(repository, snapshots)
        result = await prune(repository, Policy(last=1))
        assert (planned.removed, planned.kept, planned.objects_removed) == (
            result.removed,
            result.kept,
            result.objects_removed,
        )
        assert [s.id for s in result.removed] == [s.id for s in snapshots[2::-1]]
        await whole(repository, snapshots[3:])
        assert (await verify(await again(repository))).unused == 0
        after = sum(item.size for item in await repository.backend.listing("packs/"))
        assert before - after == result.freed > 0
        assert (await prune(repository, Policy(last=1))).objects_removed == 0

    asyncio.run(main())


def test_pages_that_a_later_snapshot_shares_stay() -> None:
    async def main() -> None:
        repository, snapshots = await filled()
        assert snapshots[1].pages == snapshots[0].pages
        assert snapshots[1].changes
        result = await prune(repository, Policy(last=3))
        assert [s.id for s in result.removed] == [snapshots[0].id]
        await whole(repository, snapshots[1:])

    asyncio.run(main())


def test_orphans_of_a_snapshot_that_was_not_completed_go(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        kept_ = await take(repository, STATES[0])
        async with repository.writer() as writer:
            for name, content in some(1200, "never").items():
                await writer.add(entry(name, await writer.put(content), content))
            await writer._writer.flush()
        (tmp_path / "r" / "tmp" / "leftover").write_bytes(b"half a file")
        assert (await verify(repository)).unused > 1000
        result = await prune(repository, Policy())
        assert result.objects_removed > 1000
        assert result.leftovers == 1
        await whole(repository, [kept_])
        assert (await verify(repository)).unused == 0

    asyncio.run(main())


def test_waste_is_written_out_and_small_packs_are_joined() -> None:
    async def main() -> None:
        repository = await new()
        snapshots = [await take(repository, some(30, str(i)) | {f"only-{i}": b"x" * i}, i) for i in range(12)]
        assert len(await repository.backend.listing("packs/")) == 12
        result = await prune(repository, Policy(last=10))
        # Ten small ones, and the first, of which the secret that all snapshots share is left.
        assert (result.packs_removed, result.packs_rewritten) == (1, 11)
        assert len(await repository.backend.listing("packs/")) == 1
        fresh = await again(repository)
        for number, one in list(enumerate(snapshots))[2:]:
            assert (await held(fresh, one))["cm-0"].startswith(f"0 {number} ".encode())
        assert (await verify(fresh, Subset())).problems == ()

    asyncio.run(main())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.sampled_from(["put", "delete"]))
def test_a_prune_that_dies_leaves_a_whole_repository(count: int, verb: str) -> None:
    """It fails at the n-th write or removal; what stays is whole, and the next prune ends it."""

    async def main() -> None:
        repository, snapshots = await filled()
        for number in range(8):
            await take(repository, some(20, f"x{number}"), 10 + number, healthy=None)
        left = count

        def fault(what: str, name: str) -> Exception | None:
            nonlocal left
            if what == verb and not name.startswith("locks/"):
                left -= 1
                if left < 0:
                    return StorageError("the machine died")
            return None

        dying = Repository(Faulty(repository.backend, fault), repository.config, repository.keys, [])
        with contextlib.suppress(StorageError):
            await prune(dying, Policy(last=2))
        fresh = await again(repository)
        assert (await verify(fresh, Subset())).problems == ()
        await prune(await again(repository), Policy(last=2))
        done = await again(repository)
        assert (await verify(done, Subset())).problems == ()
        assert len(await done.snapshots()) == 2
        assert (await verify(done)).unused == 0
        assert snapshots

    asyncio.run(main())


def test_nothing_is_pruned_while_something_can_not_be_read(tmp_path: Path) -> None:
    async def main() -> None:
        repository, _ = await filled(tmp_path / "r")
        victim = next((tmp_path / "r" / "snapshots").iterdir())
        victim.write_bytes(victim.read_bytes()[:-1])
        before = sorted((tmp_path / "r").rglob("*"))
        with pytest.raises(RepositoryDamaged, match=victim.name):
            await prune(await again(repository), Policy(last=1))
        assert sorted((tmp_path / "r").rglob("*")) == before

    asyncio.run(main())


def test_damaged_packs_are_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        for number in range(10):
            await take(repository, some(10, str(number)), number)
        victim = sorted((tmp_path / "r" / "packs").iterdir())[0]
        content = bytearray(victim.read_bytes())
        content[14 + 20] ^= 1
        victim.write_bytes(content)
        result = await prune(await again(repository), Policy())
        assert result.left_alone == (f"packs/{victim.name}",)
        assert victim.exists()
        assert len(await (await again(repository)).snapshots()) == 10

    asyncio.run(main())
