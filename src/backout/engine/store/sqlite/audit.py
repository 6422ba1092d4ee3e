# SPDX-License-Identifier: Apache-2.0
"""The audit in SQLite; see `backout.engine.store.audit`. One writer at a time is the rule of the file, so nothing more is locked."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from backout.engine.store.audit import (
    COLUMNS,
    Sign,
    T,
    checkpoint_after,
    created,
    database_of,
    entry_of,
    link_of,
    opening,
    row_of,
    stands,
)
from backout.engine.store.rows import moment_text
from backout.engine.store.sqlite.database import StateDatabase
from backout.model.chain import Entry, EntryType, Head, Link, link_hash, next_entry
from backout.model.run import Run

_INSERT = f"INSERT INTO backout_audit({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


class SqliteAudit:
    """The log and the chains. Methods that take a connection are parts of a transaction that writes."""

    role = ""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    def clock(self) -> datetime:
        """The time of this machine."""
        return datetime.now(UTC)

    @property
    def database(self) -> str:
        """The name of the database."""
        with self._state.reading() as database:
            row = database.execute(f"SELECT {COLUMNS} FROM backout_audit WHERE n=0").fetchone()  # noqa: S608
        return database_of(entry_of(row) if row else None)

    def entries(self) -> list[Entry]:
        """The whole log, in its order."""
        with self._state.reading() as database:
            rows = database.execute(f"SELECT {COLUMNS} FROM backout_audit ORDER BY n").fetchall()  # noqa: S608
        return [entry_of(row) for row in rows]

    def hash_of(self, n: int) -> str:
        """The hash of one entry of the log; empty where it is not there."""
        with self._state.reading() as database:
            row = database.execute("SELECT hash FROM backout_audit WHERE n=?", (n,)).fetchone()
        return str(row[0]) if row else ""

    def links(self, run: str) -> list[Link]:
        """The events of a run that are in its chain, in their order."""
        with self._state.reading() as database:
            rows = database.execute(
                "SELECT n, key, event, hash FROM backout_events WHERE run=? AND n>0 ORDER BY n, seq", (run,)
            ).fetchall()
        return [link_of(run, row) for row in rows]

    def heads(self) -> list[Head]:
        """How far each chain goes."""
        with self._state.reading() as database:
            return self._heads(database)

    def still(self, work: Callable[[], T]) -> T:
        """Does ``work`` on one snapshot of the file."""
        with self._state.reading() as database:
            database.execute("BEGIN")
            try:
                return work()
            finally:
                database.execute("ROLLBACK")

    def checkpoint(self, at: datetime, sign: Sign) -> Entry | None:
        """Appends a checkpoint; None where nothing is new since the last one."""
        with self._state.writing() as database:
            loose = self._heads(database, "WHERE n>anchored")
            entry = checkpoint_after(self._last(database), loose, moment_text(at), sign)
            if entry is not None:
                database.execute(_INSERT, row_of(entry))
                database.execute("UPDATE backout_chains SET anchored=n WHERE n>anchored")
            return entry

    # within the transactions of the store

    def begin(self, database: sqlite3.Connection, run: Run, former: int = 0) -> Head:
        """Tells of a run, and begins its chain."""
        entry = self._append(database, "run-created", run.id, created(run, former=former))
        database.execute("INSERT INTO backout_chains(run, n, head) VALUES (?, 0, ?)", (run.id, entry.hash))
        return Head(run=run.id, n=0, head=entry.hash)

    def head(self, database: sqlite3.Connection, run: str) -> Head | None:
        """How far the chain of a run goes; None where it has none."""
        row = database.execute("SELECT n, head, anchored FROM backout_chains WHERE run=?", (run,)).fetchone()
        return Head(run=run, n=row[0], head=row[1], anchored=row[2]) if row else None

    def follow(self, head: Head, key: str, event: bytes) -> Head:
        """The head after an event."""
        return Head(run=head.run, n=head.n + 1, head=link_hash(head.head, head.run, head.n + 1, key, event))

    def move(self, database: sqlite3.Connection, head: Head) -> None:
        """The event of this head is written."""
        database.execute("UPDATE backout_chains SET n=?, head=? WHERE run=?", (head.n, head.head, head.run))

    def ended(self, database: sqlite3.Connection, run: str, state: str) -> None:
        """Tells how the chain of a run stands at its end."""
        self._append(database, "run-ended", run, stands(state, self.head(database, run)))
        database.execute("UPDATE backout_chains SET anchored=n WHERE run=?", (run,))

    def removed(self, database: sqlite3.Connection, run: str, state: str, actor: str) -> None:
        """Tells that a run was removed, and how its chain stood; what is left of it is this."""
        self._append(database, "run-removed", run, stands(state, self.head(database, run), actor=actor))
        database.execute("DELETE FROM backout_chains WHERE run=?", (run,))

    def _append(self, database: sqlite3.Connection, type: EntryType, run: str, data: dict[str, Any]) -> Entry:
        now, last = moment_text(datetime.now(UTC)), self._last(database)
        if last is None:
            last = opening(now)
            database.execute(_INSERT, row_of(last))
        entry = next_entry(last, type, now, run, data)
        database.execute(_INSERT, row_of(entry))
        return entry

    def _last(self, database: sqlite3.Connection) -> Entry | None:
        row = database.execute(f"SELECT {COLUMNS} FROM backout_audit ORDER BY n DESC LIMIT 1").fetchone()  # noqa: S608
        return entry_of(row) if row else None

    @staticmethod
    def _heads(database: sqlite3.Connection, where: str = "") -> list[Head]:
        rows = database.execute(f"SELECT run, n, head, anchored FROM backout_chains {where} ORDER BY run").fetchall()  # noqa: S608
        return [Head(run=run, n=n, head=head, anchored=anchored) for run, n, head, anchored in rows]
