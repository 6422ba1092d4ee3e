# SPDX-License-Identifier: Apache-2.0
"""Old SQLite libraries: the engine gets the time from them, and one that is too old is named, whatever this machine has."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from backout.engine import dbos_engine, dbos_records
from backout.engine.store.sqlite import file, library, runs
from backout.engine.store.sqlite.library import Connection, check, tell_time
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import StateError

TABLE = "CREATE TABLE t (id INTEGER, at INTEGER NOT NULL DEFAULT (unixepoch('subsec') * 1000))"


def as_old(database: sqlite3.Connection) -> None:
    """SQLite 3.38 to 3.41: the function is there, and answers NULL for a word that it does not know."""
    database.create_function("unixepoch", -1, lambda *_: None)
    database.create_function("unixepoch", 1, lambda _: None)


def as_new(database: sqlite3.Connection) -> None:
    database.create_function("unixepoch", 1, lambda _: 1234.567)


def now(database: sqlite3.Connection) -> Any:
    return database.execute("SELECT unixepoch('subsec')").fetchone()[0]


def test_an_old_library_fails_without_and_works_with_it() -> None:
    database = sqlite3.connect(":memory:")
    as_old(database)
    database.execute("PRAGMA trusted_schema=OFF")  # as some builds have it
    database.execute(TABLE)
    with pytest.raises(sqlite3.Error):
        database.execute("INSERT INTO t(id) VALUES (1)")
    tell_time(database)
    before = time.time()
    database.execute("INSERT INTO t(id) VALUES (1)")
    assert before * 1000 - 1 <= database.execute("SELECT at FROM t").fetchone()[0] <= time.time() * 1000 + 1
    assert abs(now(database) - time.time()) < 60


def test_milliseconds_are_kept() -> None:
    database = sqlite3.connect(":memory:")
    as_old(database)
    tell_time(database)
    answers = set()
    ends = time.monotonic() + 240
    while len(answers) < 3 and time.monotonic() < ends:
        answers.add(now(database))
    assert any(answer != int(answer) for answer in answers)
    assert database.execute("SELECT unixepoch('weekday 1')").fetchone()[0] is None


def test_a_library_that_answers_is_left_alone() -> None:
    database = sqlite3.connect(":memory:")
    as_new(database)
    tell_time(database)
    assert now(database) == 1234.567


def test_each_connection_answers_here() -> None:
    database = sqlite3.connect(":memory:", factory=Connection)
    assert abs(now(database) - time.time()) < 60
    assert database.isolation_level == "IMMEDIATE"
    assert database.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert database.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000


def test_a_run_and_its_take_over_on_an_old_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole engine, on connections that are old before ours is asked; records have their times."""
    made = []

    class Old(Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            made.append(self)
            super().__init__(*args, **kwargs)

    real = library.tell_time

    def told(database: sqlite3.Connection) -> None:
        as_old(database)
        real(database)

    monkeypatch.setattr(library, "tell_time", told)
    monkeypatch.setattr(runs, "Connection", Old)
    state = tmp_path / "state.db"
    store = SqliteRunStore(state)
    stop = True

    async def workflow(context: Any, payload: Any) -> Any:
        async def body() -> str:
            if stop:
                raise StateError("not now")
            return "done"

        return [payload, await context.step("one", body)]

    async def main() -> Any:
        nonlocal stop
        first = dbos_engine.DbosEngine(store, {"w": workflow})
        with pytest.raises(StateError):
            await first.start("w", "r1", 1)
        await first.close()
        stop = False
        second = dbos_engine.DbosEngine(store, {"w": workflow})
        try:
            return await second.resume("r1")
        finally:
            await second.close()

    assert asyncio.run(main()) == [1, "done"]
    assert made
    rows = sqlite3.connect(state).execute("SELECT created_at, updated_at FROM workflow_status").fetchall()
    assert rows and all(abs(at / 1000 - time.time()) < 600 for row in rows for at in row)
    dbos_records.forget(store, ["r1"])
    assert sqlite3.connect(state).execute("SELECT count(*) FROM workflow_status").fetchone()[0] == 0


def test_a_library_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check()
    check((3, 35, 0))
    with pytest.raises(StateError, match=r"too old: 3\.34\.1") as told:
        check((3, 34, 1))
    assert told.value.exit_code == 3 and "3.35.0" in told.value.expected.format(**told.value.arguments)
    monkeypatch.setattr(library, "OLDEST", (99, 0, 0))
    with pytest.raises(StateError, match="too old"):
        file.connect(tmp_path / "state.db")
    assert not (tmp_path / "state.db").exists()
