# SPDX-License-Identifier: Apache-2.0
"""The durable engine over real processes: one run has one executor, and kill -9 is a pause."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backout.engine.dbos_engine import DbosEngine
from backout.engine.port import Json, WorkflowContext
from backout.engine.store.opening import open_store
from backout.engine.store.port import RunStore
from backout.errors import LockedError, RunNotFound

CHILD = Path(__file__).with_name("child.py")


def opened(folder: Path) -> RunStore:
    return open_store(f"sqlite:///{folder / 'state.db'}", create=True)


def child(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process that starts or resumes run r1 of a workflow whose effects are lines in a file."""
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(folder), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def reads(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    assert process.stderr is not None
    raise AssertionError(f"the child ended without saying {line!r}: {process.stderr.read()}")


def effects(folder: Path) -> list[str]:
    return (folder / "effects").read_text().split()


@pytest.mark.parametrize(
    "point", [f"{when}-{step}" for step in ("one", "two", "three") for when in ("before", "after")]
)
def test_kill_at_each_step_then_resume(tmp_path: Path, point: str) -> None:
    first = child(tmp_path, "start", f"kill-{point}")
    _, errors = first.communicate(timeout=600)
    assert first.returncode == -signal.SIGKILL, errors

    second = child(tmp_path, "resume")
    out, errors = second.communicate(timeout=600)
    assert second.returncode == 0, errors
    assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"]
    when, step = point.split("-")
    expected = ["one", "two", "three"]
    if when == "after":
        expected.insert(expected.index(step), step)
    assert effects(tmp_path) == expected
    assert errors == "", "the engine must be quiet"


def test_a_second_process_is_refused_while_the_first_lives_even_when_paused(tmp_path: Path) -> None:
    first = child(tmp_path, "start", "hold-two")
    reads(first, "holding")

    async def main() -> None:
        store = opened(tmp_path)
        engine = DbosEngine(store, {})
        with pytest.raises(LockedError, match=f"process {first.pid} "):
            await engine.resume("r1")
        os.kill(first.pid, signal.SIGSTOP)
        with pytest.raises(LockedError):
            await engine.resume("r1")
        assert await engine.orphans() == []
        await engine.close()
        store.close()

    try:
        asyncio.run(main())
        os.kill(first.pid, signal.SIGCONT)
        (tmp_path / "go").touch()
        out, _ = first.communicate(timeout=600)
        assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"]
        assert effects(tmp_path) == ["one", "two", "three"]
    finally:
        first.kill()
        first.wait()


def test_of_many_that_resume_at_once_one_wins(tmp_path: Path) -> None:
    first = child(tmp_path, "start", "kill-before-two")
    first.communicate(timeout=600)
    others = [child(tmp_path, "resume", "hold-three") for _ in range(3)]
    try:
        lost = [process for process in others if _loses(process)]
        (tmp_path / "go").touch()
        winners = [process for process in others if process not in lost]
        assert len(lost) == 2
        out, errors = winners[0].communicate(timeout=600)
        assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"], errors
        assert effects(tmp_path) == ["one", "two", "three"]
    finally:
        for process in others:
            process.kill()
            process.communicate()


def _loses(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() in ("holding", "LockedError"):
            return line.strip() == "LockedError"
    raise AssertionError("neither won nor lost")


def test_two_processes_with_a_run_each_do_not_take_each_others(tmp_path: Path) -> None:
    first = child(tmp_path, "start", "hold-two")
    reads(first, "holding")
    other = child(tmp_path, "start", "none", "r2")
    out, errors = other.communicate(timeout=600)
    assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"], errors
    (tmp_path / "go").touch()
    first.communicate(timeout=600)
    assert first.returncode == 0
    assert sorted(effects(tmp_path)) == sorted(["one", "two", "three"] * 2)


def test_abort_from_another_process(tmp_path: Path) -> None:
    first = child(tmp_path, "start", "hold-two")
    reads(first, "holding")
    with opened(tmp_path) as store:
        store.owners.request_abort("r1", "alice")
    (tmp_path / "go").touch()
    out, errors = first.communicate(timeout=600)
    assert json.loads(out.splitlines()[-1]) == "aborted", errors
    assert effects(tmp_path) == ["one", "two"]


def test_a_disk_that_fills_up_in_the_middle_stops_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    first = child(tmp_path, "start", "full-after-two")
    out, errors = first.communicate(timeout=600)
    assert out.split() == ["StateError"], errors
    assert effects(tmp_path) == ["one", "two"], "nothing more after the record that could not be written"
    second = child(tmp_path, "resume")
    out, errors = second.communicate(timeout=600)
    assert json.loads(out.splitlines()[-1]) == ["one", "two", "three"], errors
    assert effects(tmp_path) == ["one", "two", "two", "three"]


def test_resuming_what_never_was_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        with opened(tmp_path) as store:
            engine = DbosEngine(store, {})
            with pytest.raises(RunNotFound):
                await engine.resume("r1")
            await engine.close()

    asyncio.run(main())


def test_the_files_are_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    first = child(folder, "start", "none")
    out, errors = first.communicate(timeout=600)
    assert first.returncode == 0, (out, errors)
    assert (folder.stat().st_mode & 0o777) == 0o700
    for file in folder.rglob("*"):
        if file.name not in ("effects", "go"):
            assert file.stat().st_mode & 0o077 == 0, file


def test_an_engine_that_is_closed_without_waiting_makes_room_for_the_next(tmp_path: Path) -> None:
    async def workflow(context: WorkflowContext, payload: Json) -> Json:
        async def body() -> Json:
            return payload

        return await context.step("only", body)

    async def main() -> list[Json]:
        found = []
        for number in range(3):
            with opened(tmp_path) as store:
                engine = DbosEngine(store, {"w": workflow})
                found.append(await engine.start("w", f"r{number}", number))
                await engine.close(wait=False)
            assert await asyncio.to_thread(lambda: "alive") == "alive", "the pool of the loop is there for others"
        return found

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_run_loads_neither_the_driver_of_another_database_nor_what_it_does_not_use(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from backout.engine.dbos_engine import DbosEngine\n"
        "from backout.engine.dbos_records import preload\n"
        "from backout.engine.store.opening import open_store\n"
        "async def workflow(context, payload):\n"
        "    async def body(): return payload\n"
        "    return await context.step('only', body)\n"
        "async def main():\n"
        "    preload()\n"
        f"    store = open_store('sqlite:///{tmp_path}/state.db', create=True)\n"
        "    engine = DbosEngine(store, {'w': workflow})\n"
        "    print(await engine.start('w', 'r1', 7))\n"
        "    await engine.close()\n"
        "asyncio.run(main())\n"
        "unused = ('psycopg', 'sqlalchemy.orm', 'sqlalchemy.ext.asyncio', 'croniter', 'dateutil')\n"
        "print('dbos' in sys.modules, *(name for name in unused if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.split() == ["7", "True"]


def test_a_standard_error_that_is_closed_after_the_first_run_is_no_trouble(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys\n"
        "from backout.engine.dbos_engine import DbosEngine\n"
        "from backout.engine.store.opening import open_store\n"
        "async def workflow(context, payload):\n"
        "    async def body(): return payload\n"
        "    return await context.step('only', body)\n"
        f"store = open_store('sqlite:///{tmp_path}/state.db', create=True)\n"
        "async def main(run):\n"
        "    engine = DbosEngine(store, {'w': workflow})\n"
        "    print(await engine.start('w', run, run))\n"
        "    await engine.close()\n"
        "real, sys.stderr = sys.stderr, open(os.devnull, 'w')\n"
        "asyncio.run(main('r1'))\n"
        "sys.stderr.close(); sys.stderr = real\n"
        "asyncio.run(main('r2'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout.split(), done.stderr) == (["r1", "r2"], "")
