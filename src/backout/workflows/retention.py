# SPDX-License-Identifier: Apache-2.0
"""Which runs may go, and how they go: the record, what the engine kept, and the capture, together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from backout.engine.store.port import Aim, RunStore, RunSummary
from backout.errors import BackoutError
from backout.model.run import ENDED, changed_steps
from backout.snapshots.capture import CaptureStore
from backout.workflows.undo import undo_operation


@dataclass(frozen=True, slots=True)
class Policy:
    """A run stays when one of these says so.

    ``last``: so many of the newest stay. ``younger_than``: those that began within that time stay. With ``undoable``,
    one that could still be taken back goes all the same.
    """

    last: int = 0
    younger_than: timedelta | None = None
    undoable: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """What goes, newest first, and what stays for another reason than its age: not over, or not taken back yet."""

    going: tuple[RunSummary, ...]
    unfinished: tuple[RunSummary, ...]
    undoable: tuple[RunSummary, ...]
    recent: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went. ``freed``: bytes of captures."""

    runs: tuple[RunSummary, ...]
    captures: int
    freed: int


def choose(store: RunStore, policy: Policy, captures: CaptureStore, now: datetime) -> Chosen:
    """Reads only. A run that is not over never goes, nor does what an unfinished `undo` takes back."""
    summaries = store.summaries(-1)
    unfinished = [run for run in summaries if run.state not in ENDED or store.owners.unfinished(run.id)]
    needed = {run.id for run in unfinished} | {run.undo_of for run in unfinished}
    oldest = now - policy.younger_than if policy.younger_than is not None else None
    going, undoable, recent = [], [], 0
    settled: set[Aim] = set()
    for number, run in enumerate(summaries):
        # Only the last run that changed a target can be taken back: a compensation expects what its run had left.
        last = not settled.issuperset(run.aims) and bool(changed_steps(store.events(run.id)))
        if last:
            settled.update(run.aims)
        if run.id in needed:
            continue
        if number < policy.last or (oldest is not None and run.started > oldest):
            recent += 1
        elif last and not policy.undoable and _can_be_undone(store, run.id, captures, now):
            undoable.append(run)
        else:
            going.append(run)
    return Chosen(tuple(going), tuple(unfinished), tuple(undoable), recent)


def prune(
    store: RunStore,
    policy: Policy,
    captures: CaptureStore,
    now: datetime,
    chosen: Sequence[RunSummary],
    actor: str = "",
) -> Pruned:
    """Removes those of ``chosen`` that the policy still lets go, in the name of ``actor``. Killed in between, the next one
    removes the rest.

    Raises:
        StateError: the database can't be written.
    """
    from backout.engine.dbos_records import forget

    forget(store, [run.id for run in chosen])
    asked = {run.id for run in chosen}
    freed: list[int] = []

    def still() -> list[RunSummary]:
        return [run for run in choose(store, policy, captures, now).going if run.id in asked]

    def first(run: str, paths: Sequence[str]) -> None:
        for file in {captures.path(run), *map(Path, paths)}:
            if not CaptureStore.is_of(file, run):
                continue
            with suppress(OSError):
                size = file.stat().st_size
                file.unlink()
                freed.append(size)

    gone = store.remove(still, first, actor)
    return Pruned(tuple(gone), len(freed), sum(freed))


def _can_be_undone(store: RunStore, run: str, captures: CaptureStore, now: datetime) -> bool:
    try:
        undo_operation(store.get(run), store.events(run), now, captures)
    except BackoutError:
        return False
    return True
