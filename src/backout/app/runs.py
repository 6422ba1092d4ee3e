# SPDX-License-Identifier: Apache-2.0
"""Runs as they are kept: which there are, one with its events, its write-up, its end before its time, their removal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from backout.app.store import is_there, open_store, run_meant
from backout.errors import UsageError
from backout.model.run import told_state

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore, RunSummary
    from backout.model.outcomes import PartOutcome
    from backout.model.run import Run, RunEvent
    from backout.workflows.retention import Chosen, Pruned


@dataclass(frozen=True, slots=True)
class Kept:
    """A run with what happened in it."""

    run: Run
    events: tuple[RunEvent, ...]


def runs(
    workspace: Workspace, limit: int = 50, *, states: Collection[str] = (), since: timedelta | None = None
) -> list[RunSummary]:
    """The latest runs, newest first; those of the namespace and the clusters that were named, where any were.

    ``states``: what they are called (`model.run.told_state`), any where none is named; ``since``: those that began within that time.
    """
    oldest = datetime.now(UTC) - since if since is not None else None

    def meant(run: RunSummary) -> bool:
        named = not states or told_state(run.state, undo=bool(run.undo_of)) in states
        return named and (oldest is None or run.started >= oldest) and is_there(workspace.where, run)

    with open_store(workspace) as store:
        if not (workspace.where.namespace or workspace.where.contexts or states or oldest):
            return _approved(store, store.summaries(limit))
        return _approved(store, [run for run in store.summaries(-1) if meant(run)][:limit])


def _approved(store: RunStore, found: list[RunSummary]) -> list[RunSummary]:
    """With who said yes to each, and whether it waits for that."""
    import msgspec

    events = store.keyed([run.id for run in found], "approv")
    told: dict[str, list[RunEvent]] = {}
    for event in events:
        told.setdefault(event.run, []).append(event)
    return [
        msgspec.structs.replace(
            run,
            approved_by=tuple(_named(event) for event in told[run.id] if event.type == "approved"),
            waits=run.state == "pending" and _waits(told[run.id]),
        )
        if run.id in told
        else run
        for run in found
    ]


def _named(event: RunEvent) -> str:
    return f"{event.data.get('person', '?')}: {event.data.get('reason', '')}"


def _waits(events: list[RunEvent]) -> bool:
    people = max((int(event.data.get("people", 0)) for event in events if event.type == "approval-needed"), default=0)
    return sum(1 for event in events if event.type == "approved") < people


def run(workspace: Workspace, name: str = "latest") -> Kept:
    """One run, by its id, the beginning of it, or ``latest``.

    Raises:
        RunNotFound: no such run.
        UsageError: several begin so.
    """
    with open_store(workspace) as store:
        found = store.get(run_meant(workspace, store, name))
        return Kept(found, tuple(store.events(found.id)))


def parts(workspace: Workspace, name: str = "latest") -> tuple[PartOutcome, ...]:
    """What became of each part of a run over many clusters; none of another one.

    Raises:
        RunNotFound: no such run.
    """
    from backout.app.following import MOVING
    from backout.model.outcomes import outcomes

    found = run(workspace, name)
    return outcomes(found.run.operation, found.events, under_way=found.run.state in MOVING)


def report(workspace: Workspace, name: str = "latest", lang: str = "en") -> str:
    """The write-up of one run in Markdown.

    Raises:
        RunNotFound: no such run.
    """
    from backout.report import render

    found = run(workspace, name)
    return render(found.run, list(found.events), lang)


@dataclass(frozen=True, slots=True)
class Pruning:
    """What goes and what stays; ``done`` is None while nothing was removed, ``refused`` when somebody said no."""

    chosen: Chosen
    done: Pruned | None = None
    refused: bool = False


def prune(
    workspace: Workspace,
    *,
    last: int = 0,
    older_than: timedelta | None = None,
    undoable: bool = False,
    confirm: Callable[[Pruning], bool] = lambda found: True,
    dry_run: bool = False,
) -> Pruning:
    """Removes old runs: their records, what the engine kept of them, and their captures.

    ``confirm`` is asked before anything is removed, and when it says no nothing is.

    Raises:
        UsageError: nothing says which are old.
        StateError: they can't be removed.
    """
    from backout.app.running import actor
    from backout.snapshots.capture import CaptureStore
    from backout.workflows import retention

    if not last and older_than is None:
        raise UsageError(
            "Nothing says which runs are old.",
            expected="--older-than DURATION, --keep-last N, or both",
            hint="backout runs prune --older-than 90d --dry-run",
        )
    policy, captures, now = retention.Policy(last, older_than, undoable), CaptureStore(), datetime.now(UTC)
    with open_store(workspace) as store:
        found = Pruning(retention.choose(store, policy, captures, now))
    if dry_run or not found.chosen.going:
        return found
    if not confirm(found):
        return Pruning(found.chosen, refused=True)
    with open_store(workspace, create=True) as store:
        return Pruning(found.chosen, retention.prune(store, policy, captures, now, found.chosen.going, actor()))
