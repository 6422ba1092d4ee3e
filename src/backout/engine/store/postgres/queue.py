# SPDX-License-Identifier: Apache-2.0
"""The queue of submitted runs and of their pieces: rows that workers claim, one taker at a time, so that limits hold however
many ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from backout.engine.pieces import Piece
from backout.engine.store.port import Limits, Taken, Work, execution_of
from backout.engine.store.postgres.connection import Cursor, Database
from backout.engine.store.postgres.owners import PostgresOwners
from backout.errors import LockedError

TAKING = 0x74616B65
"""Number of the advisory lock under which runs and pieces are taken."""
FIRST_PAUSE = 5.0
"""Seconds before what stopped by itself is taken again; twice as long after each further try."""
LONGEST_PAUSE = 300.0
DOUBLINGS = 10

_HELD = (
    "SELECT 1 FROM owners o JOIN processes p USING (process) WHERE o.run = q.execution AND p.until > clock_timestamp()"
)
_NEXT = f"""
WITH busy AS (
  SELECT q.clusters FROM queue q JOIN owners o ON o.run = q.execution JOIN processes p USING (process)
  WHERE q.work IN ('run', 'part') AND NOT o.ended AND p.until > clock_timestamp()
)
SELECT run, piece, work, content FROM queue q
WHERE work = ANY(%(work)s) AND result IS NULL AND not_before <= clock_timestamp()
  AND CASE work WHEN 'operation' THEN clusters && %(known)s ELSE clusters <@ %(known)s END
  AND NOT EXISTS ({_HELD})
  AND (work IN ('operation', 'look')
    OR ((%(in_all)s = 0 OR (SELECT count(*) FROM busy) < %(in_all)s)
      AND (%(per_cluster)s = 0 OR NOT EXISTS (
        SELECT 1 FROM unnest(q.clusters) AS mine(name)
        WHERE (SELECT count(*) FROM busy WHERE mine.name = ANY(busy.clusters)) >= %(per_cluster)s))))
