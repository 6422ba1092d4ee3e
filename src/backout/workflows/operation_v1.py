# SPDX-License-Identifier: Apache-2.0
"""An operation, as a durable workflow: the order of its parts and nothing else.

Everything is made ready for all parts before the first write of any: identity, rights, locks, captures. Then part by
part, each after those that it needs, and only while every one before it was verified. The order of its steps is for
ever: a changed order is `operation_v2`, and this one stays for the runs that began with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backout.engine.port import PARKING, Json, Workflow, WorkflowContext
from backout.engine.wire import encode_error, failure_of, of_house
from backout.errors import PlanChanged
from backout.model.message import msg
from backout.model.run import ENDED, Run, RunState, changed_steps
from backout.planning import document
from backout.planning.order import in_order
from backout.workflows.part_stages import PartStages, answered, given_up, raised
from backout.workflows.part_v1 import Ended, carry_out, make_ready
from backout.workflows.policing import hold_begin
from backout.workflows.services import Services
from backout.workflows.telling import Story, begin_sentence, end_sentence, partly, require_let_go

NAME = "operation_v1"


def bind(services_of: Callable[[WorkflowContext], Services]) -> Workflow:
    """The workflow, working with the services of its execution."""

    async def operation_v1(context: WorkflowContext, payload: Json) -> Json:
        services = services_of(context)
        run = services.store.get(context.run)
        if run.operation.hash != payload["operation"]:
            raise PlanChanged("The plan of run {run} is not the one that was approved.", run=run.id)
        story = Story(services, run.id)
        operation = run.operation
        parts = [PartStages(services, story.of(part), operation, part, run.actor) for part in in_order(operation.parts)]
        try:
            await _begin(services, story, run, parts)
            answer = await _run(context, services, story, run, parts)
        except Exception as error:
            failure = of_house(error)
            if isinstance(failure, PARKING):
                story.parked(failure)
            raise
        finally:
            for stages in reversed(parts):
                await stages.release()
        require_let_go(story)
        return answer

    return operation_v1


async def _begin(services: Services, story: Story, run: Run, parts: list[PartStages]) -> None:
    """Says that the run begins, or that it goes on: then its former locks become ours, to be let go at the end."""
    if run.state in ENDED:
        # Only what it left behind is of interest now: killed after its end was recorded, or its locks could not be let go.
        for stages in parts:
            stages.was_over()
        return
    services.store.update(run.id, state="running")
    if services.store.has_event(run.id, "run-started"):
        story.tell(
            "resumed", msg("Going on after an interruption."), key=f"resumed:{services.life}", actor=services.actor
        )
        for stages in parts:
            await stages.take_over()
        return
    together: dict[str, Any] = {"command": services.command} if services.command else {}
    story.tell(
        "run-started",
        begin_sentence(run.operation),
        key="run-started",
        plan=run.operation.hash,
        actor=run.actor,
        **together,
    )


async def _run(context: WorkflowContext, services: Services, story: Story, run: Run, parts: list[PartStages]) -> Json:
    async def check() -> Json:
        document.check(run.operation)
        for part in run.operation.parts:
            services.hold(part, services.protected)
        hold_begin(services, run)
        if run.operation.hash != services.store.get(run.id).operation.hash:
            raise PlanChanged("The plan of run {run} is not the one that was approved.", run=run.id)
        services.captures.check()
        return {}

    answer = await context.step("check-plan", answered(story, check), interruptible=True)
    if given_up(answer):
        return await _end(context, services, story, run, Ended("aborted"))
    if failure := raised(answer):
        return await _end(context, services, story, run, Ended("failed", failure))
    for stages in parts:
        if (refused := await make_ready(context, stages)) is not None:
            return await _end(context, services, story, run, refused)
    ended: list[Ended] = []
    for number, stages in enumerate(parts, 1):
        before = tuple(check for one in ended if one.verdict for check in one.verdict.checks)
        ended.append(await carry_out(context, stages, before, last=number == len(parts)))
        if ended[-1].state != "recovered":
            break
    return await _end(context, services, story, run, _whole(story, parts, ended))


def _whole(story: Story, parts: list[PartStages], ended: list[Ended]) -> Ended:
    """How the operation ended: as its last part that was begun did, and what of it is done and left."""
    last, behind = ended[-1], parts[len(ended) :]
    if last.failure is None or (last.step is None and not behind) or not changed_steps(story.events()):
        return last
    part = parts[len(ended) - 1].part
    left = [step for step in part.steps if step not in last.done]
    left += [step for stages in behind for step in stages.part.steps]
    what = last.step.title if last.step is not None else msg("{target}", target=str(part.target))
    done = [step.title for one in ended for step in one.done]
    return Ended(last.state, partly(last.failure, what, done, [step.title for step in left]), last.verdict)


async def _end(context: WorkflowContext, services: Services, story: Story, run: Run, ended: Ended) -> Json:
    """The answer of a run that is over. Its failure is part of it: a raised one might mean "resume"."""
    state: RunState = ended.state

    async def body() -> Json:
        story.tell("run-ended", end_sentence(state), key=f"run-ended:{state}", state=state)
        if state == "recovered" and run.operation.undo_of:
            services.store.update(run.operation.undo_of, undone_by=run.id)
        # Last: who sees this state sees the whole story.
        if services.store.get(run.id).state != state:
            failure = failure_of(ended.failure) if ended.failure else None
            services.store.update(run.id, state=state, ended=services.now(), failure=failure)
        return {"state": state}

    await context.step("end", body)
    return {"state": state, "failure": encode_error(ended.failure)} if ended.failure else {"state": state}
