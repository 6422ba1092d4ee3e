# SPDX-License-Identifier: Apache-2.0
"""The audit in PostgreSQL; see `backout.engine.store.audit`.

The chain of a run is written under the lock of its own row, so that any number of processes may write about one run; the log under
one advisory lock, which is taken last of all locks of a transaction.
"""

from __future__ import annotations

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
from backout.engine.store.postgres.connection import Cursor, Database
from backout.engine.store.rows import moment_text
from backout.model.chain import Entry, EntryType, Head, Link, link_hash, next_entry
from backout.model.run import Run

LOCK = 0x6175646974
"""Number of the advisory lock under which the log is written."""
_INSERT = f"INSERT INTO audit({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)"  # noqa: S608


class PostgresAudit:
    """The log and the chains. Methods that take a cursor are parts of a transaction that writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A guess that each write is held to: whoever else wrote about the run meanwhile is seen by it.
        self._written: dict[str, Head] = {}

    @property
    def role(self) -> str:
        """The role of this session."""
        return self._database.transact(self._role)

    def clock(self) -> datetime:
        """The time of the server."""

        def look(cursor: Cursor) -> datetime:
            cursor.execute("SELECT clock_timestamp()")
            return (cursor.fetchone() or (datetime.now(UTC),))[0].astimezone(UTC)  # type: ignore[no-any-return]

        return self._database.transact(look)

    @property
    def database(self) -> str:
        """The name of the database."""

        def look(cursor: Cursor) -> Any:
            cursor.execute(f"SELECT {COLUMNS} FROM audit WHERE n=0")  # noqa: S608
            return cursor.fetchone()

        row = self._database.transact(look)
        return database_of(entry_of(row) if row else None)

    def entries(self) -> list[Entry]:
        """The whole log, in its order."""

        def look(cursor: Cursor) -> list[Any]:
            cursor.execute(f"SELECT {COLUMNS} FROM audit ORDER BY n")  # noqa: S608
            return cursor.fetchall()

        return [entry_of(row) for row in self._database.transact(look)]

    def hash_of(self, n: int) -> str:
        """The hash of one entry of the log; empty where it is not there."""

        def look(cursor: Cursor) -> str:
            cursor.execute("SELECT hash FROM audit WHERE n=%s", (n,))
            return str((cursor.fetchone() or ("",))[0])

        return self._database.transact(look)

    def links(self, run: str) -> list[Link]:
        """The events of a run that are in its chain, in their order."""

        def look(cursor: Cursor) -> list[Any]:
            cursor.execute("SELECT n, key, event, hash FROM events WHERE run=%s AND n>0 ORDER BY n, seq", (run,))
            return cursor.fetchall()

        rows = self._database.transact(look)
        return [link_of(run, row) for row in rows]

    def heads(self) -> list[Head]:
        """How far each chain goes."""
        return self._database.transact(self._heads)

    def still(self, work: Callable[[], T]) -> T:
        """Does ``work`` in one transaction that sees one state of the database."""

        def look(cursor: Cursor) -> T:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return work()

        return self._database.transact(look)

    def checkpoint(self, at: datetime, sign: Sign) -> Entry | None:
        """Appends a checkpoint; None where nothing is new since the last one."""

        def write(cursor: Cursor) -> Entry | None:
            # The rows first, as every other transaction has it: a chain stands still while its head is noted.
            loose = self._heads(cursor, "WHERE n>anchored", " FOR UPDATE")
            entry = checkpoint_after(self._last(cursor), loose, moment_text(at), sign)
            if entry is not None:
                cursor.execute(_INSERT, row_of(entry))
                cursor.execute("UPDATE chains SET anchored=n WHERE run = ANY(%s)", ([one.run for one in loose],))
            return entry

        return self._database.transact(write)

    # within the transactions of the store

    def begin(self, cursor: Cursor, run: Run, former: int = 0) -> Head:
        """Tells of a run, and begins its chain."""
        last = self._last(cursor)
        if (head := self.head(cursor, run.id)) is not None:
            return head  # another process began it while this one waited
        entry = self._append(cursor, last, "run-created", run.id, created(run, former=former, role=self._role(cursor)))
        cursor.execute("INSERT INTO chains(run, n, head) VALUES (%s, 0, %s)", (run.id, entry.hash))
        return Head(run=run.id, n=0, head=entry.hash)

    def head(self, cursor: Cursor, run: str) -> Head | None:
        """How far the chain of a run goes, which nobody else changes until the end of the transaction; None where it has none."""
        cursor.execute("SELECT n, head, anchored FROM chains WHERE run=%s FOR UPDATE", (run,))
        row = cursor.fetchone()
        return Head(run=run, n=row[0], head=row[1], anchored=row[2]) if row else None

    @staticmethod
    def follow(head: Head, key: str, event: bytes) -> Head:
        """The head after an event."""
        return Head(run=head.run, n=head.n + 1, head=link_hash(head.head, head.run, head.n + 1, key, event))

    def add(self, cursor: Cursor, run: str, key: str, event: bytes) -> int | None:
        """Writes an event after the last one that this process wrote of the run, and answers its number in the table; None where
        another process wrote since, or the event is there already: then nothing is written."""
        known = self._written.get(run)
        if known is None:
            return None
        after = self.follow(known, key, event)
        cursor.execute(
            "WITH moved AS (UPDATE chains SET n=%s, head=%s WHERE run=%s AND n=%s AND head=%s AND NOT EXISTS "
            "(SELECT 1 FROM events WHERE run=%s AND key=%s) RETURNING 1) INSERT INTO events(run, key, event, n, hash) "
            "SELECT %s, %s, %s, %s, %s FROM moved RETURNING seq",
            (after.n, after.head, run, known.n, known.head, run, key, run, key, event, after.n, after.head),
        )
        row = cursor.fetchone()
        if row is not None:
            self._written[run] = after
        return int(row[0]) if row else None

    def append(self, cursor: Cursor, head: Head, key: str, event: bytes) -> int | None:
        """Writes an event after ``head``, whose row is locked; None where it is there already."""
        after = self.follow(head, key, event)
        cursor.execute(
            "WITH new AS (INSERT INTO events(run, key, event, n, hash) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (run, key) DO NOTHING RETURNING seq), moved AS "
            "(UPDATE chains SET n=%s, head=%s WHERE run=%s AND EXISTS (SELECT 1 FROM new)) SELECT seq FROM new",
            (head.run, key, event, after.n, after.head, after.n, after.head, head.run),
        )
        row = cursor.fetchone()
        self._written[head.run] = after if row is not None else head
        return int(row[0]) if row else None

    def ended(self, cursor: Cursor, run: str, state: str) -> None:
        """Tells how the chain of a run stands at its end."""
        head = self.head(cursor, run)
        data = stands(state, head, role=self._role(cursor))
        cursor.execute("UPDATE chains SET anchored=n WHERE run=%s", (run,))
        self._append(cursor, self._last(cursor), "run-ended", run, data)

    def removed(self, cursor: Cursor, heads: list[tuple[str, str, Head | None]], actor: str) -> None:
        """Tells that runs (id, state, head) were removed; what is left of them is this. The last thing of a transaction."""
        if not heads:
            return
        role, last = self._role(cursor), self._last(cursor)
        for run, state, head in heads:
            cursor.execute("DELETE FROM chains WHERE run=%s", (run,))
            last = self._append(cursor, last, "run-removed", run, stands(state, head, actor=actor, role=role))

    def _append(self, cursor: Cursor, last: Entry | None, type: EntryType, run: str, data: dict[str, Any]) -> Entry:
        now = moment_text(datetime.now(UTC))
        if last is None:
            last = opening(now)
            cursor.execute(_INSERT, row_of(last))
        entry = next_entry(last, type, now, run, data)
        cursor.execute(_INSERT, row_of(entry))
        return entry

    def _last(self, cursor: Cursor) -> Entry | None:
        """The last entry, after which nobody else writes until the end of the transaction."""
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        cursor.execute(f"SELECT {COLUMNS} FROM audit ORDER BY n DESC LIMIT 1")  # noqa: S608
        row = cursor.fetchone()
        return entry_of(row) if row else None

    @staticmethod
    def _role(cursor: Cursor) -> str:
        cursor.execute("SELECT session_user")
        return str((cursor.fetchone() or ("",))[0])

    @staticmethod
    def _heads(cursor: Cursor, where: str = "", lock: str = "") -> list[Head]:
        cursor.execute(f"SELECT run, n, head, anchored FROM chains {where} ORDER BY run{lock}")  # noqa: S608
        return [Head(run=run, n=n, head=head, anchored=anchored) for run, n, head, anchored in cursor.fetchall()]
