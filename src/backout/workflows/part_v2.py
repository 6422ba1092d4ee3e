# SPDX-License-Identifier: Apache-2.0
"""One part of an operation that goes over many clusters, as a durable workflow: its steps, how it ends, and when it is parked.

It is a piece of the run of `operation_v2`, carried out by that process or by any other that shares the work. Its steps are a
branch, each recorded by its name. The order of the steps is for ever: a changed one is `part_v3`, of `operation_v3`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from backout.engine.pieces import Piece
from backout.engine.port import PARKING, Branch, Json, StepBody, Workflow, WorkflowContext
from backout.engine.stepping import Parked
from backout.engine.store.naming import describe
from backout.engine.wire import decode_error, encode_error, failure_of, of_house
from backout.errors import (
    BackoutError,
    ClusterUnreachable,
    Interrupted,
    PlanChanged,
    ServerError,
    StateError,
    TimedOut,
    TokenExpired,
    UnexpectedError,
)
from backout.model.message import Message, msg, of_error
from backout.model.operation import Operation
from backout.model.outcomes import PartState
from backout.model.part import Part
from backout.model.run import RunEvent, changed_steps
from backout.model.verdict import Verdict
from backout.workflows.part_stages import GIVEN_UP, PartStages, given_up, raised
from backout.workflows.services import Services
from backout.workflows.telling import Story, not_verified

AWAY = (ClusterUnreachable, ServerError, TokenExpired, TimedOut)
"""Before the first write, these say nothing of what was asked: the part is parked, and `resume` asks again."""
NAME = "part_v2"
END = "end"


class PartEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a part ended, or why it is parked. ``failure`` is an error as `engine.wire` writes it."""

    state: PartState
    wrote: bool = False
    failure: dict[str, Any] | None = None
    verdict: Verdict | None = None

    @property
    def error(self) -> BackoutError | None:
        """The error."""
        return decode_error(self.failure) if self.failure else None


def asked_to_stop(part: str) -> str:
    """The key of the event that asks one part to stop, from whatever process."""
    return f"{part}:abort-asked"


class PartStory(Story):
    """The story of one part, read once: nobody but this process tells more of it."""

    def __init__(self, services: Services, run: str, part: str) -> None:
        super().__init__(services, run, part)
        self._told = self.store.events(run, part=part)
        self._seen = {event.seq for event in self._told}

    def tell(
        self, type: str, message: Message, *, key: str = "", step: str = "", settled: bool = True, **data: Any
    ) -> RunEvent:
        """Records an event, and remembers it."""
        event = super().tell(type, message, key=key, step=step, settled=settled, **data)
        if event.seq not in self._seen:
            self._seen.add(event.seq)
            self._told.append(event)
        return event

    def events(self) -> list[RunEvent]:
        """What was told of the part so far, by former lives too."""
        return list(self._told)

    def unwanted(self) -> bool:
        """Whether somebody asked to stop the run, or this part of it."""
        return super().unwanted() or self.store.has_event(self.run, asked_to_stop(self.part))

    def given_up(self) -> bool:
        """Whether somebody asked to stop it: each step of such a part asks before it begins."""
        return self.unwanted()


def piece_for(operation: Operation, part: Part) -> Piece:
    """A part as a piece of its run."""
    payload = {"operation": operation.hash, "part": part.id}
    return Piece(name=part.id, workflow=NAME, cluster=part.scope.cluster, payload=payload)


def bind(services_of: Callable[[WorkflowContext], Services]) -> Workflow:
    """The workflow, working with the services of its execution."""

    async def part_v2(context: WorkflowContext, payload: Json) -> Json:
        services = services_of(context)
        run = services.as_approved(context.run)
        if run.operation.hash != payload["operation"]:
            raise PlanChanged("The plan of run {run} is not the one that was approved.", run=run.id)
        (part,) = (part for part in run.operation.parts if part.id == payload["part"])
        branch = context.branch(part.id)
        end = ended_before(branch) or await _carry_through(branch, services, run.operation, part, run.actor)
        return msgspec.to_builtins(end)

    return part_v2


async def _carry_through(branch: Branch, services: Services, operation: Operation, part: Part, actor: str) -> PartEnd:
    """Carries one part out, or goes on with it, to its end.

    Raises:
        Interrupted, StateError: this process stops here.
        Parked: how it stands is not known; it carries why.
    """
    story = PartStory(services, branch.run, part.id)
    try:
        async with services.within(part) as scope:
            stages = PartStages(services, story, operation, part, actor, scope)
            try:
                return await _ended(
                    branch, story, part, stages, await _limited(branch, services, operation, stages, story)
                )
            finally:
                await stages.release()
    except (Interrupted, StateError) as error:
        _park(story, part, error)
        raise
    except Exception as error:
        failure = of_house(error)
        if not isinstance(failure, PARKING) and not changed_steps(story.events()):
            # It could not even be reached: a context that is gone, a kubeconfig that can't be read.
            return await _ended(branch, story, part, None, PartEnd(state="refused", failure=encode_error(failure)))
        _park(story, part, failure)
        raise Parked(failure) from error


