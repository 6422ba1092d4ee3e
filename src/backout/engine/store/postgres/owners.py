# SPDX-License-Identifier: Apache-2.0
"""Which process executes which run, between hosts: claims are rows, and a row of a living process is not taken.

Every look at "is its lease over" is made under locks in one order (the run's claim, then the lease of its process):
whoever was told that a claim stands can't lose it before `LEASE` has passed.
"""

from __future__ import annotations

from backout.engine.store.port import LET_GO, executed_elsewhere, taken_over
from backout.engine.store.postgres.connection import Cursor, Database
from backout.engine.store.postgres.leases import LEASE, Lease

_LIVING = "SELECT 1 FROM processes WHERE process = owners.process AND until > clock_timestamp()"


class PostgresOwners:
    """The claims of processes on runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claimed: dict[str, str] = {}

    def enter(self) -> Lease:
        """This process, as one that lives as long as it renews its lease."""
        return Lease(self._database.address)

    def claim(self, run: str, process: str) -> None:
        """Makes ``process`` the one that executes ``run``. Two claims at once: one wins.

        Raises:
            LockedError: a living process has it.
        """
        self._database.transact(lambda cursor: self.claim_within(cursor, run, process))
        self.claimed(run, process)

    def claimed(self, run: str, process: str) -> None:
        """Remembers a claim that was made, so that what is written about the run is held to it."""
        self._claimed[run] = process

    @staticmethod
    def claim_within(cursor: Cursor, run: str, process: str) -> None:
        """Claims it as a part of a transaction.

        Raises:
            LockedError: a living process has it.
        """
        cursor.execute(
            "INSERT INTO owners(run, process, since) VALUES (%s, %s, clock_timestamp()) ON CONFLICT (run) DO NOTHING",
            (run, process),
        )
        cursor.execute("SELECT process, since FROM owners WHERE run=%s FOR UPDATE", (run,))
        holder, since = cursor.fetchone() or (process, None)
        if holder == process:
            return
        cursor.execute("SELECT until > clock_timestamp() FROM processes WHERE process=%s FOR UPDATE", (holder,))
        if (cursor.fetchone() or (False,))[0]:
            raise executed_elsewhere(run, holder, since.isoformat(timespec="seconds"))
        cursor.execute("UPDATE owners SET process=%s, since=clock_timestamp() WHERE run=%s", (process, run))

    def confirm(self, run: str) -> None:
        """Right before an effect: the claim that was made here still stands, and will for some seconds.

        Raises:
            LeaseLost: another process has the run.
        """
        process = self._claimed.get(run)
        if process is None:
            return

        def look(cursor: Cursor) -> None:
            self.fence(cursor, run)
            cursor.execute(
                "UPDATE processes SET until = clock_timestamp() + make_interval(secs => %s) WHERE process=%s",
                (LEASE, process),
            )
            if not cursor.rowcount:
                # It left; or a failover lost its lease, which the next beat makes anew.
                raise taken_over(run)

        self._database.transact(look)

    def fence(self, cursor: Cursor, run: str) -> None:
        """Within a transaction that writes about ``run``: if it was claimed here, the claim still stands until its end.

        Raises:
            LeaseLost: it does not.
        """
        process = self._claimed.get(run)
        if process is None:
            return
        cursor.execute("SELECT process FROM owners WHERE run=%s FOR SHARE", (run,))
        if (cursor.fetchone() or ("",))[0] != process:
            raise taken_over(run)

    def let_go(self, run: str) -> None:
        """Gives up the claim that was made here, if it stands."""
        process, self._claimed[run] = self._claimed.get(run), LET_GO

        def write(cursor: Cursor) -> None:
            cursor.execute("UPDATE owners SET process='' WHERE run=%s AND process=%s", (run, process))

        self._database.transact(write)

    def end(self, run: str) -> None:
        """The run needs no process any more."""

        def write(cursor: Cursor) -> None:
            self.fence(cursor, run)
            cursor.execute("UPDATE owners SET ended=true WHERE run=%s", (run,))

        self._database.transact(write)

    def known(self, run: str) -> bool:
        """Whether any process ever had the run."""
        return self._any("SELECT 1 FROM owners WHERE run=%s", run)

    def unfinished(self, run: str) -> bool:
        """Whether the engine began the run and has not come to its end."""
        return self._any("SELECT 1 FROM owners WHERE run=%s AND NOT ended", run)

    def alive(self, run: str) -> bool:
        """Whether a living process executes the run."""
        return self._any(f"SELECT 1 FROM owners WHERE run=%s AND NOT ended AND EXISTS ({_LIVING})", run)  # noqa: S608

    def executions(self, run: str) -> list[str]:
        """The run and its pieces, as far as any process ever had them."""

        def look(cursor: Cursor) -> list[str]:
            cursor.execute("SELECT run FROM owners WHERE starts_with(run || ' ', %s)", (f"{run} ",))
            return [str(row[0]) for row in cursor.fetchall()]

        return self._database.transact(look)

    def orphans(self) -> list[str]:
        """Runs that are not finished and whose process is dead, oldest first."""

        def look(cursor: Cursor) -> list[str]:
            cursor.execute(
                f"SELECT run FROM owners WHERE NOT ended AND position(' ' in run) = 0 AND NOT EXISTS ({_LIVING})"  # noqa: S608
                " ORDER BY since"
            )
            return [str(row[0]) for row in cursor.fetchall()]

        return self._database.read(look)

    def request_abort(self, run: str, actor: str = "") -> None:
        """Asks for a stop at the next step; stays until the run ends."""

        def write(cursor: Cursor) -> None:
            cursor.execute(
                "INSERT INTO aborts(run, actor, at) VALUES (%s, %s, clock_timestamp()) ON CONFLICT (run) DO NOTHING",
                (run, actor),
            )

        self._database.transact(write)

    def abort_requested(self, run: str) -> bool:
        """Whether somebody asked for it, from whatever process."""
        return self._any("SELECT 1 FROM aborts WHERE run=%s", run)

    def _any(self, statement: str, run: str) -> bool:
        def look(cursor: Cursor) -> bool:
            cursor.execute(statement, (run,))
            return cursor.fetchone() is not None

        return self._database.read(look)
