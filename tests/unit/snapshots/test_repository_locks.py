# SPDX-License-Identifier: Apache-2.0
"""Two at once, the dead, the stale, and a lock that is lost while it is needed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from repository_world import Faulty, again, draft, entry, held, new, some, take

from backout.errors import LockLost, RepositoryLocked, StorageUnreachable
from backout.snapshots.repository.locks import LOST, STALE, locked
from backout.snapshots.repository.prune import prune
from backout.snapshots.repository.retention import Policy
from backout.snapshots.repository.verify import Subset, verify


def test_two_writers_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        one = await new(tmp_path / "r")
        two = await again(one)
        states = [some(1500), some(1500) | {"mine": b"2"}]
        taken = await asyncio.gather(take(one, states[0], 0), take(two, states[1], 1))
        fresh = await again(one)
        assert [await held(fresh, snapshot) for snapshot in taken] == states
        assert (await verify(fresh, Subset())).problems == ()
        assert await fresh.backend.listing("locks/") == []
        # Both stored the same objects; prune keeps one of each.
        before = len(fresh.index.copies)
        await prune(fresh, Policy())
        cleaned = await again(one)
        assert (await verify(cleaned, Subset())).problems == ()
        assert len(cleaned.index.copies) <= before
        assert [await held(cleaned, snapshot) for snapshot in taken] == states

    asyncio.run(main())


def test_prune_waits_for_writers_and_writers_for_prune() -> None:
    async def main() -> None:
        repository = await new()
        await take(repository, some(2))
        other = await again(repository)
        async with repository.writer("capture of monitoring"):
            with pytest.raises(RepositoryLocked, match=rf"capture of monitoring by .* \(process {os.getpid()}\) since"):
                await prune(other, Policy())
            with pytest.raises(RepositoryLocked):
                await other.rotate()
        async with repository.exclusive_lock("prune"):
            with pytest.raises(RepositoryLocked, match="prune by"):
                await take(other, some(3))
            with pytest.raises(RepositoryLocked):
                await verify(other)
        assert await other.backend.listing("locks/") == []
        await prune(other, Policy())

    asyncio.run(main())


def test_the_lock_of_a_dead_process_is_ignored(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from repository_world import pyrage, Directory, Repository
async def main():
    identity = pyrage.x25519.Identity.from_str(Path(sys.argv[1], "key").read_text())
    repository = await Repository.open(Directory(Path(sys.argv[1], "r")), [identity])
    async with repository.exclusive_lock("prune"):
        os._exit(9)
asyncio.run(main())
"""

    async def main() -> None:
        from repository_world import MINE

        repository = await new(tmp_path / "r")
        (tmp_path / "key").write_text(str(MINE))
        arguments = ("-c", code, str(tmp_path), str(Path(__file__).parent))
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments)
        assert await child.wait() == 9
        assert len(await repository.backend.listing("locks/")) == 1
        await take(repository, some(1))
        assert await repository.backend.listing("locks/") == []

    asyncio.run(main())


def test_a_lock_of_another_machine_holds_until_it_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        monkeypatch.setattr("backout.snapshots.repository.locks._place", lambda: "elsewhere")
        lock = locked(repository.backend, repository.keyring, "prune", exclusive=True)
        await lock.__aenter__()
        monkeypatch.undo()
        with pytest.raises(RepositoryLocked):
            await take(repository, some(1))
        (path,) = (tmp_path / "r" / "locks").iterdir()
        old = time.time() - STALE - 60
        os.utime(path, (old, old))
        await take(repository, some(1))
        assert not path.exists()
        await lock.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_lock_that_can_not_be_read_still_locks(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        (tmp_path / "r" / "locks").mkdir(exist_ok=True)
        (tmp_path / "r" / "locks" / ("a" * 32)).write_bytes(b"junk")
        with pytest.raises(RepositoryLocked, match="can't read"):
            await take(repository, some(1))

    asyncio.run(main())


def test_without_its_lock_a_snapshot_is_not_completed(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        with pytest.raises(LockLost, match="was lost"):
            async with repository.writer() as writer:
                await writer.add(entry("a", await writer.put(b"a"), b"a"))
                for path in (tmp_path / "r" / "locks").iterdir():
                    path.unlink()
                await writer.save(draft())
        assert await repository.snapshots() == []

    asyncio.run(main())


@pytest.mark.parametrize("pruned", [True, False])
def test_a_lock_that_is_lost_at_the_last_moment(tmp_path: Path, pruned: bool) -> None:
    """Between the look at the lock and the summary somebody took the lock away, and perhaps pruned."""

    async def main() -> None:
        folder = tmp_path / "r"
        repository = await new(folder)

        def fault(verb: str, name: str) -> Exception | None:
            if verb == "put" and name.startswith("snapshots/"):
                for path in (folder / "locks").iterdir():
                    path.unlink()
                if pruned:
                    for path in (folder / "packs").iterdir():
                        path.unlink()
            return None

        repository.backend = Faulty(repository.backend, fault)
        repository._use(repository.keys)
        if pruned:
            with pytest.raises(LockLost, match="something that it needs was pruned"):
                await take(repository, some(3))
            assert await repository.snapshots() == []
        else:
            assert await held(repository, await take(repository, some(3))) == some(3)

    asyncio.run(main())


def test_a_lock_is_refreshed_and_given_up_when_that_fails_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        repository = await new(tmp_path / "r")
        puts: list[str] = []
        refreshed = asyncio.Event()

        def fault(verb: str, name: str) -> Exception | None:
            if verb == "put":
                puts.append(name)
                if len(puts) == 2:
                    return StorageUnreachable("gone")
                if len(puts) == 3:
                    refreshed.set()
            return None

        backend = Faulty(repository.backend, fault)
        async with locked(backend, repository.keyring, "x", exclusive=False, refresh=0.01) as lock:
            await asyncio.wait_for(refreshed.wait(), 240)
            lock.check()
            lock._last -= LOST + 1
            lock._refresh = 1000.0
            with pytest.raises(LockLost):
                lock.check()
        assert len(set(puts)) == 1

    asyncio.run(main())
