# SPDX-License-Identifier: Apache-2.0
"""The queue of submitted runs: rows that workers claim, one taker at a time, so that limits hold however many ask."""

from __future__ import annotations

from collections.abc import Sequence

from backout.engine.store.port import Limits
from backout.engine.store.postgres.connection import Cursor, Database
from backout.engine.store.postgres.owners import PostgresOwners
from backout.errors import LockedError

TAKING = 0x74616B65
"""Number of the advisory lock under which runs are taken."""
FIRST_PAUSE = 5.0
"""Seconds before a run that stopped by itself is taken again; twice as long after each further try."""
LONGEST_PAUSE = 300.0
DOUBLINGS = 10

_UNDER_WAY = (
    "SELECT q.run, q.clusters FROM queue q JOIN owners o USING (run) JOIN processes p USING (process)"
    " WHERE NOT o.ended AND p.until > clock_timestamp()"
)
_NEXT = f"""
WITH busy AS ({_UNDER_WAY})
SELECT run FROM queue q
WHERE not_before <= clock_timestamp()
  AND clusters <@ %(known)s
  AND NOT EXISTS (SELECT 1 FROM busy WHERE busy.run = q.run)
  AND (%(in_all)s = 0 OR (SELECT count(*) FROM busy) < %(in_all)s)
  AND (%(per_cluster)s = 0 OR NOT EXISTS (
        SELECT 1 FROM unnest(q.clusters) AS mine(name)
        WHERE (SELECT count(*) FROM busy WHERE mine.name = ANY(busy.clusters)) >= %(per_cluster)s))
ORDER BY priority, seq LIMIT 1
"""  # noqa: S608


class PostgresQueue:
    """Runs for workers; see `backout.engine.store.port.Queue`."""

    def __init__(self, database: Database, owners: PostgresOwners) -> None:
        self._database = database
        self._owners = owners

    def submit(self, run: str, clusters: Sequence[str], priority: int = 0) -> None:
        """Puts a run there; the same run twice is once."""

        def write(cursor: Cursor) -> None:
            cursor.execute(
                "INSERT INTO queue(run, clusters, priority) VALUES (%s, %s, %s) ON CONFLICT (run) DO NOTHING",
                (run, list(clusters), priority),
            )

        self._database.transact(write)

    def take(self, process: str, limits: Limits) -> str | None:
        """Claims the next run for ``process``; None where nothing may be taken now."""

        def write(cursor: Cursor) -> str | None:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (TAKING,))
            # Taken by the attempt before this one, whose answer was lost.
            cursor.execute("SELECT run FROM queue JOIN owners USING (run) WHERE process=%s AND NOT ended", (process,))
            if found := cursor.fetchone():
                return str(found[0])
            cursor.execute(
                _NEXT, {"known": list(limits.known), "per_cluster": limits.per_cluster, "in_all": limits.in_all}
            )
            if not (found := cursor.fetchone()):
                return None
            self._owners.claim_within(cursor, str(found[0]), process)
            return str(found[0])

        try:
            run = self._database.transact(write)
        except LockedError:
            return None  # its process came back to life at this very moment
        if run is not None:
            self._owners.claimed(run, process)
        return run

    def put_off(self, run: str, *, again: bool = True) -> None:
        """Left before its end: taken again after a while, or at once where it did not stop by itself."""

        def write(cursor: Cursor) -> None:
            cursor.execute(
                "UPDATE queue SET tries = tries + 1, not_before = clock_timestamp()"
                " + make_interval(secs => least(%s::float8, %s * power(2, least(tries, %s)))) WHERE run=%s",
                (LONGEST_PAUSE, FIRST_PAUSE if again else 0.0, DOUBLINGS, run),
            )

        self._database.transact(write)

    def done(self, run: str) -> None:
        """The run has ended."""

        def write(cursor: Cursor) -> None:
            cursor.execute("DELETE FROM queue WHERE run=%s", (run,))

        self._database.transact(write)

    def waiting(self) -> list[str]:
        """The runs that are there, in the order in which they go; those that are under way, too."""

        def look(cursor: Cursor) -> list[str]:
            cursor.execute("SELECT run FROM queue ORDER BY priority, seq")
            return [str(row[0]) for row in cursor.fetchall()]

        return self._database.transact(look)
