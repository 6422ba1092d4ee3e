# SPDX-License-Identifier: Apache-2.0
"""Rehearsals on several clusters at once: what they are called, and where each may be played."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.errors import UsageError
from backout.lab import fleet_plays as plays
from backout.lab.fleet_stage import Rehearsal
from backout.lab.player import Outcome, Props, lab_of, lab_work
from backout.locales import N_

if TYPE_CHECKING:
    from backout.lab.places import Place
    from backout.lab.player import Stage
    from kubetwin.lab.builder import Lab

FEWEST = 3


@dataclass(frozen=True, slots=True)
class FleetScenario:
    """One rehearsal. ``play`` takes it back and holds what happens to what must; ``policy``: what it says of failures; ``clusters``:
    how many it has where nobody says; ``anywhere``: whether clusters of the user's may be taken, since it hurts nothing
    but the namespace that it makes there."""

    id: str
    title: str
    play: Callable[[Rehearsal, AsyncExitStack], Awaitable[None]]
    policy: str = "stop"
    clusters: int = 4
    fewest: int = FEWEST
    anywhere: bool = False
    various: bool = False
    """Whether the clusters have different histories, and one is healthy."""


FLEETS = {
    scenario.id: scenario
    for scenario in (
        FleetScenario(
            "F1",
            N_("One bad revision on all clusters: a canary, then waves, each verified before the next"),
            plays.everywhere,
            anywhere=True,
        ),
        FleetScenario(
            "F2", N_("A cluster that stops answering in the middle of its part"), plays.cut, "continue", anywhere=True
        ),
        FleetScenario("F3", N_("A cluster that does not become healthy again"), plays.sick),
        FleetScenario(
            "F4", N_("Clusters at different revisions, and one that is healthy"), plays.each_its_own, various=True
        ),
        FleetScenario("F5", N_("Two people who start the same rollback"), plays.two_people),
        FleetScenario("F6", N_("A context that leads to another cluster since the plan was made"), plays.led_elsewhere),
        FleetScenario(
            "F7",
            N_("50 clusters: near the time of the slowest of each wave, not of the sum"),
            plays.in_time,
            clusters=50,
        ),
        FleetScenario(
            "G", N_("Backout itself, killed again and again and resumed"), plays.killed, clusters=1, fewest=1
        ),
    )
}


def find_fleet(id: str) -> FleetScenario | None:
    """The scenario of that id, if it is one of several clusters."""
    return FLEETS.get(id.upper())


def require_enough(scenario: FleetScenario, clusters: int) -> None:
    """
    Raises:
        UsageError: these are too few clusters for its waves.
    """
    if clusters < scenario.fewest:
        raise UsageError(
            "{scenario} needs several clusters.",
            scenario=scenario.id,
            expected="{fewest} clusters or more: --clusters {fewest}, or --context as often",
            fewest=scenario.fewest,
            found="{count}",
            count=clusters,
        )


async def rehearse_fleet(
    stage: Stage, scenario: FleetScenario, places: Sequence[Place], props: Props, *, undo: bool = False
) -> Outcome:
    """Plays one scenario. What it made on clusters of the user's is removed.

    Raises:
        BackoutError: the stage could not be set; what Backout does wrong is in the outcome.
        UsageError: there are too few clusters for waves.
    """
    require_enough(scenario, len(places))
    async with AsyncExitStack() as open_:
        labs: list[Lab] = []
        with lab_work():
            for place in places:
                labs.append(await lab_of(place, props, "thanos", "thanos-mini"))
                open_.push_async_callback(labs[-1].api.close)
                if place.own:
                    open_.push_async_callback(_removed, labs[-1])
        rehearsal = Rehearsal(stage, scenario.id, scenario.title, places, props, labs)
        rehearsal.policy, rehearsal.various, rehearsal.undoes = scenario.policy, scenario.various, undo
        return await rehearsal.play(scenario.play)


async def _removed(lab: Lab) -> None:
    with lab_work():
        await lab.remove_namespace()
