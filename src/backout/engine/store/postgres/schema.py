# SPDX-License-Identifier: Apache-2.0
"""Our tables in PostgreSQL, in a schema of their own; those of the durable engine are in another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backout.errors import StateError

if TYPE_CHECKING:
    import psycopg

SCHEMA = "backout"
LOCK = 0x6261636B6F7574
"""Number of the advisory lock under which the tables are set up."""

MIGRATIONS = (
    """
    CREATE TABLE plans (
        hash text PRIMARY KEY,
        plan bytea NOT NULL
    );
    CREATE TABLE runs (
        seq bigint GENERATED ALWAYS AS IDENTITY,
        id text PRIMARY KEY,
        plan text NOT NULL REFERENCES plans(hash),
        state text NOT NULL,
        target text NOT NULL,
        cluster text NOT NULL,
        namespace text NOT NULL,
        revision bigint NOT NULL,
        cause bytea NOT NULL,
        started text NOT NULL,
        ended text,
        actor text NOT NULL,
        verdict bytea,
        failure bytea,
        aims bytea NOT NULL,
        undo_of text NOT NULL DEFAULT '',
        undone_by text NOT NULL DEFAULT ''
    );
    CREATE INDEX runs_seq ON runs(seq);
    CREATE INDEX runs_plan ON runs(plan);
    CREATE TABLE parts (
        run text NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
        part text NOT NULL,
        token bigint NOT NULL DEFAULT 0,
        capture text NOT NULL DEFAULT '',
        digest text NOT NULL DEFAULT '',
        PRIMARY KEY (run, part)
    );
    CREATE TABLE events (
        seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        run text NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
        key text NOT NULL,
        event bytea NOT NULL,
        UNIQUE (run, key)
    );
    CREATE INDEX events_run ON events(run, seq);
    CREATE TABLE answers (
        run text NOT NULL,
        step text NOT NULL,
        answer text NOT NULL,
        PRIMARY KEY (run, step)
    );
    CREATE TABLE processes (
        process text PRIMARY KEY,
        until timestamptz NOT NULL
    );
    CREATE TABLE owners (
        run text PRIMARY KEY,
        process text NOT NULL,
        since timestamptz NOT NULL,
        ended boolean NOT NULL DEFAULT false
    );
    CREATE INDEX owners_unended ON owners(process) WHERE NOT ended;
    CREATE TABLE aborts (
        run text PRIMARY KEY,
        actor text NOT NULL,
        at timestamptz NOT NULL
    );
    """,
    """
    CREATE TABLE queue (
        seq bigint GENERATED ALWAYS AS IDENTITY,
        run text PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
        clusters text[] NOT NULL,
        priority integer NOT NULL,
        not_before timestamptz NOT NULL DEFAULT '-infinity',
        tries integer NOT NULL DEFAULT 0
    );
    """,
    """
    ALTER TABLE events ADD COLUMN n bigint NOT NULL DEFAULT 0, ADD COLUMN hash text NOT NULL DEFAULT '';
    CREATE TABLE chains (
        run text PRIMARY KEY,
        n bigint NOT NULL,
        head text NOT NULL,
        anchored bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    CREATE TABLE audit (
        n bigint PRIMARY KEY,
        at text NOT NULL,
        type text NOT NULL,
        run text NOT NULL,
        data bytea NOT NULL,
        prev text NOT NULL,
        hash text NOT NULL
    );
    """,
    """
    ALTER TABLE queue DROP CONSTRAINT queue_pkey;
    ALTER TABLE queue ADD COLUMN piece text NOT NULL DEFAULT '';
    ALTER TABLE queue ADD COLUMN work text NOT NULL DEFAULT 'run';
    ALTER TABLE queue ADD COLUMN content bytea;
    ALTER TABLE queue ADD COLUMN result text;
    ALTER TABLE queue ADD COLUMN execution text
        GENERATED ALWAYS AS (CASE piece WHEN '' THEN run ELSE run || ' ' || piece END) STORED;
    ALTER TABLE queue ADD PRIMARY KEY (run, piece);
    """,
)
"""What brings the tables from each version to the next: never changed once released, only added to."""
VERSION = len(MIGRATIONS)


def prepare(connection: psycopg.Connection[Any], place: str, *, create: bool) -> None:
    """Sees to it that the session finds our tables, in the version of this program.

    Without ``create`` nothing is made that others see: where there are no tables, the session gets empty ones of its own.

    Raises:
        StateError: a newer version made them, or they are to be brought up to date and ``create`` is False.
    """
    connection.execute(f"SET search_path = {SCHEMA}, pg_temp")
    found = _version(connection)
    if create and found < VERSION:
        found = _migrate(connection)
    if found > VERSION:
        raise StateError(
            "{place} was set up by a newer Backout.",
            place=place,
            expected="version {known} of its tables",
            found="version {version}",
            known=VERSION,
            version=found,
            hint="use that version here too, or another database",
        )
    if found == 0:
        connection.execute("SET search_path = pg_temp")
        with connection.transaction():
            _create(connection, 0)
    elif found < VERSION:
        raise StateError(
            "The tables in {place} are those of an older Backout.",
            place=place,
            hint="the next `backout run` or `backout worker` brings them up to date",
        )


def _version(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT to_regclass(%s)", (f"{SCHEMA}.version",)).fetchone()
    if row is None or row[0] is None:
        return 0
    row = connection.execute(f"SELECT coalesce(max(version), 0) FROM {SCHEMA}.version").fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def _migrate(connection: psycopg.Connection[Any]) -> int:
    """One process at a time; answers the version that is there then."""
    # The lock comes before the transaction: one that began earlier might not see what was made while it waited.
    connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        with connection.transaction():
            return _migrate_alone(connection)
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))


def _migrate_alone(connection: psycopg.Connection[Any]) -> int:
    found = _version(connection)
    if found >= VERSION:
        return found
    if found == 0:
        # Looked at first: who may use a schema that was made for them need not be one who may make schemas.
        if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname=%s", (SCHEMA,)).fetchone() is None:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute("CREATE TABLE version (version integer NOT NULL)")
    _create(connection, found)
    connection.execute("DELETE FROM version")
    connection.execute("INSERT INTO version(version) VALUES (%s)", (VERSION,))
    return VERSION


def _create(connection: psycopg.Connection[Any], found: int) -> None:
    for migration in MIGRATIONS[found:]:
        connection.execute(migration)
