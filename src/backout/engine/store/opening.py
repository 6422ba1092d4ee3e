# SPDX-License-Identifier: Apache-2.0
"""Opens the store that is configured, whatever it is kept in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from backout.engine.lazily import importing
from backout.errors import ConfigError, StateError

if TYPE_CHECKING:
    from backout.engine.store.port import RunStore

ENVIRONMENT = "BACKOUT_STATE"
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


def open_store(url: str = "", *, create: bool = False, waits: Callable[[StateError], None] | None = None) -> RunStore:
    """The store at ``url`` (``sqlite:///PATH`` or ``postgresql://…``); without one at ``$BACKOUT_STATE``, else at the
    default place.

    Without ``create`` it is opened for reading and nothing is made: what is missing reads as empty. A server that does not take
    connections just now is tried again for some seconds where ``waits`` is given, which is told once.

    Raises:
        ConfigError: another kind of database, or no address of one.
        StateError: it can't be used; says why.
    """
    where = url or os.environ.get(ENVIRONMENT, "")
    if where.startswith(_POSTGRES):
        with importing():
            from backout.engine.store.postgres.runs import PostgresRunStore

        return PostgresRunStore(where, create=create, waits=waits)
    from backout.engine.store.sqlite.runs import SqliteRunStore

    return SqliteRunStore(_path(url) if url else default_path(), create=create)


def on_this_machine(url: str = "") -> bool:
    """Whether the store that `open_store` would open is a file here, which no process of another host can use."""
    return not (url or os.environ.get(ENVIRONMENT, "")).startswith(_POSTGRES)


def check_library() -> None:
    """
    Raises:
        StateError: what the default store is made of is too old on this machine; says what is needed.
    """
    from backout.engine.store.sqlite.library import check

    check()


def default_path() -> Path:
    """``$BACKOUT_STATE``, else ``state.db`` below ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    if named := os.environ.get(ENVIRONMENT):
        return _path(named) if "://" in named else Path(named).expanduser()
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "backout" / "state.db"


def _path(url: str) -> Path:
    if not url.startswith(_SQLITE):
        raise ConfigError(
            "state names a database that this version can't use.",
            expected="sqlite:///PATH or postgresql://USER@HOST/DATABASE",
            found="{scheme}://…",
            scheme=url.partition("://")[0],
        )
    return Path(url.removeprefix(_SQLITE)).expanduser()
