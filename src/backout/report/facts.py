# SPDX-License-Identifier: Apache-2.0
"""What a run and its events say, computed once: times, steps, what changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from backout.model.diagnosis import Problem
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message
from backout.model.outcomes import PartState, outcomes
from backout.model.part import Part, Step
from backout.model.run import ENDED, Run, RunEvent, RunState
from backout.model.verdict import Verdict, judge

StepState = Literal["changed", "already", "earlier", "failed", "cut", "not-begun"]


class StepFact(msgspec.Struct, frozen=True):
    """One step of the plan and what became of it.

    ``changed`` by this run; ``already`` so before; ``earlier``: done by an attempt that was cut off before it could say
    so; ``failed``; ``cut`` off and not taken up again; ``not-begun``.
    """

    step: Step
    state: StepState
    said: Message | None = None
    at: datetime | None = None
    took: timedelta | None = None


class Facts:
    """Derived from one run, for one part of its operation."""

    def __init__(self, run: Run, events: Sequence[RunEvent], part: Part) -> None:
        self.run = run
        self.part = part
        self.events = [event for event in events if event.part in ("", part.id)]
        self.problems: tuple[Problem, ...] = part.problems
        suspects = [problem.suspect for problem in self.problems if problem.suspect is not None]
        self.suspect = max(suspects, key=lambda entry: entry.at, default=None)
        self.changed_at = self.suspect.at if self.suspect else None
        since = [symptom.since for symptom in self.symptoms if symptom.since]
        self.first_symptom = min(since, default=None)
        self.detected = run.operation.made_at
        self.started = self._at("run-started") or run.started
        self.interruptions = sum(1 for event in self.events if event.type == "resumed")
        verdict = self._last("verdict")
        self.judged = verdict.at if verdict else None
        self.steps = [self._step(step) for step in part.steps]
        self.verdict = self._verdict()
        self.state = self._state()
        self.recovered = self.judged if self.state == "recovered" else None

    @property
    def symptoms(self) -> list[Symptom]:
        """Every symptom of every problem."""
        return [symptom for problem in self.problems for symptom in problem.symptoms]

    @property
    def evidence(self) -> list[Evidence]:
        """All evidence behind the symptoms."""
        return [evidence for symptom in self.symptoms for evidence in symptom.evidence]

    @property
    def logs(self) -> list[Evidence]:
        """Log lines among the evidence."""
        return [evidence for evidence in self.evidence if evidence.source == "log"]

    @property
    def capture(self) -> RunEvent | None:
        """The event of the capture."""
        return self._last("captured")

    @property
    def snapshot(self) -> RunEvent | None:
        """The event that says which snapshot the namespace is kept as, or why there is none."""
        return self._last("snapshot") or self._last("snapshot-skipped")

    @property
    def undoing(self) -> bool:
        """True when the run takes back another."""
        return bool(self.run.undo_of or self.run.operation.undo_of)

    @property
    def wrote(self) -> bool:
        """Whether anything was, or may have been, written."""
        return any(fact.state in ("changed", "earlier", "cut") for fact in self.steps) or any(
            event.data.get("wrote") for event in self.events if event.type == "step-failed"
        )

    def checks(self, *codes: str) -> list[str]:
        """The statuses of the measured checks with one of the codes."""
        return [check.status for check in self.verdict.checks if check.code in codes] if self.verdict else []

    def holds(self, *codes: str) -> bool | None:
        """True when all such checks passed, False when one did not, None when none was measured."""
        found = self.checks(*codes)
        return None if not found else set(found) == {"pass"}

    def _verdict(self) -> Verdict | None:
        """What was measured of this part."""
        whole = self.run.verdict
        if whole is None or len(self.run.operation.parts) == 1:
            return whole
        mine = tuple(check for check in whole.checks if check.part == self.part.id)
        return judge(mine, whole.at, whole.soak) if mine else None

    def _state(self) -> RunState:
        """How it stands with this part: where the run ended over another one, that is not this one's end."""
        if self.run.operation.fleet is not None:
            return self._of_many()
        if len(self.run.operation.parts) == 1 or self.run.state not in ENDED:
            return self.run.state
        if self.verdict is not None:
            return self.verdict.outcome
        return "aborted" if self.run.state == "aborted" else "failed"

    def _of_many(self) -> RunState:
        """The same where parts end by themselves."""
        moving = self.run.state in ("pending", "running")
        found = outcomes(self.run.operation, self.events, under_way=moving)
        state = next(one.state for one in found if one.part == self.part.id)
        ends: dict[PartState, RunState] = {
            "recovered": "recovered",
            "not-recovered": "not-recovered",
            "unknown": "unknown",
            "failed": "failed",
            "refused": "failed",
            "aborted": "aborted",
            "parked": "interrupted",
            "running": "running",
        }
        return ends.get(state, "aborted" if self.run.state in ENDED else self.run.state)

    def _step(self, step: Step) -> StepFact:
        mine = [event for event in self.events if event.step == step.id]
        begun = [event for event in mine if event.type == "step-started"]
        if not begun:
            return StepFact(step, "not-begun")
        last = next((e for e in reversed(mine) if e.type in ("step-done", "step-failed")), None)
        state: StepState
        if last is None or last.seq < begun[-1].seq:
            return StepFact(step, "cut", at=begun[-1].at)
        if last.type == "step-failed":
            state = "failed"
        elif last.data.get("changed"):
            state = "changed"
        else:
            state = "earlier" if last.data.get("earlierAttempt") else "already"
        return StepFact(step, state, last.message, last.at, last.at - begun[0].at)

    def _last(self, kind: str) -> RunEvent | None:
        return next((event for event in reversed(self.events) if event.type == kind), None)

    def _at(self, kind: str) -> datetime | None:
        return next((event.at for event in self.events if event.type == kind), None)
