# SPDX-License-Identifier: Apache-2.0
"""One connection to the state database, with our tables in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from backout.effects import passing
from backout.engine.store.port import Aim
from backout.engine.store.sqlite.file import connect, translated
from backout.engine.store.sqlite.schema import CHAINED, FROM_1, TABLES, VERSION
from backout.errors import StateError


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
            self.database.create_function("backout_aims", 3, _aims)
            with self.writing():
                # Looked at again under the lock: another process may have brought the file up to date meanwhile.
                version = self.database.execute("PRAGMA user_version").fetchone()[0]
                if version >= VERSION:
                    return
                columns = [row[1] for row in self.database.execute("PRAGMA table_info(backout_events)").fetchall()]
                former = (CHAINED if columns and "hash" not in columns else "") + (FROM_1 if version == 1 else "")
                for statement in (TABLES + former).split(";"):
                    if statement.strip():
                        self.database.execute(statement)
                self.database.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def writing(self, *, settled: bool = True) -> Iterator[sqlite3.Connection]:
        """One write transaction, which takes the writer's lock at its start.

        Not ``settled``: its commit waits for no disk. The next one that is takes it along, and a crash of this process alone loses
        nothing: in the log a commit stands only on those before it (sqlite.org/pragma.html#pragma_synchronous, sqlite.org/walformat.html).
        """
        with translated(self.path), passing("state"), self._waiting(settled):
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
            except BaseException:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")

    @contextmanager
    def _waiting(self, settled: bool) -> Iterator[None]:
        if settled:
            yield
            return
        self.database.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            self.database.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Reads; errors of SQLite become StateError."""
        with translated(self.path):
            yield self.database

    def close(self) -> None:
        """Closes the connection."""
        self.database.close()


def _aims(cluster: str, namespace: str, target: str) -> bytes:
    """What version 1 kept of a run's one target, as the runs of today have it."""
    return msgspec.json.encode([Aim(cluster, namespace, target)])
