# SPDX-License-Identifier: Apache-2.0
"""Old runs go whole: record, events, plan, engine's rows and capture. What may still be needed stays."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import NAMES, part, sealed, services

from backout.engine.dbos_engine import DbosEngine
from backout.engine.dbos_records import forget
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import RunNotFound, StateError
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.run import Run, RunEvent, RunState
from backout.model.target import Target
from backout.snapshots.capture import CaptureStore
from backout.workflows.retention import Chosen, Policy, choose, prune
from backout.workflows.runner import begin, workflows

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NONE = Policy(last=0)
PART = "deployment/web"
"""The id of the only part, whatever its target is called."""


def of(name: str, **more: Any) -> Operation:
    """An operation whose target has this name."""
    return sealed(part(target=Target("deployment", name, "ns", "small")), **more)


class Past:
    """A store with runs as they may have been left."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteRunStore(folder / "state" / "state.db")
        self.captures = CaptureStore(folder / "data")
        self.folder = folder

    def run(
        self,
        id: str,
        days: float,
        target: str = "web",
        state: RunState = "recovered",
        *,
        changed: bool = True,
        undo_of: str = "",
        undone_by: str = "",
    ) -> None:
        """A run that began so many days ago."""
        wanted = of(target, undo_of=undo_of)
        self.store.create(
            Run(id=id, state="running", operation=wanted, started=NOW - timedelta(days=days), undo_of=undo_of)
        )
        for kind in ("step-started", "step-done"):
            data = {"changed": changed} if kind == "step-done" else {}
            event = RunEvent(
                run=id, type=kind, at=NOW, message=msg("x"), part=PART, step="step-one", key=kind, data=data
            )
            self.store.record(event)
        self.captures.path(id).parent.mkdir(parents=True, exist_ok=True)
        self.captures.path(id).write_bytes(b"sealed")
        path = str(self.captures.path(id))
        self.store.note_capture(id, PART, path, "")
        self.store.update(id, state=state, ended=NOW, undone_by=undone_by)

    def choose(self, policy: Policy = NONE) -> Chosen:
        return choose(self.store, policy, self.captures, NOW)

    def prune(self, policy: Policy = NONE) -> list[str]:
        done = prune(self.store, policy, self.captures, NOW, self.choose(policy).going)
        return ids(done.runs)

    def left(self) -> set[str]:
        return {run.id for run in self.store.summaries(-1)}

    def files(self) -> set[str]:
        return {path.stem for path in (self.folder / "data" / "captures").iterdir()}


def ids(runs: Any) -> list[str]:
    return [run.id for run in runs]


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def test_newest_and_young_ones_stay(past: Past) -> None:
    for days in reversed(range(10)):
        past.run(f"r{days}", days + 0.5, changed=False)
    assert ids(past.choose(Policy(last=3)).going) == [f"r{n}" for n in range(3, 10)]
    assert ids(past.choose(Policy(younger_than=timedelta(days=7))).going) == ["r7", "r8", "r9"]
    both = past.choose(Policy(last=9, younger_than=timedelta(days=7)))
    assert ids(both.going) == ["r9"] and both.recent == 9
    assert ids(past.choose().going) == [f"r{n}" for n in range(10)]


@pytest.mark.parametrize("state", ["pending", "running", "interrupted"])
def test_what_is_not_over_stays_and_what_it_takes_back_too(past: Past, state: RunState) -> None:
    past.run("first", 9)
    past.run("undoing", 8, state=state, undo_of="first")
    past.run("other", 7, "db", changed=False)
    for policy in (NONE, Policy(undoable=True)):
        chosen = past.choose(policy)
        assert (ids(chosen.going), ids(chosen.unfinished)) == (["other"], ["undoing"])
    assert past.prune(Policy(undoable=True)) == ["other"]
    assert past.files() == past.left() == {"first", "undoing"}


def test_a_run_that_the_engine_has_not_ended_stays(past: Past) -> None:
    past.run("killed-at-its-end", 9)
    past.store.owners.claim("killed-at-its-end", "host-1-boot-rand")
    assert ids(past.choose(Policy(undoable=True)).unfinished) == ["killed-at-its-end"]
    past.store.owners.end("killed-at-its-end")
    assert ids(past.choose(Policy(undoable=True)).going) == ["killed-at-its-end"]


def test_the_last_change_of_each_target_stays_unless_told_or_taken_back(past: Past) -> None:
    past.run("web-1", 9)
    past.run("web-2", 8)
    past.run("web-3", 7, changed=False)
    past.run("db-1", 6, "db", undone_by="db-2")
    past.run("db-2", 5, "db", undo_of="db-1")
    past.run("failed", 4, "cache", state="failed", changed=False)
    chosen = past.choose()
    assert ids(chosen.undoable) == ["db-2", "web-2"], "of web the second: the third changed nothing"
    assert ids(chosen.going) == ["failed", "db-1", "web-3", "web-1"]
    assert len(past.choose(Policy(undoable=True)).going) == 6
    past.store.update("web-2", undone_by="someone")
    assert "web-2" in ids(past.choose().going)


