# SPDX-License-Identifier: Apache-2.0
"""Runs that stopped half-way: until they are finished, what they changed so far may look like nothing at all."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from backout.app import store
from backout.app.events import Unfinished
from backout.errors import BackoutError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace

LOOKED_BACK = 50
"""The latest runs among which they are looked for."""


def tell_unfinished(workspace: Workspace) -> None:
    """Names those of the clusters in question, and of the namespace if one was given."""
    given = workspace.where.namespace
    with suppress(BackoutError), store.open_store(workspace) as runs:
        for run in runs.summaries(LOOKED_BACK):
            here = any({aim.cluster, ""} & set(workspace.contexts) and given in ("", aim.namespace) for aim in run.aims)
            if run.state == "interrupted" and not run.undone_by and here:
                workspace.tell(Unfinished(run))
