# SPDX-License-Identifier: Apache-2.0
"""One way back of one target in one scope: the order of its steps, and nothing else.

It is no workflow of its own: `operation_v1` goes through the parts of one durable execution, each under its own name.
The order of the steps is for ever, as that of `operation_v1` is: a changed order is `part_v2`, of `operation_v2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from backout.engine.port import PARKING, Json, StepBody, WorkflowContext
from backout.errors import BackoutError
from backout.model.part import Part, Step
from backout.model.run import RunState
from backout.model.verdict import CheckResult, Verdict
from backout.workflows.part_stages import PartStages, given_up, raised
from backout.workflows.telling import not_verified


@dataclass(frozen=True, slots=True)
class Ended:
    """How a part ended. ``step`` is the one that failed, of those of the plan; ``done`` are those that are done."""

    state: RunState
    failure: BackoutError | None = None
    verdict: Verdict | None = None
    step: Step | None = None
    done: tuple[Step, ...] = ()


async def make_ready(context: WorkflowContext, stages: PartStages) -> Ended | None:
    """Everything that must hold before the first write of the operation; None when it does."""
    for name, body in stages.preflight():
        answer = await _step(context, stages.part, name, body, interruptible=name != "take-lease")
        if given_up(answer):
            return Ended("aborted")
        if failure := raised(answer):
            return Ended("failed", failure)
    return None


async def carry_out(
    context: WorkflowContext, stages: PartStages, before: Sequence[CheckResult], *, last: bool
) -> Ended:
    """The steps of the plan, then the proof. ``before``, ``last``: see `PartStages.verify`."""
    done: list[Step] = []
    for step in stages.part.steps:
        if await context.aborted():
            return Ended("aborted", done=tuple(done))
        try:
            answer = await _step(context, stages.part, step.id, stages.effect(step), attempts=3)
        except PARKING:
            raise
        except BackoutError as error:
            return Ended("failed", error, step=step, done=tuple(done))
        if given_up(answer):
            return Ended("aborted", done=tuple(done))
        done.append(step)
    answer = await _step(context, stages.part, "verify", stages.verify(before, last=last), interruptible=True)
    if given_up(answer):
        return Ended("aborted", done=tuple(done))
    verdict = msgspec.convert(answer, Verdict)
    return Ended(verdict.outcome, not_verified(verdict), verdict, done=tuple(done))


async def _step(
    context: WorkflowContext, part: Part, name: str, body: StepBody, *, attempts: int = 1, interruptible: bool = False
) -> Json:
    return await context.step(f"{part.id}: {name}", body, attempts=attempts, interruptible=interruptible)
