# SPDX-License-Identifier: Apache-2.0
"""Runs, their plans and their events in SQLite; see `backout.engine.store.port`. Does not load the durable engine."""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from backout.engine.store.port import Listener, Queue, RunSummary, meant_by, unknown_run
from backout.engine.store.rows import NEW, SUMMARY, WHOLE, Rows, key_of, keys_of, values_changed, values_of
from backout.engine.store.sqlite.audit import SqliteAudit
from backout.engine.store.sqlite.database import StateDatabase
from backout.engine.store.sqlite.file import damaged
from backout.engine.store.sqlite.library import Connection
from backout.engine.store.sqlite.owners import SqliteOwners
from backout.errors import ConfigError
from backout.model.chain import Head, canonical
from backout.model.redacted import without_secrets
from backout.model.run import ENDED, Failure, Run, RunEvent, RunState
from backout.model.verdict import Verdict


class SqliteRunStore:
    """The runs of this user on this machine.

    Args:
        path: the SQLite file.
        create: False opens for reading and makes no file: a missing one reads as empty.

    Raises:
        StateError: the file can't be used; says why.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._state = StateDatabase(path, create=create)
        self.owners = SqliteOwners(self._state)
        self._rows = Rows(self.owners, lambda: damaged(path))
        self.audit = SqliteAudit(self._state)
        self._listeners: list[Listener] = []
        self._execution = ""

    @property
    def queue(self) -> Queue:
        """A file has none.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "Workers need a database that processes of several hosts share; {path} is a file of this one.",
            path=self.place,
            expected="state: postgresql://USER@HOST:PORT/DATABASE",
            hint="docs/workers.md tells how to set it up; without one, `backout run` carries it out here",
        )

    @property
    def url(self) -> str:
        """As SQLAlchemy writes it."""
        return f"sqlite:///{self.path}"

    @property
    def engine_options(self) -> Mapping[str, Any]:
        """With what an old SQLite lacks."""
        return {"connect_args": {"factory": Connection}}

    @property
    def shared(self) -> bool:
        """One host alone uses it."""
        return False

    def lost(self, error: BaseException) -> bool:
        """A file has no connection that can be lost."""
        return False

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database."""
        self._state.close()

    # who writes

    def acting(self, execution: str) -> Self:
        """This store for who carries ``execution`` out."""
        mine = copy.copy(self)
        mine._execution = execution
        return mine

    def confirm(self, run: str) -> None:
        """Right before an effect: what this store acts for is still claimed here."""
        self.owners.confirm(self._execution or run)

    def _fence(self, database: sqlite3.Connection, run: str) -> None:
        self.owners.fence(database, self._execution or run)

    # runs

    def create(self, run: Run) -> None:
        """Keeps a new run with its operation; the same id twice is one run."""
        plan = msgspec.json.encode(run.operation)
        values = values_of(run)
        with self._state.writing() as database:
            database.execute(
                "INSERT OR IGNORE INTO backout_plans(hash, plan) VALUES (?, ?)", (run.operation.hash, plan)
            )
            new = database.execute(
                f"INSERT OR IGNORE INTO backout_runs({NEW}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608
                values,
            ).rowcount
            if new:
                self.audit.begin(database, run)

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
        columns = ", ".join(f"{name}=?" for name in values)
        with self._state.writing() as database:
            self._fence(database, run)
            changed = database.execute(
                f"UPDATE backout_runs SET {columns} WHERE id=?",  # noqa: S608
                (*values.values(), run),
            ).rowcount
            if changed and state in ENDED:
                self.audit.ended(database, run, str(state))
        if not changed:
            raise unknown_run(run)

    def get(self, run: str) -> Run:
        """One run, with its operation.

        Raises:
            RunNotFound: no such run.
            RefusedError: an earlier version kept it, with a plan that this one can't read.
        """
        with self._state.reading() as database:
            row = database.execute(
                f"SELECT {WHOLE} FROM backout_runs r JOIN backout_plans p ON p.hash=r.plan WHERE r.id=?",  # noqa: S608
                (run,),
            ).fetchone()
            kept = database.execute(
                "SELECT part, capture, digest FROM backout_parts WHERE run=? AND capture!='' ORDER BY part", (run,)
            ).fetchall()
        if row is None:
            raise unknown_run(run)
        return self._rows.run(row, kept)

    def find(self, text: str) -> str:
        """The id that ``text`` means: an id, its unique beginning, or ``latest``.

        Raises:
            RunNotFound: none.
            UsageError: several begin so.
        """
        with self._state.reading() as database:
            if text == "latest":
                rows = database.execute("SELECT id FROM backout_runs ORDER BY rowid DESC LIMIT 1").fetchall()
            else:
                rows = database.execute(
                    "SELECT id FROM backout_runs WHERE id=? OR substr(id, 1, ?)=? ORDER BY id!=?, id LIMIT 3",
                    (text, len(text), text, text),
                ).fetchall()
        return meant_by(text, [str(row[0]) for row in rows])

    def summaries(self, limit: int = 50) -> list[RunSummary]:
        """The latest runs, newest first; all of them when ``limit`` is negative."""
        with self._state.reading() as database:
            rows = database.execute(
                f"SELECT {SUMMARY} FROM backout_runs ORDER BY rowid DESC LIMIT ?",  # noqa: S608
                (limit,),
            ).fetchall()
        return [self._rows.summary(row) for row in rows]

    def remove(
        self, which: Callable[[], Iterable[RunSummary]], before: Callable[[str, Sequence[str]], None], actor: str = ""
    ) -> tuple[RunSummary, ...]:
        """Forgets runs: their events, plans that no other run has, owners. No other process writes meanwhile.

        ``which`` says which; ``before`` is called with the id and the paths of the captures of each, before its record
        goes: a process that dies there leaves the record, and with it the knowledge of what is left to do.
        """
        with self._state.writing() as database:
            gone = tuple(which())
            for run in gone:
                kept = database.execute("SELECT capture FROM backout_parts WHERE run=? AND capture!=''", (run.id,))
                before(run.id, [str(row[0]) for row in kept.fetchall()])
                database.execute("DELETE FROM backout_runs WHERE id=?", (run.id,))
                database.execute(
                    "DELETE FROM backout_owners WHERE substr(run || ' ', 1, ?)=?", (len(run.id) + 1, f"{run.id} ")
                )
                database.execute("DELETE FROM backout_aborts WHERE run=?", (run.id,))
                database.execute("DELETE FROM backout_answers WHERE run=?", (run.id,))
                self.audit.removed(database, run.id, run.state, actor)
            database.execute("DELETE FROM backout_plans WHERE hash NOT IN (SELECT plan FROM backout_runs)")
        return gone

    def note_capture(self, run: str, part: str, path: str, digest: str) -> None:
        """Notes where the state of a part before the run is kept; a later one takes the place of an earlier one."""
        with self._state.writing() as database:
            self._fence(database, run)
            database.execute(
                "INSERT INTO backout_parts(run, part, capture, digest) VALUES (?, ?, ?, ?) "
                "ON CONFLICT(run, part) DO UPDATE SET capture=excluded.capture, digest=excluded.digest",
                (run, part, path, digest),
            )

    def token(self, run: str, part: str) -> int:
        """The highest token of the lock of a part that this run ever held; 0 before the first."""
        with self._state.reading() as database:
            return self._token(database, run, part)

    def raise_token(self, run: str, part: str, token: int) -> int:
        """Notes such a token and returns the highest known: an older holder learns so that it was replaced."""
        with self._state.writing() as database:
            self._fence(database, run)
            database.execute(
                "INSERT INTO backout_parts(run, part, token) VALUES (?, ?, ?) "
                "ON CONFLICT(run, part) DO UPDATE SET token=max(token, excluded.token)",
                (run, part, token),
            )
            return self._token(database, run, part)

    @staticmethod
    def _token(database: sqlite3.Connection, run: str, part: str) -> int:
        row = database.execute("SELECT token FROM backout_parts WHERE run=? AND part=?", (run, part)).fetchone()
        return int(row[0]) if row else 0

    # what the steps of branches came to

    def answer(self, run: str, step: str) -> str | None:
        """What a step came to, as JSON; None where that is not recorded."""
        with self._state.reading() as database:
            return self._answer(database, run, step)

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        """Keeps it once: of two, the first stays. Returns the one that is kept."""
        with self._state.writing() as database:
            self._fence(database, run)
            database.execute(
                "INSERT INTO backout_answers(run, step, answer) VALUES (?, ?, ?) ON CONFLICT(run, step) DO NOTHING",
                (run, step, answer),
            )
            return self._answer(database, run, step) or answer

    @staticmethod
    def _answer(database: sqlite3.Connection, run: str, step: str) -> str | None:
        row = database.execute("SELECT answer FROM backout_answers WHERE run=? AND step=?", (run, step)).fetchone()
        return str(row[0]) if row else None

    # events

    def record(self, *events: RunEvent, settled: bool = True) -> list[RunEvent]:
        """Keeps events of one run, all of them or none: each once by its key (events without one are always new). Tells the
        listeners of new ones, and returns them as they are kept. Not ``settled``: on the disk with the next that is."""
        with self._state.writing(settled=settled) as database:
            put = [self._put(database, event) for event in events]
        for kept, new in put:
            for listener in tuple(self._listeners) if new else ():
                listener(kept)
        return [kept for kept, _ in put]

    def _put(self, database: sqlite3.Connection, event: RunEvent) -> tuple[RunEvent, bool]:
        """The event as it is kept, and whether it is new."""
        key, content = key_of(event), canonical(without_secrets(event))
        self._fence(database, event.run)
        head = self.audit.head(database, event.run) or self._adopt(database, event.run)
        head = self.audit.follow(head, key, content)
        row = database.execute(
            "INSERT INTO backout_events(run, key, event, n, hash) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT(run, key) DO NOTHING RETURNING seq",
            (event.run, key, content, head.n, head.head),
        ).fetchone()
        if row is not None:
            self.audit.move(database, head)
            return msgspec.structs.replace(event, seq=row[0]), True
        seq, stored = database.execute(
            "SELECT seq, event FROM backout_events WHERE run=? AND key=?", (event.run, key)
        ).fetchone()
        return self._rows.event(seq, stored), False

    def _adopt(self, database: sqlite3.Connection, run: str) -> Head:
        """The chain of a run that was made before there was an audit begins now."""
        former = database.execute("SELECT count(*) FROM backout_events WHERE run=?", (run,)).fetchone()[0]
        return self.audit.begin(database, self.get(run), former)

    def events(self, run: str, *, after: int = 0, part: str = "") -> list[RunEvent]:
        """What happened in a run, or in one part of it, in order, beginning after the event numbered ``after``."""
        with self._state.reading() as database:
            rows: Iterable[tuple[int, bytes]] = database.execute(
                "SELECT seq, event FROM backout_events WHERE run=? AND seq>? AND (?='' OR key>=? AND key<?) ORDER BY seq",
                (run, after, part, *keys_of(part)),
            ).fetchall()
        return self._rows.events(rows, part)

    def keyed(self, runs: Sequence[str], prefix: str) -> list[RunEvent]:
        """The events of these runs whose keys begin so, in their order."""
        found: list[tuple[int, bytes]] = []
        with self._state.reading() as database:
            for first in range(0, len(runs), 500):  # an old SQLite takes 999 values at once
                some = runs[first : first + 500]
                found += database.execute(
                    f"SELECT seq, event FROM backout_events WHERE run IN ({', '.join('?' * len(some))}) "  # noqa: S608
                    "AND key>=? AND key<?",
                    (*some, prefix, prefix + "\U0010ffff"),
                ).fetchall()
        return [self._rows.event(seq, event) for seq, event in sorted(found)]

    def has_event(self, run: str, key: str) -> bool:
        """Whether that event was recorded."""
        with self._state.reading() as database:
            found = database.execute("SELECT 1 FROM backout_events WHERE run=? AND key=?", (run, key)).fetchone()
        return found is not None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` with every new event of this process; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
