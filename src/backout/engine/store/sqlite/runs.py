# SPDX-License-Identifier: Apache-2.0
"""Runs, their plans and their events in SQLite; see `backout.engine.store.port`. Does not load the durable engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from backout.engine.store.port import Listener, RunSummary, meant_by, state_as_seen, unknown_run
from backout.engine.store.sqlite.database import StateDatabase
from backout.engine.store.sqlite.library import Connection
from backout.engine.store.sqlite.owners import SqliteOwners
from backout.model.message import Message
from backout.model.plan import Plan
from backout.model.run import Failure, Run, RunEvent, RunState
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
        self._listeners: list[Listener] = []

    @property
    def url(self) -> str:
        """As SQLAlchemy writes it."""
        return f"sqlite:///{self.path}"

    @property
    def connect_args(self) -> Mapping[str, Any]:
        """With what an old SQLite lacks."""
        return {"factory": Connection}

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

    # runs

    def create(self, run: Run) -> None:
        """Keeps a new run with its plan; the same id twice is one run."""
        plan = msgspec.json.encode(run.plan)
        with self._state.writing() as database:
            database.execute("INSERT OR IGNORE INTO backout_plans(hash, plan) VALUES (?, ?)", (run.plan.hash, plan))
            database.execute(
                "INSERT OR IGNORE INTO backout_runs"
                "(id, plan, state, target, cluster, namespace, revision, cause, started, actor, undo_of) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    run.plan.hash,
                    run.state,
                    str(run.plan.target),
                    run.plan.cluster,
                    run.plan.namespace,
                    run.plan.revision.number,
                    msgspec.json.encode(run.plan.cause),
                    _time(run.started),
                    run.actor,
                    run.undo_of,
                ),
            )

    def update(
        self,
        run: str,
        *,
        state: RunState | None = None,
        ended: datetime | None = None,
        verdict: Verdict | None = None,
        failure: Failure | None = None,
        capture: tuple[str, str] | None = None,
        undone_by: str | None = None,
    ) -> None:
        """Writes what is given. ``capture`` is the reference and its digest. A run that goes on forgets its failure."""
        values: dict[str, Any] = {}
        if state is not None:
            values["state"] = state
            values["ended"] = _time(ended) if ended else None
            values["failure"] = msgspec.json.encode(failure) if failure else None
        if verdict is not None:
            values["verdict"] = msgspec.json.encode(verdict)
        if capture is not None:
            values["capture"], values["capture_digest"] = capture
        if undone_by is not None:
            values["undone_by"] = undone_by
        if not values:
            return
        columns = ", ".join(f"{name}=?" for name in values)
        with self._state.writing() as database:
            changed = database.execute(
                f"UPDATE backout_runs SET {columns} WHERE id=?",  # noqa: S608
                (*values.values(), run),
            ).rowcount
        if not changed:
            raise unknown_run(run)

    def get(self, run: str) -> Run:
        """One run, with its plan.

        Raises:
            RunNotFound: no such run.
        """
        with self._state.reading() as database:
            row = database.execute(
                "SELECT r.id, r.state, p.plan, r.started, r.ended, r.actor, r.verdict, r.failure, r.capture, r.undo_of,"
                " r.undone_by FROM backout_runs r JOIN backout_plans p ON p.hash=r.plan WHERE r.id=?",
                (run,),
            ).fetchone()
        if row is None:
            raise unknown_run(run)
        identity, state, plan, started, ended, actor, verdict, failure, capture, undo_of, undone_by = row
        return Run(
            id=identity,
            state=state_as_seen(self.owners, identity, state),
            plan=msgspec.json.decode(plan, type=Plan),
            started=datetime.fromisoformat(started),
            ended=datetime.fromisoformat(ended) if ended else None,
            actor=actor,
            verdict=msgspec.json.decode(verdict, type=Verdict) if verdict else None,
            failure=msgspec.json.decode(failure, type=Failure) if failure else None,
            capture=capture,
            undo_of=undo_of,
            undone_by=undone_by,
        )

    def find(self, text: str) -> str:
        """The id that ``text`` means: an id, its unique beginning, or ``latest``.

        Raises:
            RunNotFound: none.
            UsageError: several begin so.
        """
        with self._state.reading() as database:
            if text == "latest":
                rows = database.execute("SELECT id FROM backout_runs ORDER BY started DESC, id DESC LIMIT 1").fetchall()
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
                "SELECT id, state, target, cluster, namespace, revision, cause, started, ended, actor, undo_of,"
                " undone_by FROM backout_runs ORDER BY started DESC, id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            RunSummary(
                id=row[0],
                state=state_as_seen(self.owners, row[0], row[1]),
                target=row[2],
                cluster=row[3],
                namespace=row[4],
                revision=row[5],
                cause=msgspec.json.decode(row[6], type=Message),
                started=datetime.fromisoformat(row[7]),
                ended=datetime.fromisoformat(row[8]) if row[8] else None,
                actor=row[9],
                undo_of=row[10],
                undone_by=row[11],
            )
            for row in rows
        ]

    def remove(
        self, which: Callable[[], Iterable[RunSummary]], before: Callable[[str, str], None]
    ) -> tuple[RunSummary, ...]:
        """Forgets runs: their events, plans that no other run has, owners. No other process writes meanwhile.

        ``which`` says which; ``before`` is called with the id and the path of the capture of each, before its record
        goes: a process that dies there leaves the record, and with it the knowledge of what is left to do.
        """
        with self._state.writing() as database:
            gone = tuple(which())
            for run in gone:
                row = database.execute("SELECT capture FROM backout_runs WHERE id=?", (run.id,)).fetchone()
                before(run.id, str(row[0]) if row else "")
                database.execute("DELETE FROM backout_runs WHERE id=?", (run.id,))
                database.execute("DELETE FROM backout_owners WHERE run=?", (run.id,))
                database.execute("DELETE FROM backout_aborts WHERE run=?", (run.id,))
            database.execute("DELETE FROM backout_plans WHERE hash NOT IN (SELECT plan FROM backout_runs)")
        return gone

    def capture_digest(self, run: str) -> str:
        """The digest of the capture as it was recorded; empty before the capture."""
        with self._state.reading() as database:
            row = database.execute("SELECT capture_digest FROM backout_runs WHERE id=?", (run,)).fetchone()
        return str(row[0]) if row else ""

    def token(self, run: str) -> int:
        """The highest lease token that this run ever held."""
        with self._state.reading() as database:
            row = database.execute("SELECT token FROM backout_runs WHERE id=?", (run,)).fetchone()
        return int(row[0]) if row else 0

    def raise_token(self, run: str, token: int) -> int:
        """Notes a lease token and returns the highest known: an older holder learns so that it was replaced."""
        with self._state.writing() as database:
            database.execute("UPDATE backout_runs SET token=? WHERE id=? AND token<?", (token, run, token))
            row = database.execute("SELECT token FROM backout_runs WHERE id=?", (run,)).fetchone()
        return int(row[0]) if row else token

    # events

    def record(self, event: RunEvent) -> RunEvent:
        """Keeps an event once by its key (events without one are always new) and tells the listeners of a new one."""
        key = event.key or secrets.token_hex(8)
        with self._state.writing() as database:
            row = database.execute(
                "INSERT INTO backout_events(run, key, event) VALUES (?, ?, ?) ON CONFLICT(run, key) DO NOTHING "
                "RETURNING seq",
                (event.run, key, msgspec.json.encode(event)),
            ).fetchone()
            if row is None:
                seq, stored = database.execute(
                    "SELECT seq, event FROM backout_events WHERE run=? AND key=?", (event.run, key)
                ).fetchone()
                return msgspec.structs.replace(msgspec.json.decode(stored, type=RunEvent), seq=seq)
        kept = msgspec.structs.replace(event, seq=row[0])
        for listener in tuple(self._listeners):
            listener(kept)
        return kept

    def events(self, run: str, *, after: int = 0) -> list[RunEvent]:
        """What happened in a run, in order, beginning after the event numbered ``after``."""
        with self._state.reading() as database:
            rows: Iterable[tuple[int, bytes]] = database.execute(
                "SELECT seq, event FROM backout_events WHERE run=? AND seq>? ORDER BY seq", (run, after)
            ).fetchall()
        return [msgspec.structs.replace(msgspec.json.decode(event, type=RunEvent), seq=seq) for seq, event in rows]

    def has_event(self, run: str, key: str) -> bool:
        """Whether that event was recorded."""
        with self._state.reading() as database:
            found = database.execute("SELECT 1 FROM backout_events WHERE run=? AND key=?", (run, key)).fetchone()
        return found is not None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` with every new event of this process; the answer ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
