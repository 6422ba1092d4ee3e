# SPDX-License-Identifier: Apache-2.0
"""Runs, their plans and their events in PostgreSQL; see `backout.engine.store.port`. Does not load the durable engine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import msgspec

from backout.engine.store.port import Listener, RunSummary, meant_by, unknown_run
from backout.engine.store.postgres.address import parse
from backout.engine.store.postgres.audit import PostgresAudit
from backout.engine.store.postgres.connection import Cursor, Database, connect, lost
from backout.engine.store.postgres.owners import PostgresOwners
from backout.engine.store.postgres.queue import PostgresQueue
from backout.engine.store.rows import NEW, SUMMARY, WHOLE, Rows, key_of, keys_of, values_changed, values_of
from backout.errors import StateError
from backout.model.chain import Head, canonical
from backout.model.redacted import without_secrets
from backout.model.run import ENDED, Failure, Run, RunEvent, RunState
from backout.model.verdict import Verdict

POOL = 6
"""Connections that the durable engine of one process may have, beside the two of ours."""
PRUNING = 0x7072756E65
"""Number of the advisory lock under which plans that no run has go: nobody makes a run of one meanwhile."""


class PostgresRunStore:
    """The runs of all who use this database.

    Args:
        url: as libpq reads it.
        create: False opens for reading and makes nothing: what is missing reads as empty.
        waits: see `Database`.

    Raises:
        ConfigError: it is no such URL.
        StateError: the database can't be used; says why.
    """

    def __init__(self, url: str, *, create: bool = True, waits: Callable[[StateError], None] | None = None) -> None:
        self._address = parse(url)
        self._database = Database(self._address, create=create, waits=waits)
        self.owners = PostgresOwners(self._database)
        self.queue = PostgresQueue(self._database, self.owners)
        self._rows = Rows(self.owners, self._damaged)
        self.audit = PostgresAudit(self._database)
        self._listeners: list[Listener] = []
        self._execution = ""

    def _damaged(self) -> StateError:
        return StateError(
            "{place} holds a record that can't be read.",
            place=self.place,
            hint="a newer Backout may have written it; else the database is damaged: restore it from a backup",
        )

    @property
    def url(self) -> str:
        """The dialect alone: how to connect is among the options, where a password is not shown by mistake."""
        return "postgresql+psycopg://"

    @property
    def engine_options(self) -> Mapping[str, Any]:
        """A bounded pool of connections like our own."""
        return {
            "creator": lambda: connect(self._address, autocommit=False),
            "pool_size": POOL,
            "max_overflow": 0,
            "pool_timeout": 30,
            "pool_pre_ping": True,
        }

    @property
    def shared(self) -> bool:
        """Any host may use it."""
        return True

    def lost(self, error: BaseException) -> bool:
        """By the state of the error, over TCP and over a socket."""
        return lost(error)

    @property
    def place(self) -> str:
        """The database's name and the server."""
        return self._address.place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    # who writes

    def acting(self, execution: str) -> Self:
        """This store for who carries ``execution`` out."""
        mine = copy.copy(self)
        mine._execution = execution
        return mine

    def confirm(self, run: str) -> None:
        """Right before an effect: what this store acts for is still claimed here."""
        self.owners.confirm(self._execution or run)

    def _fence(self, cursor: Cursor, run: str) -> None:
        self.owners.fence(cursor, self._execution or run)

    # runs

    def create(self, run: Run) -> None:
        """Keeps a new run with its operation; the same id twice is one run."""
        plan, values = msgspec.json.encode(run.operation), values_of(run)

        def write(cursor: Cursor) -> None:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (PRUNING,))
            cursor.execute(
                "INSERT INTO plans(hash, plan) VALUES (%s, %s) ON CONFLICT (hash) DO NOTHING",
                (run.operation.hash, plan),
            )
            cursor.execute(
                f"INSERT INTO runs({NEW}) VALUES ({', '.join(['%s'] * len(values))}) ON CONFLICT (id) DO NOTHING",  # noqa: S608
                values,
            )
            if cursor.rowcount:
                self.audit.begin(cursor, run)

        self._database.transact(write)

    def update(
        self,
        run: str,
        *,
        state: RunState | None = None,
        ended: datetime | None = None,
        verdict: Verdict | None = None,
        failure: Failure | None = None,
        undone_by: str | None = None,
    ) -> None:
        """Writes what is given. A run that goes on forgets its failure."""
        values = values_changed(state, ended, verdict, failure, undone_by)
        if not values:
            return
        columns = ", ".join(f"{name}=%s" for name in values)

        def write(cursor: Cursor) -> int:
            self._fence(cursor, run)
            cursor.execute(f"UPDATE runs SET {columns} WHERE id=%s", (*values.values(), run))  # noqa: S608
            changed = cursor.rowcount
            if changed and state in ENDED:
                self.audit.ended(cursor, run, str(state))
            return changed

        if not self._database.transact(write):
            raise unknown_run(run)

    def get(self, run: str) -> Run:
        """One run, with its operation.

        Raises:
            RunNotFound: no such run.
            RefusedError: an earlier version kept it, with a plan that this one can't read.
        """

        def look(cursor: Cursor) -> tuple[Any, list[Any]]:
            cursor.execute(f"SELECT {WHOLE} FROM runs r JOIN plans p ON p.hash=r.plan WHERE r.id=%s", (run,))  # noqa: S608
            row = cursor.fetchone()
            cursor.execute("SELECT part, capture, digest FROM parts WHERE run=%s AND capture<>'' ORDER BY part", (run,))
            return row, cursor.fetchall()

        row, kept = self._database.read(look)
        if row is None:
            raise unknown_run(run)
        return self._rows.run(row, kept)

    def find(self, text: str) -> str:
        """The id that ``text`` means: an id, its unique beginning, or ``latest``.

        Raises:
            RunNotFound: none.
            UsageError: several begin so.
        """

        def look(cursor: Cursor) -> list[Any]:
            if text == "latest":
                cursor.execute("SELECT id FROM runs ORDER BY seq DESC LIMIT 1")
            else:
                cursor.execute(
                    "SELECT id FROM runs WHERE id=%s OR left(id, %s)=%s ORDER BY id<>%s, id LIMIT 3",
                    (text, len(text), text, text),
                )
            return cursor.fetchall()

        # No text of PostgreSQL holds a NUL, so nothing is called so.
        return meant_by(text, [] if "\0" in text else [str(row[0]) for row in self._database.read(look)])

    def summaries(self, limit: int = 50) -> list[RunSummary]:
        """The latest runs, newest first; all of them when ``limit`` is negative."""

        def look(cursor: Cursor) -> list[Any]:
            cursor.execute(
                f"SELECT {SUMMARY} FROM runs ORDER BY seq DESC LIMIT %s",  # noqa: S608
                (limit if limit >= 0 else None,),
            )
            return cursor.fetchall()

        return [self._rows.summary(row) for row in self._database.read(look)]

    def remove(
        self, which: Callable[[], Iterable[RunSummary]], before: Callable[[str, Sequence[str]], None], actor: str = ""
    ) -> tuple[RunSummary, ...]:
        """Forgets runs: their events, plans that no other run has, owners. No other process writes about them meanwhile.

        ``which`` says which; ``before`` is called with the id and the paths of the captures of each, before its record
        goes: a process that dies there leaves the record, and with it the knowledge of what is left to do.
        """

        def write(cursor: Cursor) -> tuple[RunSummary, ...]:
            # Captures may be far away, and many.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            gone, heads = tuple(which()), []
            for run in gone:
                cursor.execute("SELECT 1 FROM runs WHERE id=%s FOR UPDATE", (run.id,))
                cursor.execute("SELECT capture FROM parts WHERE run=%s AND capture<>''", (run.id,))
                before(run.id, [str(row[0]) for row in cursor.fetchall()])
                cursor.execute("DELETE FROM runs WHERE id=%s", (run.id,))
                cursor.execute("DELETE FROM owners WHERE starts_with(run || ' ', %s)", (f"{run.id} ",))
                cursor.execute("DELETE FROM aborts WHERE run=%s", (run.id,))
                cursor.execute("DELETE FROM answers WHERE run=%s", (run.id,))
                heads.append((run.id, str(run.state), self.audit.head(cursor, run.id)))
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (PRUNING,))
            cursor.execute("DELETE FROM plans WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.plan = plans.hash)")
            self.audit.removed(cursor, heads, actor)
            return gone

        return self._database.transact(write, again=False)

    def note_capture(self, run: str, part: str, path: str, digest: str) -> None:
        """Notes where the state of a part before the run is kept; a later one takes the place of an earlier one."""

        def write(cursor: Cursor) -> None:
            self._fence(cursor, run)
            cursor.execute(
                "INSERT INTO parts(run, part, capture, digest) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (run, part) DO UPDATE SET capture=excluded.capture, digest=excluded.digest",
                (run, part, path, digest),
            )

        self._database.transact(write)

    def token(self, run: str, part: str) -> int:
        """The highest token of the lock of a part that this run ever held; 0 before the first."""

        def look(cursor: Cursor) -> int:
            cursor.execute("SELECT token FROM parts WHERE run=%s AND part=%s", (run, part))
            row = cursor.fetchone()
            return int(row[0]) if row else 0

        return self._database.read(look)

    def raise_token(self, run: str, part: str, token: int) -> int:
        """Notes such a token and returns the highest known: an older holder learns so that it was replaced."""

        def write(cursor: Cursor) -> int:
            self._fence(cursor, run)
            cursor.execute(
                "INSERT INTO parts(run, part, token) VALUES (%s, %s, %s) "
                "ON CONFLICT (run, part) DO UPDATE SET token=greatest(parts.token, excluded.token) RETURNING token",
                (run, part, token),
            )
            return int((cursor.fetchone() or (0,))[0])

        return self._database.transact(write)

    # what the steps of branches came to

    def answer(self, run: str, step: str) -> str | None:
        """What a step came to, as JSON; None where that is not recorded."""
        return self._database.read(lambda cursor: self._answer(cursor, run, step))

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        """Keeps it once: of two, the first stays. Returns the one that is kept."""

        def write(cursor: Cursor) -> str:
            self._fence(cursor, run)
            cursor.execute(
                "INSERT INTO answers(run, step, answer) VALUES (%s, %s, %s) ON CONFLICT (run, step) DO NOTHING",
                (run, step, answer),
            )
            return answer if cursor.rowcount else self._answer(cursor, run, step) or answer

        return self._database.transact(write)

    @staticmethod
    def _answer(cursor: Cursor, run: str, step: str) -> str | None:
        cursor.execute("SELECT answer FROM answers WHERE run=%s AND step=%s", (run, step))
        row = cursor.fetchone()
        return str(row[0]) if row else None

    # events

    def record(self, *events: RunEvent, settled: bool = True) -> list[RunEvent]:
        """Keeps events of one run, all of them or none: each once by its key (events without one are always new). Tells the
        listeners of new ones, and returns them as they are kept. All are settled: this server may crash while we live, and would
        forget what we go on from."""
        rows = [(event, key_of(event), canonical(without_secrets(event))) for event in events]
        tries = 0

        def write(cursor: Cursor) -> list[tuple[RunEvent, bool]]:
            nonlocal tries
            tries += 1
            return [self._put(cursor, event, key, content, again=tries > 1) for event, key, content in rows]

        put = self._database.transact(write)
        for kept, new in put:
            for listener in tuple(self._listeners) if new else ():
                listener(kept)
        return [kept for kept, _ in put]

    def _put(self, cursor: Cursor, event: RunEvent, key: str, content: bytes, *, again: bool) -> tuple[RunEvent, bool]:
        """The event as it is kept, and whether it is new."""
        self._fence(cursor, event.run)
        # Under the lock of the chain until the commit, so that who reads on from the last number misses no lower one.
        written = self.audit.add(cursor, event.run, key, content)
        if written is None:
            head = self.audit.head(cursor, event.run) or self._adopt(cursor, event.run)
            written = self.audit.append(cursor, head, key, content)
        if written is not None:
            return msgspec.structs.replace(event, seq=written), True
        cursor.execute("SELECT seq, event FROM events WHERE run=%s AND key=%s", (event.run, key))
        seq, stored = cursor.fetchone() or (0, b"")
        # Written by the attempt before this one, whose answer was lost.
        if again and bytes(stored) == content:
            return msgspec.structs.replace(event, seq=seq), True
        return self._rows.event(seq, stored), False

    def _adopt(self, cursor: Cursor, run: str) -> Head:
        """The chain of a run that was made before there was an audit begins now."""
        cursor.execute("SELECT 1 FROM runs WHERE id=%s FOR KEY SHARE", (run,))
        cursor.execute("SELECT count(*) FROM events WHERE run=%s", (run,))
        former = int((cursor.fetchone() or (0,))[0])
        return self.audit.begin(cursor, self.get(run), former)

    def events(self, run: str, *, after: int = 0, part: str = "") -> list[RunEvent]:
        """What happened in a run, or in one part of it, in order, beginning after the event numbered ``after``."""

        def look(cursor: Cursor) -> list[Any]:
            cursor.execute(
                "SELECT seq, event FROM events WHERE run=%s AND seq>%s AND starts_with(key, %s) ORDER BY seq",
                (run, after, keys_of(part)[0] if part else ""),
            )
            return cursor.fetchall()

        return self._rows.events(self._database.read(look), part)

    def keyed(self, runs: Sequence[str], prefix: str) -> list[RunEvent]:
        """The events of these runs whose keys begin so, in their order."""

        def look(cursor: Cursor) -> list[Any]:
            cursor.execute(
                "SELECT seq, event FROM events WHERE run = ANY(%s) AND starts_with(key, %s) ORDER BY seq",
                (list(runs), prefix),
            )
            return cursor.fetchall()

        return [self._rows.event(seq, event) for seq, event in self._database.transact(look)]

    def has_event(self, run: str, key: str) -> bool:
        """Whether that event was recorded."""

        def look(cursor: Cursor) -> bool:
            cursor.execute("SELECT 1 FROM events WHERE run=%s AND key=%s", (run, key))
            return cursor.fetchone() is not None

        return self._database.read(look)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` with every new event of this process; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
