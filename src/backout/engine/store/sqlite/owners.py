# SPDX-License-Identifier: Apache-2.0
"""Which process executes which run. A run changes hands only when its process is proven dead."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

from backout.engine.store.naming import new_process_id
from backout.engine.store.port import LET_GO, executed_elsewhere, taken_over
from backout.engine.store.sqlite import processes
from backout.engine.store.sqlite.database import StateDatabase


class SqliteOwners:
    """The claims of processes on runs."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        self._claimed: dict[str, str] = {}

    def enter(self) -> processes.ProcessLock:
        """This process, as one that lives until its lock is dropped."""
        return processes.ProcessLock(self._state.path, new_process_id())

    def claim(self, run: str, process: str) -> None:
        """Makes ``process`` the one that executes ``run``. Two claims at once: one wins.

        Raises:
            LockedError: a living process has it.
        """
        with self._state.writing() as database:
            row = database.execute("SELECT process, since FROM backout_owners WHERE run=?", (run,)).fetchone()
            if row and row[0] != process and processes.alive(self._state.path, row[0]):
                raise executed_elsewhere(run, row[0], row[1])
            database.execute(
                "INSERT INTO backout_owners(run, process, since) VALUES (?, ?, ?) "
                "ON CONFLICT(run) DO UPDATE SET process=excluded.process, since=excluded.since",
                (run, process, datetime.now(UTC).isoformat(timespec="seconds")),
            )
        self._claimed[run] = process

    def confirm(self, run: str) -> None:
        """Right before an effect: the claim that was made here still stands.

        Raises:
            LeaseLost: another process has the run.
        """
        with self._state.reading() as database:
            self.fence(database, run)

    def fence(self, database: sqlite3.Connection, run: str) -> None:
        """Within a transaction that writes about ``run``: if it was claimed here, the claim still stands.

        Raises:
            LeaseLost: it does not.
        """
        process = self._claimed.get(run)
        if process is None:
            return
        row = database.execute("SELECT process FROM backout_owners WHERE run=?", (run,)).fetchone()
        if row is None or row[0] != process:
            raise taken_over(run)

    def let_go(self, run: str) -> None:
        """Gives up the claim that was made here, if it stands."""
        process, self._claimed[run] = self._claimed.get(run), LET_GO
        with self._state.writing() as database:
            database.execute("UPDATE backout_owners SET process='' WHERE run=? AND process=?", (run, process))

    def end(self, run: str) -> None:
        """The run needs no process any more."""
        with self._state.writing() as database:
            self.fence(database, run)
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

    def executions(self, run: str) -> list[str]:
        """The run and its pieces, as far as any process ever had them."""
        with self._state.reading() as database:
            rows = database.execute(
                "SELECT run FROM backout_owners WHERE substr(run || ' ', 1, ?)=?", (len(run) + 1, f"{run} ")
            ).fetchall()
        return [str(row[0]) for row in rows]

    def orphans(self) -> list[str]:
        """Runs that are not finished and whose process is dead, oldest first; also forgets locks of dead processes."""
        with self._state.reading() as database:
            rows = database.execute(
                "SELECT run, process FROM backout_owners WHERE ended=0 AND instr(run, ' ')=0 ORDER BY since"
            ).fetchall()
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
