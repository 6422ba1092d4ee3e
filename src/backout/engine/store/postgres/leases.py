# SPDX-License-Identifier: Apache-2.0
"""Whether a process lives: it has a lease in the database, which it renews. The database's clock alone counts.

A process whose lease ran out may be dead, stopped, or cut off: its work may be given to another one, and a claim of that
other one is what takes it away. As long as nobody took it, a process that comes back goes on.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg

from backout.engine.store.naming import new_process_id
from backout.engine.store.postgres.address import Address
from backout.engine.store.postgres.connection import Connection, connect, state_error
from backout.engine.store.postgres.schema import SCHEMA
from backout.errors import StateError

LEASE = 9.0
"""Seconds that a lease lasts from each renewal: a dead process is known as one after that."""
BEAT = 2.0
"""Seconds between two renewals."""
KEPT = 24.0
"""Hours for which the leases of dead processes are kept."""
RENEW = (
    f"INSERT INTO {SCHEMA}.processes(process, until) VALUES (%s, clock_timestamp() + make_interval(secs => %s)) "  # noqa: S608
    "ON CONFLICT (process) DO UPDATE SET until = excluded.until"
)
_LEAVE = f"DELETE FROM {SCHEMA}.processes WHERE process=%s"  # noqa: S608
_SWEEP = f"DELETE FROM {SCHEMA}.processes WHERE until < clock_timestamp() - make_interval(hours => %s)"  # noqa: S608


class Lease:
    """The lease of this process, renewed by a thread over a connection of its own until it leaves.

    Raises:
        StateError: the database can't be used.
    """

    def __init__(self, address: Address) -> None:
        self.process = new_process_id()
        self._address = address
        self._left = threading.Event()
        self._connection: Connection | None = None
        try:
            self._renew()
            self._connected().execute(_SWEEP, (int(KEPT),))
        except psycopg.Error as error:
            raise state_error(address, error) from error
        self._thread = threading.Thread(target=self._beat, name="backout-lease", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Gives the lease back; where the database is gone, it ends by itself."""
        if self._left.is_set():
            return
        self._left.set()
        self._thread.join()
        for _ in range(2):  # the connection may have been lost unnoticed, with the database there
            with suppress(psycopg.Error, StateError):
                self._connected().execute(_LEAVE, (self.process,))
                break
            self._drop()
        self._drop()

    def _beat(self) -> None:
        while not self._left.wait(BEAT):
            try:
                self._renew()
            except (psycopg.Error, StateError):
                # It may come back before the lease ends, and after that too: see above.
                self._drop()

    def _renew(self) -> None:
        self._connected().execute(RENEW, (self.process, LEASE))

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
