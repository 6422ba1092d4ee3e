# SPDX-License-Identifier: Apache-2.0
"""What became of each part of an operation that goes over many clusters, by what was told of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.model.operation import Operation
from backout.model.run import Failure, RunEvent, changed_steps

PartState = Literal[
    "not-started", "running", "recovered", "refused", "failed", "not-recovered", "unknown", "parked", "aborted"
]
"""What became of one part.

``refused``: nothing was written; ``failed``: a step failed after something was, or may have been; ``not-recovered``: all
was done, and it is not healthy; ``unknown``: all was done, and it could not be proven; ``parked``: how it stands is not
known (no answer, cut off, too late), and ``resume`` looks again.
"""
OVER: frozenset[PartState] = frozenset({"recovered", "refused", "failed", "not-recovered", "unknown", "aborted"})
"""States in which nothing more is done of a part."""


class PartOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a run. ``wave``: the number of its wave, from 1; ``wrote``: it changed something, or may have."""

    part: str
    cluster: str
    namespace: str
    target: str
    revision: int
    wave: int
    state: PartState
    began: datetime | None = None
    ended: datetime | None = None
    wrote: bool = False
    failure: Failure | None = None


def outcomes(operation: Operation, events: Iterable[RunEvent], *, under_way: bool) -> tuple[PartOutcome, ...]:
    """Of each part, in the order of the operation; none where it does not go over a fleet.

    ``under_way``: a process is at work on the run. Of one that is not, a part that was begun and is not over is parked:
    how far it came when it was cut off is not known.
    """
    fleet = operation.fleet
    if fleet is None:
        return ()
    told: dict[str, list[RunEvent]] = {part.id: [] for part in operation.parts}
    for event in events:
        if event.part in told:
            told[event.part].append(event)
    found = []
    for part in operation.parts:
        mine = told[part.id]
        begun = [event for event in mine if event.type == "part-started"]
        ended = [event for event in mine if event.type == "part-ended"]
        told_last = next((event for event in reversed(mine) if event.type in ("part-started", "part-parked")), None)
        # Who was killed right after the end was told tells the beginning again on the way to what is recorded of it.
        last = ended[-1] if ended else told_last
        state: PartState = "not-started"
        if last is not None:
            state = last.data["state"] if last.type != "part-started" else "running" if under_way else "parked"
        failure: Any = last.data.get("failure") if last is not None else None
        found.append(
            PartOutcome(
                part=part.id,
                cluster=part.scope.cluster,
                namespace=part.scope.namespace,
                target=str(part.target),
                revision=part.revision.number,
                wave=fleet.wave_of(part.id),
                state=state,
                began=begun[0].at if begun else None,
                ended=last.at if last is not None and state in OVER else None,
                wrote=bool(changed_steps(mine)),
                failure=msgspec.convert(failure, Failure) if failure else None,
            )
        )
    return tuple(found)


ORDER: tuple[PartState, ...] = (
    "failed",
    "parked",
    "not-recovered",
    "unknown",
    "refused",
    "aborted",
    "running",
    "not-started",
    "recovered",
)
"""The states, the worst first."""


def counted(found: Iterable[PartOutcome]) -> dict[PartState, int]:
    """How many parts are in each state, the worst first."""
    states = [one.state for one in found]
    return {state: states.count(state) for state in ORDER if state in states}
