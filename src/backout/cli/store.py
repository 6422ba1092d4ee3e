# SPDX-License-Identifier: Apache-2.0
"""The state database of the session: where runs are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backout.errors import ConfigError

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.engine.runs import RunStore


def state_path(session: Session) -> Path | None:
    """The SQLite file that the configuration names; None for the default place.

    Raises:
        ConfigError: another kind of database.
    """
    url = session.settings.state
    if not url:
        return None
    if not url.startswith("sqlite:///"):
        raise ConfigError(
            "state names a database that this version can't use.",
            expected="sqlite:///PATH",
            found="{scheme}://…",
            scheme=url.partition("://")[0],
        )
    return Path(url.removeprefix("sqlite:///")).expanduser()


def open_store(session: Session, *, create: bool = False) -> RunStore:
    """Opens the runs; reading makes no file.

    Raises:
        StateError: the file can't be used.
    """
    from backout.engine.runs import RunStore

    return RunStore(state_path(session), create=create)
