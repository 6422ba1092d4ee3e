# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of taking and pruning snapshots: what was completed stays whole, and the next goes on."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Mapping
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
# As in saver.py.
KEPT = 4

#: Namespace and time.
Completed = tuple[str, datetime]


def test_kill_while_snapshots_are_taken_and_pruned(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(str(identity))
    public = Recipient(recipient=str(identity.to_public()), added=datetime.now(UTC))
    asyncio.run(Repository.create(Directory(tmp_path / "r"), [identity], [public]))
    completed: dict[str, Completed] = {}
    removed: set[str] = set()
    for life in range(LIVES):
        done, gone = one_life(tmp_path, life)
        completed |= done
        removed |= gone
        asyncio.run(check(tmp_path, identity, completed, removed))
    assert len(completed) >= LIVES / 2
    asyncio.run(at_last(tmp_path, identity))


def one_life(folder: Path, life: int) -> tuple[dict[str, Completed], set[str]]:
    """Lets it work for a random while after it is ready, kills it, and gives what it said."""
    command = [sys.executable, str(Path(__file__).parent / "saver.py"), str(folder), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the repository can't be opened after a crash"
        time.sleep(random.Random(life).uniform(0.0, 1.5))
        process.kill()
        # The last line may be a part of one.
        lines = [line.split() for line in process.stdout.read().split("\n")[:-1] if line]
    done = {words[0]: (words[1], datetime.fromisoformat(words[2])) for words in lines if words[0][0] != "-"}
    return done, {words[0][1:] for words in lines if words[0][0] == "-"}


async def check(folder: Path, identity: object, completed: Mapping[str, Completed], removed: set[str]) -> None:
    repository = await Repository.open(Directory(folder / "r"), [identity])
    report = await verify(repository, Subset())
    assert report.problems == ()
    found = {snapshot.id: snapshot for snapshot in await repository.snapshots()}
    # What a prune that was killed had removed already, it could not say any more. How many those are is a matter of the
    # machine's speed; that each had to go by the policy is not.
    for id_ in completed.keys() - removed - found.keys():
        namespace, taken_at = completed[id_]
        newer = [other for other in found.values() if other.namespace == namespace and other.taken_at > taken_at]
        assert len(newer) >= KEPT, f"{id_} is lost, and only {len(newer)} newer ones are there"
        removed.add(id_)
    for snapshot in found.values():
        assert sum([1 async for _ in repository.contents(snapshot)]) == 1300


async def at_last(folder: Path, identity: object) -> None:
    repository = await Repository.open(Directory(folder / "r"), [identity])
    await prune(repository, Policy())
    assert list((folder / "r" / "tmp").iterdir()) == []
    assert list((folder / "r" / "locks").iterdir()) == []
    report = await verify(await Repository.open(repository.backend, [identity]), Subset())
    assert (report.problems, report.unused) == ((), 0)
