# SPDX-License-Identifier: Apache-2.0
"""Plans, runs, and what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.app.dryrun import DryRun
from backout.app.events import Failed
from backout.app.results import RunSummary
from backout.app.running import exit_code_of, exit_code_of_all
from backout.app.runs import Kept, Pruning
from backout.documents.base import Document
from backout.documents.failing import Error, failed_document
from backout.model.operation import Operation
from backout.model.outcomes import PartOutcome, PartState, outcomes
from backout.model.part import Access
from backout.model.run import OF_UNDO, CaptureNote, Failure, Run, RunEvent, RunState, ToldState, told_state
from backout.model.verdict import CheckResult, Outcome


class ToldVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was measured; of an undo: whether the state before is in force again."""

    outcome: Outcome | Literal["taken-back", "not-taken-back"]
    checks: tuple[CheckResult, ...]
    at: datetime
    soak: float = 0.0


class ToldPart(PartOutcome, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one part of an operation over many clusters."""

    state: PartState | Literal["taken-back", "not-taken-back"]  # type: ignore[assignment]


class ToldRun(RunSummary, frozen=True, kw_only=True):
    """One line of `backout runs`."""

    state: ToldState  # type: ignore[assignment]


class OperationList(Document, frozen=True, kw_only=True):
    """`backout plan`: a plan for each target, and what could not be planned."""

    kind: Literal["OperationList"] = "OperationList"
    items: tuple[Operation, ...]
    failed: tuple[Error, ...] = ()


class RunDocument(Document, frozen=True, kw_only=True):
    """One run with its events: `backout show`, `report`, `resume`, `undo`, and an item of `RunOutcomeList`.

    ``exitCode`` is what the command that carried it out ended with, or would; ``parts``: what became of each part of an operation
    over many clusters.
    """

    kind: Literal["Run"] = "Run"
    id: str
    state: ToldState
    operation: Operation
    started: datetime
    ended: datetime | None
    actor: str
    verdict: ToldVerdict | None
    failure: Failure | None
    captures: dict[str, CaptureNote]
    undo_of: str
    undone_by: str
    events: tuple[RunEvent, ...]
    exit_code: int
    parts: tuple[ToldPart, ...] = ()


class RunOutcomeList(Document, frozen=True, kw_only=True):
    """`backout run`: how each run ended, and what kept others from beginning. ``exitCode`` stands for all."""

    kind: Literal["RunOutcomeList"] = "RunOutcomeList"
    items: tuple[RunDocument, ...]
    failed: tuple[Error, ...] = ()
    exit_code: int


class RunList(Document, frozen=True, kw_only=True):
    """`backout runs`: the latest runs, newest first."""

    kind: Literal["RunList"] = "RunList"
    items: tuple[ToldRun, ...]


class RunSubmission(Document, frozen=True, kw_only=True):
    """`backout run --detach`: the ids of the runs that were left to the workers, and what kept others from it."""

    kind: Literal["RunSubmission"] = "RunSubmission"
    runs: tuple[str, ...]
    failed: tuple[Error, ...] = ()


class RunAbort(Document, frozen=True, kw_only=True):
    """`backout abort`: the run that was asked to stop at its next step, and how it stands: ``aborted`` where nobody was at
    work on it, so that it has ended."""

    kind: Literal["RunAbort"] = "RunAbort"
    run: str
    requested: bool
    state: RunState


class RunApproval(Document, frozen=True, kw_only=True):
    """`backout approve`: who approved which plan, how many people have to, and how many are missing still."""

    kind: Literal["RunApproval"] = "RunApproval"
    run: str
    plan: str
    person: str
    people: int
    missing: int


class RunPrune(Document, frozen=True, kw_only=True):
    """`backout runs prune`: ids of what was removed (or would be) and of what stays, and why."""

    kind: Literal["RunPrune"] = "RunPrune"
    dry_run: bool
    removed: tuple[str, ...]
    unfinished: tuple[str, ...]
    undoable: tuple[str, ...]
    recent: int
    captures: int
    freed: int


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """One plan: how many rights it needs, which are missing with the Roles for them, and which approvals it needs."""

    operation: Operation
    rights: int
    missing: tuple[Access, ...]
    roles: tuple[dict[str, Any], ...]
    approvals: tuple[str, ...]


class DryRunList(Document, frozen=True, kw_only=True):
    """`backout run --dry-run`: what the cluster would answer to each plan."""

    kind: Literal["DryRunList"] = "DryRunList"
    items: tuple[Rehearsed, ...]
    failed: tuple[Error, ...] = ()


def operation_list(plans: Sequence[Operation], failures: Sequence[Failed]) -> OperationList:
    """What was planned, and what was not."""
    return OperationList(items=tuple(plans), failed=tuple(map(failed_document, failures)))


def _verdict(run: Run) -> ToldVerdict | None:
    found = run.verdict
    if found is None:
        return None
    outcome = OF_UNDO.get(found.outcome, found.outcome) if run.operation.undo_of else found.outcome
    return ToldVerdict(outcome=outcome, checks=found.checks, at=found.at, soak=found.soak)


def _event(event: RunEvent, run: Run) -> RunEvent:
    if not run.operation.undo_of or event.type not in ("verdict", "run-ended"):
        return event
    data = {
        name: OF_UNDO.get(value, value) if name in ("outcome", "state") else value for name, value in event.data.items()
    }
    return msgspec.structs.replace(event, data=data)


def run_list(found: Sequence[RunSummary]) -> RunList:
    """The lines of `backout runs`."""
    return RunList(
        items=tuple(
            ToldRun(**{**msgspec.structs.asdict(run), "state": told_state(run.state, undo=bool(run.undo_of))})
            for run in found
        )
    )


def run_document(kept: Kept) -> RunDocument:
    """A run as it is."""
    run: Run = kept.run
    return RunDocument(
        id=run.id,
        state=told_state(run.state, undo=bool(run.operation.undo_of)),
        operation=run.operation,
        started=run.started,
        ended=run.ended,
        actor=run.actor,
        verdict=_verdict(run),
        failure=run.failure,
        captures=run.captures,
        undo_of=run.undo_of,
        undone_by=run.undone_by,
        events=tuple(_event(event, run) for event in kept.events),
        exit_code=exit_code_of(run),
        parts=_parts(kept),
    )


def _parts(kept: Kept) -> tuple[ToldPart, ...]:
    run = kept.run
    found = outcomes(run.operation, kept.events, under_way=run.state in ("pending", "running"))
    names = OF_UNDO if run.operation.undo_of else {}
    return tuple(ToldPart(**{**msgspec.structs.asdict(one), "state": names.get(one.state, one.state)}) for one in found)


def outcome_list(kept: Sequence[Kept], failures: Sequence[Failed]) -> RunOutcomeList:
    """What was carried out, and what was not."""
    return RunOutcomeList(
        items=tuple(map(run_document, kept)),
        failed=tuple(map(failed_document, failures)),
        exit_code=exit_code_of_all([one.run for one in kept], failures),
    )


def run_submit(runs: Sequence[Run], failures: Sequence[Failed]) -> RunSubmission:
    """What was left to the workers, and what was not."""
    return RunSubmission(runs=tuple(run.id for run in runs), failed=tuple(map(failed_document, failures)))


def prune_document(found: Pruning) -> RunPrune:
    """What goes and what stays."""
    chosen, done = found.chosen, found.done
    return RunPrune(
        dry_run=done is None,
        removed=tuple(run.id for run in (chosen.going if done is None else done.runs)),
        unfinished=tuple(run.id for run in chosen.unfinished),
        undoable=tuple(run.id for run in chosen.undoable),
        recent=chosen.recent,
        captures=done.captures if done else 0,
        freed=done.freed if done else 0,
    )


def dry_run_list(items: Sequence[DryRun], failures: Sequence[Failed]) -> DryRunList:
    """What the clusters would answer."""
    return DryRunList(
        items=tuple(
            Rehearsed(
                operation=item.plan,
                rights=item.rights,
                missing=item.missing,
                roles=item.roles,
                approvals=item.approvals,
            )
            for item in items
        ),
        failed=tuple(map(failed_document, failures)),
    )