async def _limited(
    branch: Branch, services: Services, operation: Operation, stages: PartStages, story: PartStory
) -> PartEnd:
    """
    Raises:
        TimedOut: it took longer than one part may; how it stands is not known until somebody looks again.
    """
    assert operation.fleet is not None
    limit = operation.fleet.deadline or None
    story.tell(
        "part-started",
        _begins(stages.part),
        key=f"part-started:{services.life}",
        wave=operation.fleet.wave_of(stages.part.id),
        by="{host}:{pid}".format_map(describe(services.life)),
    )
    await stages.identify_again()
    await stages.take_over()
    try:
        async with asyncio.timeout(limit) as clock:
            return await _carried_out(branch, stages, story)
    except TimeoutError as error:
        if not clock.expired():
            raise
        raise TimedOut(
            "{target} on {cluster} was not done within the {seconds} s that one part may take.",
            target=str(stages.part.target),
            cluster=stages.part.scope.cluster,
            seconds=limit,
        ) from error


async def _carried_out(branch: Branch, stages: PartStages, story: PartStory) -> PartEnd:
    for name, body in stages.looks():
        answer = await branch.step(name, _asked(story, body), interruptible=name != "take-lease")
        if given_up(answer):
            return PartEnd(state=_aborted(story), wrote=_wrote(story))
        if failure := raised(answer):
            return PartEnd(state="refused", failure=encode_error(failure))
    for step in stages.part.steps:
        try:
            answer = stages.done(step)
            if answer is None:
                answer = await branch.step(step.id, stages.effect(step), attempts=3, recorded=True)
        except PARKING:
            raise
        except BackoutError as error:
            wrote = _wrote(story)
            return PartEnd(state="failed" if wrote else "refused", wrote=wrote, failure=encode_error(error))
        if given_up(answer):
            return PartEnd(state=_aborted(story), wrote=_wrote(story))
    answer = await branch.step("verify", stages.verify(None, last=True), interruptible=True)
    if given_up(answer):
        return PartEnd(state="aborted", wrote=_wrote(story))
    verdict = msgspec.convert(answer, Verdict)
    failed = not_verified(verdict)
    return PartEnd(
        state=verdict.outcome,
        wrote=_wrote(story),
        verdict=verdict,
        failure=encode_error(failed) if failed is not None else None,
    )


async def _ended(branch: Branch, story: PartStory, part: Part, stages: PartStages | None, end: PartEnd) -> PartEnd:
    """The end, recorded once the lock is let go: what has an end is not touched any more."""

    async def body() -> Json:
        if stages is not None:
            await stages.release()
        tell_end(story, part, end)
        return msgspec.to_builtins(end)

    return msgspec.convert(await branch.step(END, body), PartEnd)


async def let_go(services: Services, story: Story, operation: Operation, part: Part, actor: str) -> None:
    """Lets the lock of a part go that has come to its end; where that is in vain again, it is left as it was told."""
    with suppress(BackoutError):
        async with services.within(part) as scope:
            stages = PartStages(services, story.of(part), operation, part, actor, scope)
            stages.was_over()
            await stages.release()


def ended_before(branch: Branch) -> PartEnd | None:
    """The end that was recorded, in this life or before."""
    known = branch.known(END)
    return msgspec.convert(known, PartEnd) if known is not None else None


def tell_end(story: Story, part: Part, end: PartEnd, key: str = "part-ended") -> None:
    """Says how a part ended."""
    error = end.error
    story.tell(
        "part-ended",
        _ends(part, end.state, error),
        key=key,
        state=end.state,
        wrote=end.wrote,
        **({"failure": msgspec.to_builtins(failure_of(error))} if error is not None else {}),
    )


def _park(story: PartStory, part: Part, error: BackoutError) -> None:
    """Says that it is not known how the part stands; or that it was not begun, where it was stopped before anything."""
    begun = any(event.type in ("lease-acquired", "step-started") for event in story.events())
    story.tell(
        "part-parked",
        msg("{target} on {cluster}: {why}", target=str(part.target), cluster=part.scope.cluster, why=of_error(error)),
        state="parked" if begun or not isinstance(error, Interrupted) else "not-started",
        code=error.code,
        failure=msgspec.to_builtins(failure_of(error)),
    )


def _asked(story: PartStory, body: StepBody) -> StepBody:
    """A step before the first write: what it refuses is its recorded answer, and ends this part alone."""

    async def answer() -> Json:
        if story.unwanted():
            return GIVEN_UP
        try:
            return await body()
        except (Interrupted, UnexpectedError, StateError, *AWAY):
            raise
        except BackoutError as error:
            return {"failure": encode_error(error)}

    return answer


def _wrote(story: PartStory) -> bool:
    return bool(changed_steps(story.events()))


def _aborted(story: PartStory) -> PartState:
    return "aborted" if any(event.type == "step-started" for event in story.events()) else "not-started"


def _begins(part: Part) -> Message:
    return msg(
        "{cluster}: {target} is to go back to revision {revision}.",
        cluster=part.scope.cluster,
        target=str(part.target),
        revision=part.revision.number,
    )


def _ends(part: Part, state: PartState, error: BackoutError | None) -> Message:
    named = {"cluster": part.scope.cluster, "target": str(part.target)}
    if state == "recovered":
        return msg("{cluster}: {target} is done and verified.", **named)
    if state == "aborted":
        return msg("{cluster}: {target} was aborted before its next step.", **named)
    if state == "not-started":
        return msg("{cluster}: {target} was not begun.", **named)
    why = of_error(error) if error is not None else msg("it is not known why")
    if state == "refused":
        return msg("{cluster}: {target} was not touched: {why}", why=why, **named)
    return msg("{cluster}: {target} is not verified: {why}", why=why, **named)
