# SPDX-License-Identifier: Apache-2.0
"""The state database as a file: where it is, how it is opened, and what is said when it can't be used.

One SQLite file holds the runs and the records of the durable engine. WAL, so that readers and
the writer do not wait for each other; ``synchronous=FULL``, so that an intent is on the disk before its effect is on
the cluster (what came of it may wait for the next one: `StateDatabase.writing`). One host only: SQLite's locks do not hold over NFS.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backout.engine.store.opening import ENVIRONMENT
from backout.engine.store.sqlite.library import check
from backout.errors import StateError
from backout.locales import N_

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another writer before StateError."""
CHECKED_UP_TO = 64 * 1024 * 1024
"""Bytes: larger files are not read whole at every start."""

_LOCKED = (
    N_("The state database {path} is locked by another process."),
    N_("wait for the other backout to finish; close any sqlite3 shell that is open on it"),
)
_UNOPENED = (N_("The state database {path} can't be opened."), N_("check the folder and its rights, or set {env}"))
_SENTENCES: dict[str, tuple[str, str]] = {
    "SQLITE_READONLY": (N_("The state database {path} is read-only."), N_("make it writable for you, or set {env}")),
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_FULL": (
        N_("The disk of the state database {path} is full."),
        N_("free some space, then run the command again"),
    ),
    "SQLITE_CORRUPT": (
        N_("The state database {path} is damaged."),
        N_(
            "move it aside (it is not deleted) and start again; captures are in files of their own and are not affected"
        ),
    ),
    "SQLITE_NOTADB": (N_("{path} is not a state database of Backout."), N_("set {env}, or move this file aside")),
    "SQLITE_CANTOPEN": _UNOPENED,
    "SQLITE_PERM": _UNOPENED,
    "SQLITE_IOERR": (
        N_("Reading or writing the state database {path} failed ({reason})."),
        N_("check the disk and its free space"),
    ),
}
"""SQLite's result code → what happened, what to do."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and of the file system into StateError."""
    try:
        yield
    except UnicodeDecodeError as error:
        # Of a schema that is damaged, SQLite's own words are.
        raise damaged(path) from error
    except sqlite3.Error as error:
        raise state_error(path, error) from error
    except OSError as error:
        raise StateError(
            "The state database {path} can't be used: {reason}.",
            path=str(path),
            reason=error.strerror or type(error).__name__,
            env=ENVIRONMENT,
            hint="check the folder and its rights, or set {env} to another file",
        ) from error


def damaged(path: Path) -> StateError:
    """The error for content that SQLite gives, and that nobody wrote so."""
    sentence, hint = _SENTENCES["SQLITE_CORRUPT"]
    return StateError(sentence, hint=hint, path=str(path), env=ENVIRONMENT)


def state_error(path: Path, error: sqlite3.Error) -> StateError:
    """The StateError that says what ``error`` means; SQLite's result codes: sqlite.org/rescode.html."""
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, (sentence, hint) in _SENTENCES.items():
        if name.startswith(prefix):
            return StateError(sentence, hint=hint, path=str(path), env=ENVIRONMENT, reason=name)
    return StateError(
        "The state database {path} can't be used: {reason}.",
        path=str(path),
        reason=f"{type(error).__name__} {name}".strip(),
        env=ENVIRONMENT,
        hint="set {env} to another file, or move this one aside",
    )


def prepare(path: Path) -> None:
    """Makes folder (0700) and file (0600) if they are missing, and takes rights away from others.

    An existing file is only looked at, never opened: closing any descriptor of a file drops all POSIX locks that the
    process has on it, those of an open SQLite connection too (sqlite.org/howtocorrupt.html, 2.2).

    Raises:
        StateError: not ours, no regular file, or not writable.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _look_at_folder(path)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            _look_at(path)


def _look_at_folder(path: Path) -> None:
    """Whoever may write to the folder may put another database in the place of this one: then it says whatever they like.

    Raises:
        StateError: everybody may, and nothing keeps them off each other's files (the sticky bit, as /tmp has it).
    """
    found = path.parent.stat()
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise StateError(
            "Everybody may write to {folder}, where the state database is.",
            folder=str(path.parent),
            env=ENVIRONMENT,
            hint="take that right away (chmod o-w), or set {env} to a file elsewhere",
        )


def _look_at(path: Path) -> None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise StateError(
            "The state database {path} is not a file.", path=str(path), env=ENVIRONMENT, hint="set {env} to a file"
        )
    if found.st_uid != os.geteuid():
        raise StateError(
            "The state database {path} belongs to another user (uid {uid}).",
            path=str(path),
            uid=found.st_uid,
            env=ENVIRONMENT,
            hint="run as that user, or set {env} to a file of your own",
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise StateError(
            "The state database {path} is read-only for you.",
            path=str(path),
            env=ENVIRONMENT,
            hint="make it writable for you, or set {env} to another file",
        )
    if found.st_mode & 0o077:
        path.chmod(0o600)


def connect(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """Opens the database and checks that it is whole.

    Without ``create`` nothing is made or set up: a file that is missing, or not set up yet, reads as an empty one.

    Raises:
        StateError: read-only, locked, damaged, full, of another user; or the SQLite library is too old.
    """
    check()
    if create:
        prepare(path)
        with _alone(path):
            database = _opened(path)
            with translated(path):
                # Switching to WAL does not wait for other connections: hence alone, and only once.
                if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    database.execute("PRAGMA journal_mode=WAL").fetchone()
                database.execute("PRAGMA synchronous=FULL")
            return database
    with translated(path):
        if not path.exists() or path.stat().st_size == 0:
            return _empty()
    database = _opened(path)
    with translated(path):
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            database.close()
            return _empty()
    return database


def _empty() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _opened(path: Path) -> sqlite3.Connection:
    with translated(path):
        database = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            # A file that is no database refuses this, which is the answer we want.
            limit = "quick_check(1)" if path.stat().st_size <= CHECKED_UP_TO else "schema_version"
            answer = [row[0] for row in database.execute(f"PRAGMA {limit}")]
            if limit.startswith("quick_check") and answer != ["ok"]:
                raise damaged(path)
            database.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            database.close()
            raise
        return database


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process sets this file up at the same time."""
    with translated(path):
        descriptor = os.open(path.with_name(f"{path.name}.setup"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
