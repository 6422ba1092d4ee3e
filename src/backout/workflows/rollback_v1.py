# SPDX-License-Identifier: Apache-2.0
"""One way back on one cluster, as a durable workflow: order and nothing else.

The order of its steps is for ever: a changed order is `rollback_v2`, and this one stays for the runs that began with
it. Steps of the plan are recorded under their own ids, so a plan's step must not be called as one of these.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from backout.engine.port import PARKING, Json, Workflow, WorkflowContext
from backout.engine.wire import encode_error, of_house
from backout.errors import BackoutError, PlanChanged
from backout.model.message import msg
from backout.model.plan import Step
from backout.model.run import ENDED, Run, RunState
from backout.model.verdict import Verdict
from backout.workflows.services import Services
from backout.workflows.stages import Stages, given_up, not_verified, partly, raised

NAME = "rollback_v1"


def bind(services: Services) -> Workflow:
    """The workflow, working with ``services``."""

    async def rollback_v1(context: WorkflowContext, payload: Json) -> Json:
        run = services.store.get(context.run)
        if run.plan.hash != payload["plan"]:
            raise PlanChanged("The plan of run {run} is not the one that was approved.", run=run.id)
        stages = Stages(services, run.id, run.plan, run.actor)
        try:
            await _begin(services, stages, run)
            return await _run(context, stages, run)
        except Exception as error:
            failure = of_house(error)
            if isinstance(failure, PARKING):
                stages.parked(failure)
            raise
        finally:
            await stages.release()

    return rollback_v1


async def _begin(services: Services, stages: Stages, run: Run) -> None:
    """Says that the run begins, or that it goes on: then its former lease becomes ours, to be let go at the end."""
    if run.state in ENDED:
        # Killed after its end was recorded: only what it left behind is of interest now.
        with suppress(BackoutError):
            await stages.take_over()
        return
    services.store.update(run.id, state="running")
    if services.store.has_event(run.id, "run-started"):
        stages.tell("resumed", msg("Going on after an interruption."), key=f"resumed:{services.life}")
        await stages.take_over()
        return
    stages.tell(
        "run-started",
        msg("What run {run} changed on {target} is taken back.", run=run.plan.undo_of, target=str(run.plan.target))
        if run.plan.undo_of
        else msg(
            "{target} goes back to revision {revision}.", target=str(run.plan.target), revision=run.plan.revision.number
        ),
        key="run-started",
        plan=run.plan.hash,
    )


async def _run(context: WorkflowContext, stages: Stages, run: Run) -> Json:
    for name, body in stages.preflight():
        answer = await context.step(name, body, interruptible=name != "take-lease")
        if given_up(answer):
            return await _end(context, stages, "aborted")
        if failure := raised(answer):
            return await _end(context, stages, "failed", failure)
    done: list[Step] = []
    for step in run.plan.steps:
        if await context.aborted():
            return await _end(context, stages, "aborted")
        try:
            answer = await context.step(step.id, stages.effect(step), attempts=3)
        except PARKING:
            raise
        except BackoutError as error:
            final = partly(error, run.plan, step, done) if stages.touched() else error
            return await _end(context, stages, "failed", final)
        if given_up(answer):
            return await _end(context, stages, "aborted")
        done.append(step)
    answer = await context.step("verify", stages.verify, interruptible=True)
    if given_up(answer):
        return await _end(context, stages, "aborted")
    verdict = msgspec.convert(answer, Verdict)
    return await _end(context, stages, verdict.outcome, not_verified(verdict))


async def _end(context: WorkflowContext, stages: Stages, state: RunState, failure: BackoutError | None = None) -> Json:
    """The answer of a run that is over. Its failure is part of it: a raised one might mean "resume"."""
    await context.step("end", stages.end(state, failure))
    return {"state": state, "failure": encode_error(failure)} if failure else {"state": state}
