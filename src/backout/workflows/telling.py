# SPDX-License-Identifier: Apache-2.0
"""What a run says of itself: its events, and the sentences and errors of its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from backout.engine.wire import failure_of
from backout.errors import (
    BackoutError,
    Interrupted,
    LockLeft,
    NotVerifiedError,
    PartlyDoneError,
    RefusedError,
    TimedOut,
    fill,
)
from backout.model.message import Message, joined, msg, of_error
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.run import RunEvent, RunState, changed_steps, locks_left
from backout.model.verdict import CheckResult, Verdict
from backout.workflows.services import Services


class Story:
    """The events of one run, or of one part of it."""

    def __init__(self, services: Services, run: str, part: str = "") -> None:
        self.store = services.store
        self.run = run
        self.part = part
        self._services = services

    def of(self, part: Part) -> Story:
        """The story of one part."""
        return Story(self._services, self.run, part.id)

    def tell(
        self, type: str, message: Message, *, key: str = "", step: str = "", settled: bool = True, **data: Any
    ) -> RunEvent:
        """Records an event; the same ``key`` of the same part is told once. Returns the one that is kept. ``settled``: see
        `RunStore.record`."""
        event = RunEvent(
            run=self.run,
            part=self.part,
            type=type,
            at=self._services.now(),
            message=message,
            key=f"{self.part}:{key}" if key and self.part else key,
            step=step,
            data=data,
        )
        return self.store.record(event, settled=settled)[0]

    def tell_checks(self, results: Sequence[CheckResult]) -> None:
        """Records what checks were measured at, together: a disk that has to confirm each by itself takes longer than they did."""
        at = self._services.now()
        self.store.record(
            *(
                RunEvent(
                    run=self.run,
                    part=self.part,
                    type="check",
                    at=at,
                    message=result.title,
                    data={
                        "code": result.code,
                        "status": result.status,
                        "measured": msgspec.to_builtins(result.measured),
                        "target": str(result.target),
                    },
                )
                for result in results
            )
        )

    def events(self) -> list[RunEvent]:
        """What was told so far, by former lives too."""
        return [event for event in self.store.events(self.run) if not self.part or event.part == self.part]

    def unwanted(self) -> bool:
        """Whether somebody asked to stop the run."""
        return self.store.owners.abort_requested(self.run)

    def given_up(self) -> bool:
        """Whether somebody asked to stop a run that was parked: then it ends, and nothing is tried again."""
        return self.unwanted() and any(
            event.type == "run-ended" and event.data.get("state") == "interrupted"
            for event in self.store.events(self.run)
        )

    def parked(self, reason: BackoutError) -> None:
        """The run stops here and can be resumed."""
        error = stopped(reason, self.run, self.store.events(self.run))
        self.store.update(self.run, state="interrupted", failure=failure_of(error))
        sentence = (
            msg("Stopped. `backout resume {run}` goes on from here.", run=self.run)
            if isinstance(error, Interrupted)
            else msg("Stopped: {why} `backout resume {run}` looks again and goes on.", why=_ended(error), run=self.run)
            if isinstance(error, TimedOut)
            else msg("Stopped: {why} `backout resume {run}` goes on from here.", why=_ended(error), run=self.run)
        )
        self.tell("run-ended", sentence, state="interrupted", code=error.code)


def require_let_go(story: Story) -> None:
    """The engine keeps a run that has ended until its locks are let go, so that `resume` can do that.

    Raises:
        LockLeft: one is left; it was told.
    """
    if left := locks_left(story.store.events(story.run)):
        raise LockLeft("Locks of run {run} could not be let go: {count}.", run=story.run, count=len(left))


def begin_sentence(operation: Operation) -> Message:
    """What a run sets out to do."""
    if operation.undo_of:
        return msg(
            "What run {run} changed on {target} is to be undone.", run=operation.undo_of, target=operation.targets
        )
    if operation.fleet is not None:
        return msg(
            "{count} parts on {clusters} clusters are to go back, in {waves} waves.",
            count=len(operation.parts),
            clusters=len(operation.clusters),
            waves=len(operation.fleet.waves),
        )
    if len(operation.parts) == 1:
        part = operation.parts[0]
        return msg(
            "{target} is to go back to revision {revision}.", target=str(part.target), revision=part.revision.number
        )
    return msg(
        "{count} parts are to go back, one after the other: {targets}.",
        count=len(operation.parts),
        targets=operation.targets,
    )


def end_sentence(state: RunState) -> Message:
    """What the end of a run is called."""
    return {
        "recovered": msg("Done and verified."),
        "not-recovered": msg("Done, but not healthy."),
        "unknown": msg("Done, but it could not be proven."),
        "aborted": msg("Aborted before the next step."),
    }.get(state, msg("Failed."))


def verdict_sentence(verdict: Verdict, *, undo: bool) -> Message:
    """How many checks hold, and what that means."""
    good = sum(1 for check in verdict.checks if check.status == "pass")
    if verdict.outcome == "recovered" and undo:
        return msg("The state before the run is back: {good} of {all} checks hold.", good=good, all=len(verdict.checks))
    if verdict.outcome == "recovered":
        return msg("Healthy: {good} of {all} checks hold.", good=good, all=len(verdict.checks))
    if verdict.outcome == "not-recovered":
        return msg("Not healthy: {good} of {all} checks hold.", good=good, all=len(verdict.checks))
    return msg("Not proven: {good} of {all} checks hold.", good=good, all=len(verdict.checks))


def not_verified(verdict: Verdict) -> BackoutError | None:
    """The error of a verdict that is not "recovered"."""
    if verdict.outcome == "recovered":
        return None
    bad = [c for c in verdict.checks if c.status == "fail"] or [c for c in verdict.checks if c.status == "unknown"]
    words = joined(msg("{title}: {measured}", title=check.title, measured=check.measured) for check in bad[:3])
    if verdict.outcome == "not-recovered":
        return NotVerifiedError(
            "Rolled back, but not healthy: {words}.", words=words, hint="`backout diagnose` says what is broken now"
        )
    return NotVerifiedError(
        "Rolled back, but it could not be proven: {words}.",
        words=words if bad else "the plan has no checks",
        hint="`backout verify` measures again",
    )


def stopped(error: BackoutError, run: str, events: Iterable[RunEvent]) -> BackoutError:
    """What a run that can be resumed ends with. A refusal says that nothing was written; where something was, it is none."""
    if not isinstance(error, RefusedError) or not changed_steps(events):
        return error
    return PartlyDoneError(
        "{why} Something was written before that.",
        why=_ended(error),
        hint="`backout resume {run}` goes on, `backout abort {run}` ends it; then `backout undo {run}` takes back what was done",
        run=run,
    )


def partly(error: BackoutError, what: Message, done: Sequence[Message], left: Sequence[Message]) -> BackoutError:
    """The error of a run in which ``what`` failed after something was, or may have been, written.

    ``done`` and ``left``: titles of the steps that are done, and of those that are not.
    """
    # "Done: nothing" is not said: the step that failed may have written some of what it does.
    state = [
        *_told(error, error.found),
        *([msg("done: {done}", done=joined(done))] if done else []),
        msg("not done: {left}", left=joined(left)),
    ]
    advice = [
        *_told(error, error.hint),
        msg("`backout diagnose` says how it stands; `backout undo` takes back what was done"),
    ]
    return PartlyDoneError(
        "{step} failed: {why}",
        step=what,
        why=_ended(error),
        state=joined(state),
        found="{state}",
        advice=joined(advice, " "),
        hint="{advice}",
    )


def _told(error: BackoutError, template: str) -> list[Message]:
    """What the error says beside what happened: nothing, or one sentence."""
    return [Message(fill(template, error.arguments), template, dict(error.arguments))] if template else []


def _ended(error: BackoutError) -> Message:
    """What it says, with a full stop."""
    said = of_error(error)
    return said if said.text.endswith((".", "!", "?")) else msg("{sentence}.", sentence=said)
