# SPDX-License-Identifier: Apache-2.0
"""What opens the next wave: what was verified is watched for the soak, by all of its checks, the stacks' own with them.

Each part is watched by whoever knows its cluster: a look is a piece of the run, as the part was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from backout.engine.pieces import Piece
from backout.engine.port import Json, Workflow, WorkflowContext
from backout.engine.wire import encode_error, of_house
from backout.model.fleet import Fleet
from backout.model.message import msg
from backout.model.part import Part
from backout.verify.verify import verify
from backout.workflows.measures import MEASURES
from backout.workflows.part_stages import GIVEN_UP, LISTENING, given_up
from backout.workflows.part_v2 import PartEnd, PartStory
from backout.workflows.services import Services
from backout.workflows.telling import Story, not_verified

NAME = "look_v2"


async def look_again(
    context: WorkflowContext,
    services: Services,
    story: Story,
    fleet: Fleet,
    number: int,
    parts: Sequence[Part],
    waits: Callable[[Part], None],
) -> Json:
    """``changed``: how those of ``parts`` stand now of which not everything held, as `PartEnd`."""
    changed: dict[str, Json] = {}
    if fleet.soak:
        story.tell(
            "gate",
            msg(
                "Wave {number} is verified: {count} parts. Watching for {seconds} s before the next.",
                number=number,
                count=len(parts),
                seconds=fleet.soak,
            ),
            key=f"gate-soak:{number}:{services.life}",
            wave=number,
        )

        def wanted() -> bool:
            return not story.unwanted()

        async def look(part: Part) -> Json:
            return await context.piece(_piece(number, part, fleet.soak), wanted, lambda: waits(part))

        answers = await asyncio.gather(*map(look, parts))
        if any(answer is None or given_up(answer) for answer in answers):
            return GIVEN_UP
        changed = {part.id: answer for part, answer in zip(parts, answers, strict=True) if answer}
    if not changed:
        story.tell("gate", msg("Wave {number} holds.", number=number), key=f"gate-open:{number}", wave=number)
    return {"changed": changed}


def _piece(number: int, part: Part, soak: float) -> Piece:
    payload = {"gate": number, "part": part.id, "soak": soak}
    name = f"gate {number}: {part.id}"
    return Piece(name=name, workflow=NAME, cluster=part.scope.cluster, payload=payload, light=True)


def bind(services_of: Callable[[WorkflowContext], Services]) -> Workflow:
    """The look at one part, working with the services of its execution."""

    async def look_v2(context: WorkflowContext, payload: Json) -> Json:
        services = services_of(context)
        operation = services.as_approved(context.run).operation
        (part,) = (part for part in operation.parts if part.id == payload["part"])
        story = PartStory(services, context.run, part.id)

        async def body() -> Json:
            return await _while_wanted(services, story, payload["soak"], part)

        branch = context.branch(f"gate {payload['gate']}: {part.id}")
        return await branch.step("look", body, interruptible=True)

    return look_v2


async def _while_wanted(services: Services, story: Story, soak: float, part: Part) -> Json:
    """How it stands now where not everything holds, as `PartEnd`; else nothing. Given up where somebody asked to stop before the
    end of the soak."""
    watching = asyncio.ensure_future(_watch(services, part, soak))
    try:
        while not (await asyncio.wait({watching}, timeout=LISTENING))[0]:
            if story.unwanted():
                return GIVEN_UP
        end = watching.result()
        return msgspec.to_builtins(end) if end is not None else {}
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(services: Services, part: Part, soak: float) -> PartEnd | None:
    """None where everything holds still. What can't be asked is not known to hold."""
    try:
        async with services.within(part) as scope:
            await scope.identify()
            found = await verify(scope.cluster, part.checks, soak, settle=services.settle, also=MEASURES)
    except Exception as error:
        return PartEnd(state="unknown", wrote=True, failure=encode_error(of_house(error)))
    checks = tuple(msgspec.structs.replace(check, part=part.id) for check in found.checks)
    verdict = msgspec.structs.replace(found, checks=checks)
    failure = not_verified(verdict)
    if failure is None:
        return None
    return PartEnd(state=verdict.outcome, wrote=True, failure=encode_error(failure), verdict=verdict)
