# SPDX-License-Identifier: Apache-2.0
"""The SQLite library that Python brings or the machine has: how old it may be, and what an old one lacks.

On Python 3.12 and newer DBOS takes the time from ``unixepoch('subsec')``, also as the default of columns. SQLite knows
that word since 3.42 (sqlite.org/lang_datefunc.html, 'subsec'); 3.38 to 3.41 answer NULL, which those columns refuse,
older ones have no such function. Debian 12, and every image that is built on it, has 3.40. So each connection of the
engine gets a function of that name where the library has none that answers.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from backout.errors import StateError

OLDEST = (3, 35, 0)
"""The first SQLite with RETURNING (sqlite.org/lang_returning.html), which the records of runs are written with."""
BUSY_TIMEOUT = 30.0
"""Seconds that the durable engine waits for another writer, as DBOS has it."""


def check(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """
    Raises:
        StateError: the SQLite library is too old.
    """
    if version < OLDEST:
        raise StateError(
            "The SQLite library of this Python is too old: {version}.",
            version=".".join(map(str, version)),
            oldest=".".join(map(str, OLDEST)),
            expected="SQLite {oldest} or newer",
            hint="install Backout with a Python that brings a newer one; `backout version` says which is in use",
        )


class Connection(sqlite3.Connection):
    """A connection for the durable engine: transactions lock at their start, and the time has its fraction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.isolation_level = "IMMEDIATE"
        self.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
        self.execute("PRAGMA foreign_keys=ON")
        tell_time(self)


def tell_time(database: sqlite3.Connection) -> None:
    """Sees to it that ``unixepoch('subsec')`` answers on this connection."""
    if _answers(database):
        return
    # A default in the schema may call a function of ours only where the schema is trusted, which some builds of
    # SQLite leave off (sqlite.org/pragma.html#pragma_trusted_schema). The file is ours alone.
    database.execute("PRAGMA trusted_schema=ON")
    database.create_function("unixepoch", 1, _unixepoch)


def _answers(database: sqlite3.Connection) -> bool:
    try:
        return database.execute("SELECT unixepoch('subsec')").fetchone()[0] is not None
    except sqlite3.OperationalError:
        return False  # no such function


def _unixepoch(modifier: object) -> float | None:
    """Seconds since 1970 with milliseconds, as SQLite has them; NULL for what is not asked by the engine."""
    return round(time.time(), 3) if modifier in ("subsec", "subsecond") else None
