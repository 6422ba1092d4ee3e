# SPDX-License-Identifier: Apache-2.0
"""The state database: where runs are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.engine.store import opening
from backout.engine.store.port import Aim
from backout.errors import RunNotFound

if TYPE_CHECKING:
    from backout.app.workspace import Where, Workspace
    from backout.engine.store.port import RunStore, RunSummary


def open_store(workspace: Workspace, *, create: bool = False) -> RunStore:
    """Opens the runs; reading makes no file.

    Raises:
        ConfigError: the configuration names another kind of database.
        StateError: it can't be used.
    """
    return opening.open_store(workspace.settings.state, create=create)


LATEST = "latest"


def run_meant(workspace: Workspace, store: RunStore, name: str = LATEST) -> str:
    """The id of the run that ``name`` means: an id, its unique beginning, or ``latest``.

    The latest is that of the namespace and the clusters which were named, where any were: whoever says ``-n shop`` does not mean
    what was done elsewhere since.

    Raises:
        RunNotFound: none.
        UsageError: several begin so.
    """
    where = workspace.where
    if name != LATEST or not (where.namespace or where.contexts):
        return store.find(name)
    for summary in store.summaries(-1):
        if is_there(where, summary):
            return summary.id
    raise RunNotFound(
        "There is no run in {where} yet.",
        where=" · ".join([*where.contexts, *([where.namespace] if where.namespace else [])]),
        hint="`backout runs` lists those of every namespace",
    )


def is_there(where: Where, run: RunSummary) -> bool:
    """Whether a run is about the namespace and one of the clusters that were named."""
    aims = run.aims or (Aim(run.cluster, run.namespace, run.target),)
    return any(
        (not where.namespace or aim.namespace == where.namespace)
        and (not where.contexts or aim.cluster in where.contexts)
        for aim in aims
    )
