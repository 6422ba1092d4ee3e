# SPDX-License-Identifier: Apache-2.0
"""Which process executes which run. A run changes hands only when its process is proven dead."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backout.engine import processes
from backout.engine.schema import TABLES, VERSION
from backout.engine.statefile import connect, translated
from backout.errors import LockedError, StateError


class StateDatabase:
    """One connection to the state database, with our tables in it.

    Raises:
        StateError: the file can't be used; says why.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self.database = connect(path, create=create)
        try:
            with translated(path):
                self._migrate()
        except BaseException:
            self.database.close()
            raise

    def _migrate(self) -> None:
        version = self.database.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StateError(
                "The state database {path} was written by a newer Backout.",
                path=str(self.path),
                hint="use that version, or set BACKOUT_STATE to another file",
            )
        if version < VERSION:
            with self.writing():
                for statement in TABLES.split(";"):
                    if statement.strip():
                        self.database.execute(statement)
                self.database.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One write transaction, which takes the writer's lock at its start."""
        with translated(self.path):
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
            except BaseException:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Reads; errors of SQLite become StateError."""
        with translated(self.path):
            yield self.database

    def close(self) -> None:
        """Closes the connection."""
        self.database.close()


class Owners:
    """The claims of processes on runs."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    def claim(self, run: str, process: str) -> None:
        """Makes ``process`` the one that executes ``run``. Two claims at once: one wins.

        Raises:
            LockedError: a living process has it.
        """
        with self._state.writing() as database:
            row = database.execute("SELECT process, since FROM backout_owners WHERE run=?", (run,)).fetchone()
            if row and row[0] != process and processes.alive(self._state.path, row[0]):
                raise LockedError(
                    "Run {run} is being executed by process {pid} on {host} since {since}.",
                    run=run,
                    since=row[1],
                    hint="let it finish, watch it with `backout show {run}`, or stop it with `backout abort {run}`",
                    **processes.describe(row[0]),
                )
            database.execute(
                "INSERT INTO backout_owners(run, process, since) VALUES (?, ?, ?) "
                "ON CONFLICT(run) DO UPDATE SET process=excluded.process, since=excluded.since",
                (run, process, datetime.now(UTC).isoformat(timespec="seconds")),
            )

    def end(self, run: str) -> None:
        """The run needs no process any more."""
        with self._state.writing() as database:
            database.execute("UPDATE backout_owners SET ended=1 WHERE run=?", (run,))

    def known(self, run: str) -> bool:
        """Whether any process ever had the run."""
        with self._state.reading() as database:
            return database.execute("SELECT 1 FROM backout_owners WHERE run=?", (run,)).fetchone() is not None

    def unfinished(self, run: str) -> bool:
        """Whether the engine began the run and has not come to its end."""
        with self._state.reading() as database:
            row = database.execute("SELECT 1 FROM backout_owners WHERE run=? AND ended=0", (run,)).fetchone()
        return row is not None

    def alive(self, run: str) -> bool:
        """Whether a living process executes the run."""
        with self._state.reading() as database:
            row = database.execute("SELECT process FROM backout_owners WHERE run=? AND ended=0", (run,)).fetchone()
        return bool(row) and processes.alive(self._state.path, row[0])

    def orphans(self) -> list[str]:
        """Runs that are not finished and whose process is dead, oldest first; also forgets locks of dead processes."""
        with self._state.reading() as database:
            rows = database.execute("SELECT run, process FROM backout_owners WHERE ended=0 ORDER BY since").fetchall()
        processes.sweep(self._state.path, set())
        return [run for run, process in rows if not processes.alive(self._state.path, process)]

    def request_abort(self, run: str, actor: str = "") -> None:
        """Asks for a stop at the next step; stays until the run ends."""
        with self._state.writing() as database:
            database.execute(
                "INSERT OR IGNORE INTO backout_aborts(run, actor, at) VALUES (?, ?, ?)",
                (run, actor, datetime.now(UTC).isoformat(timespec="seconds")),
            )

    def abort_requested(self, run: str) -> bool:
        """Whether somebody asked for it, from whatever process."""
        with self._state.reading() as database:
            return database.execute("SELECT 1 FROM backout_aborts WHERE run=?", (run,)).fetchone() is not None
