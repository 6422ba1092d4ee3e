# SPDX-License-Identifier: Apache-2.0
"""The durable engine on a PostgreSQL that processes share: who died is replaced in time, who was replaced does nothing
more, whatever its clock says; and a database that goes away for a moment costs no run and doubles no effect."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from tests.clocks import skewed
from tests.postgres import PASSWORD, USER, Server, server

from backout.engine.dbos_engine import DbosEngine
from backout.engine.port import Json, WorkflowContext
from backout.engine.store.opening import open_store
from backout.engine.store.port import RunStore
from backout.errors import BackoutError, LockedError, StateError

CHILD = Path(__file__).with_name("child.py")
TAKEN_OVER_WITHIN = 15.0
"""Seconds that the work of a dead process may lie, by the database's clock."""


@pytest.fixture
def url() -> str:
    return server().url(server().database())


def child(folder: Path, url: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "CHILD_STATE": url, **environment},
    )  # fmt: skip


def holds(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.strip() == "holding", (line, process.stderr.read() if process.stderr else "")


def effects(folder: Path) -> list[str]:
    return (folder / "effects").read_text().split()


def until_orphaned(store: RunStore, run: str = "r1") -> None:
    end = time.monotonic() + 300
    while store.owners.alive(run):
        assert time.monotonic() < end, "its lease never ends"
        time.sleep(0.05)


@pytest.mark.parametrize("point", ["before-two", "after-two"])
def test_what_a_killed_process_left_is_taken_over(tmp_path: Path, url: str, point: str) -> None:
    first = child(tmp_path, url, "start", f"kill-{point}")
    _, errors = first.communicate(timeout=600)
    assert first.returncode == -signal.SIGKILL, errors
    with open_store(url, create=True) as store:
        until_orphaned(store)
    second = child(tmp_path, url, "resume")
    out, errors = second.communicate(timeout=600)
    assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"], errors
    assert (
        effects(tmp_path) == ["one", "two", "three"] if point.startswith("before") else ["one", "two", "two", "three"]
    )
    assert errors == "", "the engine must be quiet"


def test_a_lease_is_over_in_time_by_the_databases_clock(tmp_path: Path, url: str) -> None:
    """No measurement on this machine: what the row says, against the clock that wrote it."""
    from backout.engine.store.postgres.leases import BEAT, LEASE

    first = child(tmp_path, url, "start", "hold-two")
    holds(first)
    try:
        with open_store(url, create=True) as store:
            left = store.engine_options["creator"]().execute(
                "SELECT extract(epoch FROM until - clock_timestamp()) FROM backout.processes"
            )
            assert float(left.fetchone()[0]) <= LEASE
    finally:
        first.kill()
        first.communicate()
    assert 3 * BEAT < LEASE < TAKEN_OVER_WITHIN - BEAT, "two beats may be lost, and a worker looks every second or two"


@pytest.mark.parametrize("hours", [0, 1, -1])
def test_a_process_that_was_stopped_and_replaced_does_nothing_more_whatever_the_clocks(
    tmp_path: Path, url: str, hours: int
) -> None:
    first = child(tmp_path, url, "start", "hold-two", **skewed(hours))
    holds(first)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        with open_store(url, create=True) as store:
            until_orphaned(store)
            second = child(tmp_path, url, "resume", "none", **skewed(-hours))
            out, errors = second.communicate(timeout=600)
            assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"], errors
            assert effects(tmp_path) == ["one", "two", "three"]
            (tmp_path / "go").touch()
            os.kill(first.pid, signal.SIGCONT)
            out, errors = first.communicate(timeout=600)
            assert out.splitlines()[-1] == "LeaseLost", (out, errors)
            assert effects(tmp_path) == ["one", "two", "three"], "it woke up in its step, and did not do it"
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_living_process_keeps_its_run_whatever_the_clocks(tmp_path: Path, url: str, hours: int) -> None:
    first = child(tmp_path, url, "start", "hold-two", **skewed(hours))
    holds(first)
    try:
        second = child(tmp_path, url, "resume", "none", **skewed(-hours))
        out, errors = second.communicate(timeout=600)
        assert out.split() == ["LockedError"], errors
        (tmp_path / "go").touch()
        out, errors = first.communicate(timeout=600)
        assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"], errors
        assert effects(tmp_path) == ["one", "two", "three"]
    finally:
        first.kill()
        first.wait()


# the database goes away


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that may be stopped."""
    made = Server()
    yield made
    made.remove()


RUNS = 12
STEPS = 8


class Fleet:
    """Runs side by side; each step confirms its claim, has an effect that is counted, and tells of it."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.done: list[tuple[str, int]] = []
        self.when: dict[int, Callable[[], None]] = {}

    async def workflow(self, context: WorkflowContext, payload: Json) -> Json:
        for number in range(STEPS):
            await context.step(f"s{number}", self._step(context.run, number))
        return payload

    def _step(self, run: str, number: int) -> Callable[[], Awaitable[Json]]:
        async def body() -> Json:
            self.store.owners.confirm(run)
            self.done.append((run, number))
            if what := self.when.pop(len(self.done), None):
                threading.Thread(target=what, daemon=True).start()
            await asyncio.sleep(0.02)
            return number

        return body

    async def end(self) -> list[str]:
        """Runs all to their end, going on with those that stopped; which were stopped on the way."""
        stopped: list[str] = []

        async def one(engine: DbosEngine, run: str) -> None:
            while True:
                try:
                    assert await engine.start("w", run, run) == run
                    return
                except StateError:
                    stopped.append(run)
                    await asyncio.sleep(0.2)

        engine = DbosEngine(self.store, {"w": self.workflow})
        async with asyncio.timeout(600):
            await asyncio.gather(*(one(engine, f"r{number}") for number in range(RUNS)))
        assert await engine.orphans() == []
        await engine.close()
        return stopped


EACH_ONCE = sorted((f"r{run}", step) for run in range(RUNS) for step in range(STEPS))


@pytest.mark.parametrize("over", ["tcp", "socket"])
@pytest.mark.parametrize("gone", [0.0, 3.0])
def test_a_database_that_is_gone_for_a_moment(own: Server, over: str, gone: float) -> None:
    with open_store(own.url(own.database(), over=over), create=True) as store:
        fleet = Fleet(store)
        fleet.when = {count: lambda: own.restart(gone) for count in ((20, 60) if gone == 0 else (30,))}
        asyncio.run(fleet.end())
        assert sorted(fleet.done) == EACH_ONCE
        assert all(not store.owners.unfinished(f"r{number}") for number in range(RUNS))


def test_a_failover_to_a_standby_that_has_every_commit() -> None:
    first = Server()
    standby = Server(copy_of=first)
    try:
        first.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        first.ask("SELECT pg_reload_conf()")
        name = first.database()

        def fails_over() -> None:
            first.kill()
            standby.promote()

        hosts = f"127.0.0.1:{first.port},127.0.0.1:{standby.port}"
        with open_store(f"postgresql://{USER}:{PASSWORD}@{hosts}/{name}", create=True) as store:
            fleet = Fleet(store)
            fleet.when = {30: fails_over}
            asyncio.run(fleet.end())
            assert sorted(fleet.done) == EACH_ONCE
    finally:
        first.remove()
        standby.remove()


@pytest.mark.parametrize("behind_since", ["the beginning", "one"])
def test_a_failover_that_loses_the_last_commits_is_found_out_and_nothing_is_done_twice(behind_since: str) -> None:
    """An effect that looks before it acts, as all of ours do: what the record forgot, the cluster still knows."""
    first = Server()
    standby = Server(copy_of=first)
    try:
        name = first.database()
        world: set[str] = set()
        acts: list[str] = []
        errors: list[BackoutError] = []

        def workflow(store: RunStore, fault: Callable[[str], None]) -> Callable[..., Awaitable[Json]]:
            async def body(context: WorkflowContext, payload: Json) -> Json:
                async def act(step: str) -> Json:
                    store.owners.confirm(context.run)
                    if step not in world:
                        acts.append(step)
                        world.add(step)
                    return step

                for step in ("one", "two", "three"):
                    await context.step(step, lambda step=step: act(step))
                    fault(step)
                return "done"

            return body

        def forgets(step: str) -> None:
            if step == behind_since:
                standby.fall_behind()
            if step == "two":
                first.kill()
                standby.promote()

        async def main() -> None:
            hosts = f"127.0.0.1:{first.port},127.0.0.1:{standby.port}"
            with open_store(f"postgresql://{USER}:{PASSWORD}@{hosts}/{name}", create=True) as store:
                if behind_since == "the beginning":
                    standby.fall_behind()
                engine = DbosEngine(store, {"w": workflow(store, forgets)})
                try:
                    await engine.start("w", "r1", None)
                except BackoutError as error:
                    errors.append(error)
                await engine.close()
                await asyncio.to_thread(until_orphaned, store)
                again = DbosEngine(store, {"w": workflow(store, lambda step: None)})
                assert await again.start("w", "r1", None) == "done"
                await again.close()

        asyncio.run(main())
        assert acts == ["one", "two", "three"]
        assert all(isinstance(error, StateError | LockedError) for error in errors)
    finally:
        first.remove()
        standby.remove()
