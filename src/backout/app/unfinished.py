# SPDX-License-Identifier: Apache-2.0
"""Runs that stopped before their end: until they are finished, what they changed so far may look like nothing at all."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from backout.app import store
from backout.app.events import NotLetGo, Unfinished
from backout.errors import BackoutError
from backout.model.run import ENDED, changed_steps

if TYPE_CHECKING:
    from backout.app.workspace import Workspace

LOOKED_BACK = 50
"""The latest runs among which they are looked for."""


def tell_unfinished(workspace: Workspace, places: Collection[tuple[str, str]]) -> None:
    """Names those that were to act on what was looked at, and those that have ended and may still hold a lock: ``places`` are names
    of clusters, each with its namespace.

    An empty namespace stands for all of them.
    """
    with suppress(BackoutError), store.open_store(workspace) as runs:
        for run in runs.summaries(LOOKED_BACK):
            here = any((aim.cluster, space) in places for aim in run.aims for space in ("", aim.namespace))
            if not here:
                continue
            if run.state == "interrupted" and not run.undone_by:
                workspace.tell(Unfinished(run, begun=bool(changed_steps(runs.events(run.id)))))
            elif run.state in ENDED and runs.owners.unfinished(run.id) and not runs.owners.alive(run.id):
                workspace.tell(NotLetGo(run))
