# SPDX-License-Identifier: Apache-2.0
"""The snapshot before a run's first write: taken once, and what happens where it can't be."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import NAMES, NS, Listing, healthy, part, plan, prepared, services, snapshots

from backout.engine.inline import InlineEngine, Memory
from backout.errors import AccessDenied, BackoutError, CaptureError, Interrupted
from backout.model.diagnosis import Problem
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.run import RunEvent
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Snapshot
from backout.snapshots.repository.opening import Opened, open_repository
from backout.workflows.before import RunSnapshots
from backout.workflows.runner import begin, go_on, workflows


class World:
    """One run on a small cluster, with a repository below ``folder``."""

    def __init__(self, folder: Path, wanted: Operation | None = None, **settings: Any) -> None:
        self.folder = folder
        self.cluster = Listing(*healthy())
        prepared(folder, wanted)
        self.services, self.files = services(folder, self.cluster)
        self.services.snapshots = snapshots(folder, **settings)
        self.memory = Memory()

    def run(self, *, resume: bool = False) -> str:
        async def main() -> str:
            engine = InlineEngine(workflows(self.services), self.memory)
            try:
                async with asyncio.timeout(600):
                    ended = await (go_on if resume else begin)(engine, self.services.store, "r1")
                    return ended.state
            finally:
                await engine.close()

        return asyncio.run(main())

    def events(self, kind: str) -> list[RunEvent]:
        return [event for event in self.services.store.events("r1") if event.type == kind]

    @property
    def untouched(self) -> bool:
        return all(self.files.writes(name) == ["old"] for name in NAMES)

    def kept(self, folder: str = "snapshots") -> list[Snapshot]:
        async def main() -> list[Snapshot]:
            opened = await open_repository(SnapshotSettings(repository=str(self.folder / folder)))
            try:
                return await opened.repository.snapshots()
            finally:
                await opened.repository.close()

        return asyncio.run(main())


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))


def broken_plan() -> Operation:
    problem = Problem(target=part().target, mechanism="workload", symptoms=(), cause=msg("it crashes"))
    return plan(problems=(problem,))


def test_the_namespace_is_kept_before_the_first_write(tmp_path: Path) -> None:
    world = World(tmp_path, broken_plan())
    assert world.run() == "recovered"
    (event,) = world.events("snapshot")
    (kept,) = world.kept()
    assert event.data["snapshot"] == kept.id and kept.short in event.message.text
    assert (kept.kind, kept.run, kept.namespace, kept.actor) == ("run", "r1", NS, "alice")
    assert (kept.incident, kept.healthy, kept.good) == (True, False, False)
    order = [event.type for event in world.services.store.events("r1")]
    assert order.index("snapshot") < order.index("captured") < order.index("step-started")


def test_without_a_problem_nothing_is_said_of_its_health(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run()
    (kept,) = world.kept()
    assert (kept.incident, kept.healthy, kept.good) == (False, None, False)


def test_the_first_use_of_a_key_is_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    told: list[Opened] = []
    world.services.snapshots = RunSnapshots(SnapshotSettings(repository=str(tmp_path / "snapshots")), told.append)
    world.run()
    assert [(found.key_made, found.created) for found in told] == [(True, True)]


def test_what_may_not_be_listed_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster = Listing(*healthy(), denied={"Secret": AccessDenied("no")})
    world.services, world.files = services(tmp_path, world.cluster)
    world.services.snapshots = snapshots(tmp_path)
    with pytest.raises(AccessDenied):
        # The plan touches that Secret, so what it touches could not be kept; the snapshot alone would not mind.
        world.run()
    (event,) = world.events("snapshot")
    assert event.data["unread"] == ["Secret"] and "Secret" in event.message.text
    assert world.untouched


def test_none_is_taken_where_none_is_wanted(tmp_path: Path) -> None:
    world = World(tmp_path, before_run="never")
    assert world.run() == "recovered"
    assert not world.events("snapshot") and not world.events("snapshot-skipped")
    assert not (tmp_path / "snapshots").exists()


def test_a_refused_run_leaves_none_behind_it_needs(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster.may_not = {"deployments"}
    with pytest.raises(AccessDenied):
        world.run()
    assert world.untouched and not world.events("step-started")


def _exclusive(world: World) -> None:
    """Somebody prunes; this very process, so it is known to be alive."""

    async def main() -> None:
        opened = await open_repository(SnapshotSettings(repository=str(world.folder / "snapshots")), create=True)
        folder = world.folder / "snapshots" / "locks"
        async with opened.repository.exclusive_lock("prune"):
            (lock,) = folder.iterdir()
            content = lock.read_bytes()
        # As if it were not let go.
        lock.write_bytes(content)
        await opened.repository.close()

    asyncio.run(main())


def _damaged(world: World) -> None:

    async def main() -> None:
        opened = await open_repository(SnapshotSettings(repository=str(world.folder / "snapshots")), create=True)
        await opened.repository.close()

    asyncio.run(main())
    keys = next((world.folder / "snapshots" / "keys").iterdir())
    keys.write_bytes(keys.read_bytes()[:-20])


def _unwritable(world: World) -> None:
    (world.folder / "snapshots").write_text("a file stands in the way")


TROUBLE: list[tuple[Callable[[World], None], str]] = [
    (_exclusive, "is in use: prune by"),
    (_damaged, "is damaged"),
    (_unwritable, "ot a directory"),
]


@pytest.mark.parametrize(("trouble", "words"), TROUBLE, ids=["locked", "damaged", "unwritable"])
@pytest.mark.parametrize("before_run", ["if-possible", "always"])
def test_a_repository_that_can_not_be_used(
    tmp_path: Path, trouble: Callable[[World], None], words: str, before_run: str
) -> None:
    world = World(tmp_path, before_run=before_run)
    trouble(world)
    if before_run == "always":
        with pytest.raises(CaptureError, match=words) as raised:
            world.run()
        assert "nothing was written" in raised.value.message
        assert world.untouched and not world.events("step-started") and not world.events("captured")
        return
    assert world.run() == "recovered"
    (event,) = world.events("snapshot-skipped")
    assert "kept all the same" in event.message.text and words in event.message.text
    capture = world.services.captures.load("r1", world.services.store.get("r1").captures["deployment/web"].digest)
    assert capture.objects
    assert not world.events("snapshot")


class Slow(RunSnapshots):
    """A repository that never answers."""

    async def _open(self, answer: float | None) -> Any:
        await asyncio.Event().wait()


def test_a_repository_that_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.services.snapshots = Slow(SnapshotSettings(), patience=0.2)
    assert world.run() == "recovered"
    (event,) = world.events("snapshot-skipped")
    assert "not done within" in event.message.text


def test_ctrl_c_does_not_wait_for_it_and_a_resume_takes_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    begun = asyncio.Event()

    class Begun(Slow):
        async def _open(self, answer: float | None) -> Any:
            begun.set()
            return await super()._open(answer)

    world.services.snapshots = Begun(SnapshotSettings(), patience=600)

    async def main() -> None:
        engine = InlineEngine(workflows(world.services), world.memory)
        running = asyncio.ensure_future(begin(engine, world.services.store, "r1"))
        await begun.wait()
        engine.interrupt()
        try:
            async with asyncio.timeout(600):
                await running
        finally:
            await engine.close()
        assert len(asyncio.all_tasks()) == 1

    with pytest.raises(Interrupted):
        asyncio.run(main())
    assert world.untouched and world.cluster.leases == {}
    assert not world.events("snapshot") and not world.events("snapshot-skipped")
    world.services.snapshots = snapshots(tmp_path)
    assert world.run(resume=True) == "recovered"
    assert [kept.run for kept in world.kept()] == ["r1"]


def test_an_attempt_that_was_cut_off_after_it_is_taken_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    taken = asyncio.run(world.services.snapshots.take(world.cluster, part(), "r1", "alice"))  # type: ignore[union-attr]
    assert world.run() == "recovered"
    assert taken.snapshot is not None
    assert [kept.id for kept in world.kept()] == [taken.snapshot.id] == [world.events("snapshot")[0].data["snapshot"]]


def test_of_another_run_is_another_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    asyncio.run(world.services.snapshots.take(world.cluster, part(), "r0", "alice"))  # type: ignore[union-attr]
    world.run()
    assert {kept.run for kept in world.kept()} == {"r0", "r1"}


def test_no_secret_is_in_events_or_errors(tmp_path: Path) -> None:
    from rollback_world import CANARY

    world = World(tmp_path)
    world.run()
    told = msgspec.json.encode(world.services.store.events("r1")).decode()
    assert CANARY not in told
    for file in tmp_path.rglob("*"):
        if file.is_file() and os.access(file, os.R_OK):
            assert CANARY.encode() not in file.read_bytes(), file


def test_errors_of_a_snapshot_are_of_the_house() -> None:
    assert issubclass(CaptureError, BackoutError) and CaptureError.exit_code == 5
