# SPDX-License-Identifier: Apache-2.0
"""What opens the next wave: what was verified is watched for the soak, by all of its checks, the stacks' own with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from backout.engine.port import Json
from backout.engine.wire import encode_error, of_house
from backout.model.fleet import Fleet
from backout.model.message import msg
from backout.model.part import Part
from backout.verify.verify import verify
from backout.workflows.measures import MEASURES
from backout.workflows.part_stages import GIVEN_UP, LISTENING
from backout.workflows.part_v2 import PartEnd
from backout.workflows.services import Services
from backout.workflows.telling import Story, not_verified


async def look_again(services: Services, story: Story, fleet: Fleet, number: int, parts: Sequence[Part]) -> Json:
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
        ends = await _while_wanted(services, story, fleet.soak, parts)
        if ends is None:
            return GIVEN_UP
        changed = {part.id: msgspec.to_builtins(end) for part, end in zip(parts, ends, strict=True) if end is not None}
    if not changed:
        story.tell("gate", msg("Wave {number} holds.", number=number), key=f"gate-open:{number}", wave=number)
    return {"changed": changed}


async def _while_wanted(
    services: Services, story: Story, soak: float, parts: Sequence[Part]
) -> list[PartEnd | None] | None:
    """None when somebody asked to stop the run before the end of the soak."""
    watching = asyncio.gather(*(_watch(services, part, soak) for part in parts))
    try:
        while not (await asyncio.wait({watching}, timeout=LISTENING))[0]:
            if story.unwanted():
                return None
        return watching.result()
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
