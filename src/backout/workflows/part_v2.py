# SPDX-License-Identifier: Apache-2.0
"""One part of an operation that goes over many clusters: the order of its steps, how it ends, and when it is parked.

Its steps are a branch of `operation_v2`, each recorded by its name. The order of the steps is for ever: a changed one is
`part_v3`, of `operation_v3`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from backout.engine.port import PARKING, Branch, Json, StepBody
from backout.engine.wire import decode_error, encode_error, failure_of, of_house
from backout.errors import (
    BackoutError,
    ClusterUnreachable,
    Interrupted,
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

    def __init__(self, services: Services, run: str, part: str, told: Sequence[RunEvent]) -> None:
        super().__init__(services, run, part)
        self._told = [event for event in told if event.part == part]
        self._parked = any(e.type == "run-ended" and e.data.get("state") == "interrupted" for e in told)
        self._seen = {event.seq for event in self._told}

    def tell(self, type: str, message: Message, *, key: str = "", step: str = "", **data: Any) -> RunEvent:
        """Records an event, and remembers it."""
        event = super().tell(type, message, key=key, step=step, **data)
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
        """Whether somebody asked to stop a run that was parked."""
        return self._parked and self.unwanted()


async def part_v2(
    branch: Branch, services: Services, operation: Operation, part: Part, actor: str, told: Sequence[RunEvent]
) -> PartEnd:
    """Carries one part out, or goes on with it, and says how it stands then.

    Raises:
        Interrupted, StateError: the whole run stops here.
    """
    story = PartStory(services, branch.run, part.id, told)
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
        return PartEnd(state="parked", wrote=bool(changed_steps(story.events())), failure=encode_error(failure))


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
            answer = await branch.step(step.id, _unless_unwanted(story, stages.effect(step)), attempts=3)
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


def _unless_unwanted(story: PartStory, body: StepBody) -> StepBody:
    async def answer() -> Json:
        return GIVEN_UP if story.unwanted() else await body()

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
