# SPDX-License-Identifier: Apache-2.0
"""The state database: where runs are kept, and which of them is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.app.events import StateAway
from backout.engine.store import opening
from backout.engine.store.port import Aim
from backout.errors import RunNotFound, UsageError
from backout.model.run import changed_steps

if TYPE_CHECKING:
    from backout.app.workspace import Where, Workspace
    from backout.engine.store.port import RunStore, RunSummary


def open_store(workspace: Workspace, *, create: bool = False) -> RunStore:
    """Opens the runs; reading makes no file. A database that restarts is waited for, and the front is told.

    Raises:
        ConfigError: the configuration names another kind of database.
        StateError: it can't be used.
    """
    return opening.open_store(
        workspace.settings.state, create=create, waits=lambda error: workspace.tell(StateAway(error))
    )


LATEST = "latest"


def run_meant(workspace: Workspace, store: RunStore, name: str = LATEST) -> str:
    """The id of the run that ``name`` means: an id, its unique beginning, or ``latest``.

    The latest is that of the namespace and the clusters which were named, on the command line or as the stacks of the
    configuration, where any were: whoever says ``-n shop`` does not mean what was done elsewhere since. One that was refused or
    stopped before its first step is not the latest while there is another.

    Raises:
        RunNotFound: none.
        UsageError: several begin so.
    """
    if name != LATEST:
        return store.find(name)
    places = _places(workspace)
    here = [run for run in store.summaries(-1) if _within(run, places)]
    found = next((run for run in here if not _empty(store, run)), here[0] if here else None)
    if found is not None:
        return found.id
    if not places:
        return store.find(name)
    raise RunNotFound(
        "There is no run in {where} yet.",
        where=", ".join(dict.fromkeys(" · ".join(filter(None, place)) for place in places)),
        hint="`backout runs` lists those of every namespace",
    )


def run_to_undo(workspace: Workspace, store: RunStore, name: str = LATEST) -> str:
    """The same for an undo, which has to know exactly what is meant: a command may have begun several runs.

    Raises:
        RunNotFound: none.
        UsageError: several are meant.
    """
    found = run_meant(workspace, store, name)
    command = _command(store, found) if name == LATEST else ""
    if not command:
        return found
    runs = [run for run in store.summaries(-1) if _command(store, run.id) == command and not run.undone_by]
    left = [run for run in runs if changed_steps(store.events(run.id))]
    if len(left) < 2:
        return left[0].id if left else found
    raise UsageError(
        "The latest command made {count} runs: {runs}.",
        count=len(left),
        runs=", ".join(f"{run.id} ({run.target})" for run in left),
        expected="one of them",
        hint="To take all of it back, one after the other: {commands}",
        commands="; ".join(f"`backout undo {run.id}`" for run in left),
    )


def _places(workspace: Workspace) -> list[tuple[str, str]]:
    """Cluster and namespace, either of which may be empty for any; none where nothing was named."""
    where, stacks = workspace.where, workspace.settings.stacks.values()
    if where.all_namespaces or where.namespace or not stacks:
        return _named(where)
    return [(name, stack.namespace) for stack in stacks for name in where.contexts or stack.clusters or ("",)]


def _named(where: Where) -> list[tuple[str, str]]:
    return [(name, where.namespace) for name in where.contexts or ("",) if name or where.namespace]


def is_there(where: Where, run: RunSummary) -> bool:
    """Whether a run is about the namespace and one of the clusters that were named on the command line."""
    return _within(run, _named(where))


def _within(run: RunSummary, places: list[tuple[str, str]]) -> bool:
    aims = run.aims or (Aim(run.cluster, run.namespace, run.target),)
    return not places or any(
        cluster in ("", aim.cluster) and namespace in ("", aim.namespace)
        for aim in aims
        for cluster, namespace in places
    )


def _empty(store: RunStore, run: RunSummary) -> bool:
    """Whether it is over and no step of it was ever begun: refused, locked by another, or stopped before."""
    return run.state in ("failed", "aborted") and not any(
        event.type in ("step-started", "verdict") for event in store.events(run.id)
    )


def _command(store: RunStore, run: str) -> str:
    started = (event for event in store.events(run) if event.type == "run-started")
    return next((str(event.data.get("command") or "") for event in started), "")