def test_it_goes_whole_and_others_stay_whole(past: Past) -> None:
    past.run("old", 40, changed=False)
    past.run("new", 1)
    shared = past.store.get("new").operation.hash
    assert past.prune(Policy(younger_than=timedelta(days=30))) == ["old"]
    assert past.files() == past.left() == {"new"}
    assert past.store.get("new").operation.hash == shared and len(past.store.events("new")) == 2
    with pytest.raises(RunNotFound):
        past.store.get("old")
    assert past.prune(Policy(younger_than=timedelta(days=30))) == []
    database = sqlite3.connect(past.store.path)
    for table in ("runs", "events", "owners", "aborts", "plans", "parts"):
        column = {"runs": "id", "plans": "hash"}.get(table, "run")
        found = {row[0] for row in database.execute(f"SELECT {column} FROM backout_{table}")}
        assert found <= {"new", shared}, table
    database.close()


def test_a_run_that_is_needed_meanwhile_stays(past: Past) -> None:
    past.run("first", 40)
    policy = Policy(undoable=True)
    going = past.choose(policy).going
    past.run("undo", 0, state="running", undo_of="first")
    assert prune(past.store, policy, past.captures, NOW, going).runs == ()
    assert past.files() == {"first", "undo"}


def test_a_death_in_between_leaves_what_the_next_one_needs_to_know(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in reversed(range(3)):
        past.run(f"r{number}", 40 + number, changed=False)
    unlink = Path.unlink

    def dies(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok)
        if self.stem == "r1":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(KeyboardInterrupt):
        past.prune()
    assert past.left() == {"r0", "r1", "r2"}, "a record goes after its capture, never before"
    monkeypatch.undo()
    assert past.prune() == ["r0", "r1", "r2"]
    assert past.files() == set()


def rows(state: Path) -> dict[str, int]:
    """How many rows the engine's tables have that belong to a run."""
    database = sqlite3.connect(state)
    try:
        tables = ("workflow_status", "operation_outputs")
        return {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    finally:
        database.close()


def test_what_the_engine_kept_goes_and_other_runs_can_be_resumed(tmp_path: Path) -> None:
    outside, files = services(tmp_path)
    store, captures = outside.store, outside.captures

    def on(work: Callable[[DbosEngine], Any]) -> None:
        async def main() -> None:
            engine = DbosEngine(store, workflows(outside))
            try:
                await work(engine)
            finally:
                await engine.close()

        asyncio.run(main())

    for number, name in enumerate(("a", "b", "c")):
        began = datetime.now(UTC) - timedelta(days=9 - number)
        store.create(Run(id=name, state="pending", operation=of(name), started=began, actor="alice"))
    (tmp_path / "files").mkdir()

    async def first(engine: DbosEngine) -> None:
        await begin(engine, store, "a")
        for name in NAMES:
            (tmp_path / "files" / name).unlink()
        await begin(engine, store, "b")

    on(first)
    before = rows(store.path)
    assert before["workflow_status"] == 2
    now = datetime.now(UTC)
    assert ids(choose(store, NONE, captures, now).undoable) == ["b", "a"]
    policy = Policy(last=2, undoable=True)
    done = prune(store, policy, captures, now, choose(store, policy, captures, now).going)
    assert (ids(done.runs), done.captures) == (["a"], 1) and done.freed > 0
    after = rows(store.path)
    assert after["workflow_status"] == 1 and 0 < after["operation_outputs"] < before["operation_outputs"]
    on(lambda engine: begin(engine, store, "c"))
    assert store.get("c").state == "recovered"
    assert files.read("one") == "new"


def test_a_database_that_can_not_be_written_is_told_and_nothing_goes(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.run("old", 40, changed=False)
    monkeypatch.setattr("backout.engine.store.sqlite.file.BUSY_TIMEOUT", 0.1)
    other = sqlite3.connect(past.store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    past.store._state.database.execute("PRAGMA busy_timeout=100")
    with pytest.raises(StateError, match="locked"):
        past.prune()
    other.execute("ROLLBACK")
    other.close()
    assert past.files() == past.left() == {"old"}


def test_forgetting_where_the_engine_never_was(tmp_path: Path) -> None:
    with SqliteRunStore(tmp_path / "state.db") as store:
        forget(store, ["r1"])
        store.owners.claim("killed-before-the-engine-began", "host-1-boot-rand")
        forget(store, ["killed-before-the-engine-began"])
