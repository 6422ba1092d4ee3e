# SPDX-License-Identifier: Apache-2.0
"""A connection to PostgreSQL: how it is made, what a lost one looks like, and what is said when it can't be used.

Whatever loses the connection (a restart, a failover, a cut cable) is waited for, up to `PATIENCE`; then the transaction
is begun anew on another connection. Each of ours may be: what it wrote before an answer was lost is found again by its
key, and not written twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from backout.effects import passing
from backout.engine.store.opening import ENVIRONMENT
from backout.engine.store.postgres import schema
from backout.engine.store.postgres.address import Address
from backout.errors import StateError
from backout.locales import N_

T = TypeVar("T")
Cursor = psycopg.Cursor[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]

PATIENCE = 20.0
"""Seconds for which a database that was there is waited for."""
OPENS_WITHIN = 8.0
"""Seconds for which one is waited for that is not there at the start: it may be restarting, or not be there at all."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
OLDEST = 130000
"""The first server that is used, as it says its version."""
SETTINGS = {"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
"""Of each session: nothing of ours waits, or keeps others waiting, for ever."""

_GONE = ("08", "57P")
"""SQLSTATE: the connection is lost; the server is being shut down, has crashed, or is starting."""
_BUSY = ("53300", "53400", "40001", "40P01", "25006", "25P03")
"""Too many connections; a conflict of transactions; a server that takes no writes any more, since another one does."""
_SENTENCES: dict[str, tuple[str, str]] = {
    "42501": (
        N_("This user may not do that in {place}: {reason}"),
        N_("the user of the first start needs CREATE on the database; see docs/workers.md"),
    ),
    "25006": (
        N_("{place} is read-only."),
        N_("name the server that takes writes, or add target_session_attrs=read-write"),
    ),
    "53100": (N_("The disk of {place} is full."), N_("free some space there, then run the command again")),
    "55P03": (N_("{place} is locked by another process."), N_("wait for it to finish, then run the command again")),
    "57014": (N_("{place} did not answer in time."), N_("look at its load, then run the command again")),
}
"""Beginning of a SQLSTATE → what happened, what to do."""
_UNREACHED = (
    N_("{place} can't be reached: {reason}"),
    N_(
        "check that it runs, that this machine may reach it, and who logs in ($PGPASSWORD, ~/.pgpass or the URL); "
        "nothing is begun or written without it"
    ),
)


def lost(error: BaseException) -> bool:
    """Whether an error of the driver says that the connection failed, and nothing of the work.

    By state, not by words: over TCP and over a Unix socket libpq has other words for one thing. A connection that could
    not be made has no state, whatever the reason.
    """
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith((*_GONE, *_BUSY))
    state = error.sqlstate
    return not state or state.startswith((*_GONE, *_BUSY))


def comes_back(error: psycopg.Error) -> bool:
    """Whether a connection that could not be made may be made soon: nobody listens, or the server starts or ends.

    What a server answers before there is a session comes as a text alone (libpq has no state for it); where it refuses a user or a
    database, another try would not help.
    """
    text = str(error)
    return lost(error) and ("FATAL" not in text or "the database system is" in text)


def state_error(address: Address, error: psycopg.Error) -> StateError:
    """What is said of an error of the driver or of the server."""
    state = error.sqlstate or ""
    sentence, hint = next((said for prefix, said in _SENTENCES.items() if state.startswith(prefix)), _UNREACHED)
    if sentence is _UNREACHED[0] and not lost(error):
        # What a statement says may hold what was written with it.
        reason = f"{type(error).__name__} {state}".strip()
    else:
        reason = address.without_secrets(str(error))
    return StateError(sentence, hint=hint, place=address.place, reason=reason, env=ENVIRONMENT)


def connect(address: Address, *, autocommit: bool = True) -> Connection:
    """A connection with the limits of `SETTINGS`, where a commit means that the record is on a disk.

    Raises:
        psycopg.Error: there is none.
        StateError: the server is too old.
    """
    # Statements are not prepared: a pooler between us and the server may give each transaction another session.
    connection: Connection = psycopg.connect(**address.parameters, autocommit=True, prepare_threshold=None)
    try:
        if connection.info.server_version < OLDEST:
            raise StateError(
                "{place} is too old: version {version}.",
                place=address.place,
                version=connection.info.server_version // 10000,
                expected="PostgreSQL {oldest} or newer",
                oldest=OLDEST // 10000,
            )
        names = [name for setting in SETTINGS.items() for name in setting]
        each = ", ".join(["set_config(%s, %s, false)"] * len(SETTINGS))
        connection.execute(
            f"SELECT {each}, set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit')"
            " IN ('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END, false)",
            names,
        )
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


class Database:
    """One connection with our tables, for one transaction at a time; made anew when it is lost.

    Args:
        create: makes the tables, or brings them up to date. Without it nothing is made: what is missing reads as empty.
        waits: called once where the server does not take connections just now; then it is tried again for some seconds.

    Raises:
        StateError: it can't be used; says why.
    """

    def __init__(self, address: Address, *, create: bool, waits: Callable[[StateError], None] | None = None) -> None:
        self.address = address
        self._create = create
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None
        self._closed = False
        until, told = time.monotonic() + OPENS_WITHIN, False
        while self._connection is None:
            try:
                self._connection = self._connect()
            except psycopg.Error as error:
                if waits is None or not comes_back(error) or time.monotonic() > until:
                    raise state_error(address, error) from error
                if not told:
                    waits(state_error(address, error))
                    told = True
                time.sleep(FIRST_PAUSE * random.uniform(2.0, 4.0))

    def transact(self, work: Callable[[Cursor], T], *, again: bool = True) -> T:
        """One transaction, which is begun anew when the connection is lost unless ``again`` is False.

        Within another one it is a part of that.

        Raises:
            StateError: the database can't be used.
        """
        with self._lock:
            if self._cursor is not None:
                return work(self._cursor)
            with passing("state"):
                return self._until_done(work, again=again)

    def read(self, work: Callable[[Cursor], T]) -> T:
        """The same for what only looks."""
        with self._lock:
            if self._cursor is not None:
                return work(self._cursor)
            return self._until_done(work, again=True)

    def _until_done(self, work: Callable[[Cursor], T], *, again: bool) -> T:
        until, pause = time.monotonic() + PATIENCE, FIRST_PAUSE
        while True:
            try:
                return self._once(work)
            except psycopg.Error as error:
                if not (again and lost(error) and time.monotonic() < until and not self._closed):
                    raise state_error(self.address, error) from error
                self._drop()
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(LONGEST_PAUSE, 2 * pause)

    def _once(self, work: Callable[[Cursor], T]) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            self._cursor = cursor
            try:
                return work(cursor)
            finally:
                self._cursor = None

    def _connect(self) -> Connection:
        connection = connect(self.address)
        try:
            schema.prepare(connection, self.address.place, create=self._create)
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Closes the connection; what waits for the database gives up."""
        self._closed = True
        with self._lock:
            self._drop()
