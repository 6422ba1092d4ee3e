# SPDX-License-Identifier: Apache-2.0
"""The state database: where runs are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.engine.store import opening

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore


def open_store(workspace: Workspace, *, create: bool = False) -> RunStore:
    """Opens the runs; reading makes no file.

    Raises:
        ConfigError: the configuration names another kind of database.
        StateError: it can't be used.
    """
    return opening.open_store(workspace.settings.state, create=create)