ORDER BY priority, seq LIMIT 1
"""  # noqa: S608
_MINE = (
    "SELECT q.run, piece, work, content FROM queue q JOIN owners o ON o.run = q.execution "
    "WHERE o.process=%s AND result IS NULL AND (piece <> '' OR NOT o.ended) AND NOT q.execution = ANY(%s) "
    "AND work = ANY(%s) AND not_before <= clock_timestamp() LIMIT 1"
)


class PostgresQueue:
    """Runs and pieces for workers; see `backout.engine.store.port.Queue`."""

    def __init__(self, database: Database, owners: PostgresOwners) -> None:
        self._database = database
        self._owners = owners

    # runs

    def submit(self, run: str, clusters: Sequence[str], priority: int = 0, *, in_pieces: bool = False) -> None:
        """Puts a run there; the same run twice is once."""

        def write(cursor: Cursor) -> None:
            cursor.execute(
                "INSERT INTO queue(run, work, clusters, priority) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (run, "operation" if in_pieces else "run", list(clusters), priority),
            )

        self._database.transact(write)

    def done(self, run: str) -> None:
        """The run has ended."""
        self._database.transact(lambda cursor: _ran(cursor, "DELETE FROM queue WHERE run=%s", (run,)))

    def waiting(self) -> list[str]:
        """The runs that are there, in the order in which they go; those that are under way, too."""

        def look(cursor: Cursor) -> list[str]:
            cursor.execute("SELECT run FROM queue WHERE piece='' ORDER BY priority, seq")
            return [str(row[0]) for row in cursor.fetchall()]

        return self._database.read(look)

    # pieces, as the run sees them

    def offer(self, run: str, piece: Piece) -> None:
        """Puts a piece of a run there; one that is there stays as it is."""

        def write(cursor: Cursor) -> None:
            self._owners.fence(cursor, run)
            cursor.execute(
                "INSERT INTO queue(run, piece, work, clusters, content, priority) "
                "SELECT %(run)s, %(piece)s, %(work)s, %(clusters)s, %(content)s, "
                "coalesce((SELECT priority FROM queue WHERE run=%(run)s AND piece=''), 0) "
                # What it came to meanwhile is not forgotten: whoever has it would not hand it over twice.
                "ON CONFLICT (run, piece) DO NOTHING",
                {
                    "run": run,
                    "piece": piece.name,
                    "work": "look" if piece.light else "part",
                    "clusters": [piece.cluster],
                    "content": msgspec.json.encode(piece),
                },
            )

        self._database.transact(write)

    def result(self, run: str, piece: str) -> str | None:
        """What a worker delivered; None before."""

        def look(cursor: Cursor) -> str | None:
            cursor.execute("SELECT result FROM queue WHERE run=%s AND piece=%s AND result IS NOT NULL", (run, piece))
            row = cursor.fetchone()
            return str(row[0]) if row else None

        return self._database.read(look)

    def begun(self, run: str, piece: str) -> bool:
        """Whether any worker ever had it."""

        def look(cursor: Cursor) -> bool:
            cursor.execute("SELECT 1 FROM owners WHERE run=%s", (execution_of(run, piece),))
            return cursor.fetchone() is not None

        return self._database.read(look)

    def withdraw(self, run: str, piece: str) -> bool:
        """Takes back a piece that no worker ever had; False where one has, or had."""

        def write(cursor: Cursor) -> bool:
            self._owners.fence(cursor, run)
            # Nobody takes it at this moment.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (TAKING,))
            cursor.execute(
                "DELETE FROM queue q WHERE run=%s AND piece=%s AND result IS NULL"
                " AND NOT EXISTS (SELECT 1 FROM owners o WHERE o.run = q.execution)",
                (run, piece),
            )
            if cursor.rowcount:
                return True
            cursor.execute("SELECT 1 FROM queue WHERE run=%s AND piece=%s", (run, piece))
            return cursor.fetchone() is None  # by the attempt before this one, whose answer was lost

        return self._database.transact(write)

    def recall(self, run: str) -> list[str]:
        """Takes back all pieces that no worker ever had, or that are over; answers with the others."""

        def write(cursor: Cursor) -> list[str]:
            self._owners.fence(cursor, run)
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (TAKING,))
            cursor.execute(
                "DELETE FROM queue q WHERE run=%s AND piece<>'' AND (result IS NOT NULL"
                " OR NOT EXISTS (SELECT 1 FROM owners o WHERE o.run = q.execution))",
                (run,),
            )
            cursor.execute("SELECT piece FROM queue WHERE run=%s AND piece<>''", (run,))
            return [str(row[0]) for row in cursor.fetchall()]

        return self._database.transact(write)

    # as workers see both

    def take(self, process: str, limits: Limits, work: Collection[Work], here: Collection[str] = ()) -> Taken | None:
        """Claims the next run or piece for ``process``; None where nothing may be taken now."""

        def write(cursor: Cursor) -> Taken | None:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (TAKING,))
            # Taken by an attempt whose answer was lost, or lost since in this process.
            cursor.execute(_MINE, (process, list(here), list(work)))
            if (found := cursor.fetchone()) is None:
                cursor.execute(
                    _NEXT,
                    {
                        "work": list(work),
                        "known": list(limits.known),
                        "per_cluster": limits.per_cluster,
                        "in_all": limits.in_all,
                    },
                )
                found = cursor.fetchone()
            if found is None:
                return None
            run, piece, kind, content = found
            taken = Taken(run=run, work=kind, piece=msgspec.json.decode(content, type=Piece) if piece else None)
            self._owners.claim_within(cursor, taken.execution, process)
            return taken

        try:
            taken = self._database.transact(write)
        except LockedError:
            return None  # its process came back to life at this very moment
        if taken is not None:
            self._owners.claimed(taken.execution, process)
        return taken

    def deliver(self, run: str, piece: str, result: str) -> None:
        """What a piece came to, for the run; only by who has it."""

        def write(cursor: Cursor) -> None:
            self._owners.fence(cursor, execution_of(run, piece))
            cursor.execute("UPDATE queue SET result=%s WHERE run=%s AND piece=%s", (result, run, piece))

        self._database.transact(write)

    def put_off(self, run: str, piece: str = "", *, again: bool = True) -> None:
        """Left before its end: taken again after a while, or at once where it did not stop by itself."""

        def write(cursor: Cursor) -> None:
            cursor.execute(
                "UPDATE queue SET tries = tries + 1, not_before = clock_timestamp()"
                " + make_interval(secs => least(%s::float8, %s * power(2, least(tries, %s))))"
                " WHERE run=%s AND piece=%s",
                (LONGEST_PAUSE, FIRST_PAUSE if again else 0.0, DOUBLINGS, run, piece),
            )

        self._database.transact(write)


def _ran(cursor: Cursor, statement: str, values: Sequence[object]) -> None:
    cursor.execute(statement, values)
