# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of taking and pruning snapshots: what was completed stays whole, and the next goes on."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyrage

from backout.snapshots.repository import Repository
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.keys import Recipient
from backout.snapshots.repository.prune import prune
from backout.snapshots.repository.retention import Policy
from backout.snapshots.repository.verify import Subset, verify

LIVES = 12


def test_kill_while_snapshots_are_taken_and_pruned(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(str(identity))
    public = Recipient(recipient=str(identity.to_public()), added=datetime.now(UTC))
    asyncio.run(Repository.create(Directory(tmp_path / "r"), [identity], [public]))
    completed: set[str] = set()
    removed: set[str] = set()
    for life in range(LIVES):
        done, gone = one_life(tmp_path, life)
        completed |= done
        removed |= gone
        asyncio.run(check(tmp_path, identity, completed, removed))
    assert len(completed) >= LIVES / 2
    asyncio.run(at_last(tmp_path, identity))


def one_life(folder: Path, life: int) -> tuple[set[str], set[str]]:
    """Lets it work for a random while after it is ready, kills it, and gives what it said."""
    command = [sys.executable, str(Path(__file__).parent / "saver.py"), str(folder), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the repository can't be opened after a crash"
        time.sleep(random.Random(life).uniform(0.0, 1.5))
        process.kill()
        words = process.stdout.read().split()
    return {word for word in words if word[0] != "-"}, {word[1:] for word in words if word[0] == "-"}


async def check(folder: Path, identity: object, completed: set[str], removed: set[str]) -> None:
    repository = await Repository.open(Directory(folder / "r"), [identity])
    report = await verify(repository, Subset())
    assert report.problems == ()
    found = {snapshot.id for snapshot in await repository.snapshots()}
    # What a prune that was killed had removed already, it could not say any more: those are the oldest ones.
    lost = completed - removed - found
    assert len(lost) <= 8
    removed |= lost
    for snapshot in await repository.snapshots():
        assert sum([1 async for _ in repository.contents(snapshot)]) == 1300


async def at_last(folder: Path, identity: object) -> None:
    repository = await Repository.open(Directory(folder / "r"), [identity])
    await prune(repository, Policy())
    assert list((folder / "r" / "tmp").iterdir()) == []
    assert list((folder / "r" / "locks").iterdir()) == []
    report = await verify(await Repository.open(repository.backend, [identity]), Subset())
    assert (report.problems, report.unused) == ((), 0)
