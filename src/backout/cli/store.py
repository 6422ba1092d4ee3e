# SPDX-License-Identifier: Apache-2.0
"""The state database of the session: where runs are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.engine.store import opening

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.engine.store.port import RunStore


def open_store(session: Session, *, create: bool = False) -> RunStore:
    """Opens the runs; reading makes no file.

    Raises:
        ConfigError: the configuration names another kind of database.
        StateError: it can't be used.
    """
    return opening.open_store(session.settings.state, create=create)
