# SPDX-License-Identifier: Apache-2.0
"""Rehearsals on several clusters at once: one bad revision everywhere, taken back in waves, and what may go wrong on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.errors import BackoutError, NotVerifiedError, UsageError
from backout.lab.cutting import Cut
from backout.lab.player import CALLED, Outcome, Props, lab_of, lab_work
from backout.locales import N_

if TYPE_CHECKING:
    from backout import Clusters, Operation, Run, RunEvent
    from backout.lab.places import Place
    from backout.lab.player import Stage
    from kubetwin.lab.builder import Lab

TARGET = "helm/thanos"
WORKLOAD = "deployment/thanos-query"
BUILDING = 4
"""Clusters whose stacks are built at a time."""


@dataclass(frozen=True, slots=True)
class FleetScenario:
    """One rehearsal. ``policy``: what it says of failures; ``trouble`` happens to the last cluster of the second wave."""

    id: str
    title: str
    policy: str = "stop"
    trouble: str = ""


FLEETS = {
    scenario.id: scenario
    for scenario in (
        FleetScenario(
            "F1", N_("One bad revision on all clusters: a canary, then waves, each verified before the next")
        ),
        FleetScenario("F2", N_("A cluster that stops answering in the middle of its part"), "continue", "cut"),
        FleetScenario("F3", N_("A cluster that does not become healthy again"), "stop", "sick"),
    )
}
FEWEST = 3


def find_fleet(id: str) -> FleetScenario | None:
    """The scenario of that id, if it is one of several clusters."""
    return FLEETS.get(id.upper())


async def rehearse_fleet(
    stage: Stage, scenario: FleetScenario, places: Sequence[Place], props: Props, *, undo: bool = False
) -> Outcome:
    """Plays one scenario.

    Raises:
        BackoutError: the stage could not be set; what Backout does wrong is in the outcome.
        UsageError: there are too few clusters for waves.
    """
    if len(places) < FEWEST:
        raise UsageError(
            "{scenario} needs several clusters.",
            scenario=scenario.id,
            expected="--clusters {fewest} or more",
            fewest=FEWEST,
            found="{count}",
            count=len(places),
        )
    async with AsyncExitStack() as open_:
        labs: list[Lab] = []
        with lab_work():
            for place in places:
                labs.append(await lab_of(place, props, "thanos", "thanos-mini"))
                open_.push_async_callback(labs[-1].api.close)
        return await _Rehearsal(stage, scenario, places, props, labs).play(open_, undo=undo)


class _Rehearsal:
    def __init__(
        self, stage: Stage, scenario: FleetScenario, places: Sequence[Place], props: Props, labs: Sequence[Lab]
    ) -> None:
        self._stage, self._scenario, self._places, self._props, self._labs = stage, scenario, places, props, labs
        self._names = [place.context for place in places]
        self._outcome = Outcome(scenario.id, target=TARGET)

    async def play(self, open_: AsyncExitStack, *, undo: bool) -> Outcome:
        stage, scenario, outcome = self._stage, self._scenario, self._outcome
        stage.note("")
        stage.note("{id}: {title}", id=scenario.id, title=stage.says(scenario.title))
        with lab_work():
            await self._break()
        began = time.monotonic()
        try:
            await self._take_back(open_, undo=undo)
        except BackoutError as error:
            stage.failed(error)
            outcome.outcome, outcome.why, outcome.code = "failed", error.message, error.code
        outcome.seconds = round(time.monotonic() - began, 1)
        stage.note(
            "{id}: {outcome} after {seconds} s",
            id=scenario.id,
            outcome=stage.says(CALLED[outcome.outcome]),
            seconds=outcome.seconds,
        )
        return outcome

    async def _break(self) -> None:
        """Two healthy revisions everywhere, on the last cluster three, and then the same bad one."""
        from kubetwin.lab.helm_scenarios import crash_deployment, three_good, two_good

        self._stage.note(
            "Building a healthy stack on {count} clusters, then breaking it on each …", count=len(self._labs)
        )
        slots = asyncio.Semaphore(BUILDING)

        async def one(lab: Lab, *, last: bool) -> None:
            async with slots:
                await (three_good if last else two_good)(lab)
                await crash_deployment(lab)

        await asyncio.gather(*(one(lab, last=lab is self._labs[-1]) for lab in self._labs))

    async def _take_back(self, open_: AsyncExitStack, *, undo: bool) -> None:
        from msgspec.structs import replace

        from backout import Clusters

        rules = replace(
            self._props.settings.fleet,
            waves=("1", "1", "rest"),
            on_failure=self._scenario.policy,
            gate=replace(self._props.settings.fleet.gate, soak=2.0),
        )
        settings = replace(self._props.settings, fleet=rules)
        kubeconfig, cut = self._places[0].kubeconfig, None
        if self._scenario.trouble == "cut":
            cut = await open_.enter_async_context(Cut.before(kubeconfig, self._names[1]))
            kubeconfig = str(cut.kubeconfig)
        clusters = await open_.enter_async_context(
            Clusters(
                self._names,
                namespace=self._places[0].namespace,
                kubeconfig=kubeconfig,
                config=settings,
                front=self._stage.front,
            )
        )
        plan = await self._plan(clusters)
        run = await self._run(clusters, plan, self._trouble(cut))
        await {"": self._all_recovered, "cut": self._rest_recovered, "sick": self._stopped}[self._scenario.trouble](
            clusters, run
        )
        if cut is not None:
            await cut.mend()
            self._stage.note("")
            self._stage.note("{cluster} answers again.", cluster=self._names[1])
            self._stage.note("$ backout resume {run}", run=run.id)
            run = await clusters.resume(run.id)
            self._stage.ended(run)
            await self._all_recovered(clusters, run)
        if undo:
            self._stage.note("")
            self._stage.note("$ backout undo {run} --yes", run=run.id)
            undone = await clusters.undo(run.id)
            self._stage.ended(undone)
            _require(undone.state == "recovered", "the state before on each cluster", undone.state)

    async def _plan(self, clusters: Clusters) -> Operation:
        self._stage.note("")
        self._stage.note(
            "$ backout plan --context all -n {namespace} --wave 1,1,rest", namespace=self._places[0].namespace
        )
        plan = await clusters.plan_all()
        self._stage.planned(plan)
        self._outcome.cause = plan.parts[0].cause.text
        self._outcome.mechanism = plan.parts[0].mechanism
        problems = plan.parts[0].problems
        self._outcome.confidence = problems[0].confidence if problems else ""
        chosen = {part.scope.cluster: part.revision.number for part in plan.parts}
        wanted = {name: 3 if name == self._names[-1] else 2 for name in self._names}
        _require(chosen == wanted, f"each cluster's own last good revision: {wanted}", str(chosen))
        return plan

    async def _run(self, clusters: Clusters, plan: Operation, trouble: Callable[[RunEvent], Awaitable[None]]) -> Run:
        self._stage.note("")
        self._stage.note("$ backout run --yes")
        under_way = clusters.start(plan)
        async for event in under_way:
            await trouble(event)
        run = await under_way
        self._outcome.runs.append(run.id)
        self._stage.ended(run)
        return run

    def _trouble(self, cut: Cut | None) -> Callable[[RunEvent], Awaitable[None]]:
        """What happens to the second cluster, at the moment when it hurts."""
        part, lab, done = f"{self._names[1]}/", self._labs[1], False

        async def happen(event: RunEvent) -> None:
            nonlocal done
            if done or not event.part.startswith(part):
                return
            if cut is not None and event.type == "captured":
                done = True
                self._stage.note("{cluster} does not answer any more.", cluster=self._names[1])
                await cut.cut()
            elif self._scenario.trouble == "sick" and event.type == "soak":
                from kubetwin.breaking import break_workload

                done = True
                self._stage.note("Its pods begin to crash on {cluster} …", cluster=self._names[1])
                with lab_work():
                    await break_workload(lab.api, "crash-exit3", WORKLOAD, lab.namespace)

        return happen

    async def _all_recovered(self, clusters: Clusters, run: Run) -> None:
        states = self._states(clusters, run)
        _require(
            run.state == "recovered" and set(states.values()) == {"recovered"}, "recovered everywhere", str(states)
        )
        self._in_order(clusters, run)
        for lab in self._labs:
            with lab_work():
                await _healthy(lab)
        self._outcome.outcome = "recovered"

    async def _rest_recovered(self, clusters: Clusters, run: Run) -> None:
        """The others are; of the one nobody claims to know."""
        states = self._states(clusters, run)
        wanted = {name: "parked" if name == self._names[1] else "recovered" for name in self._names}
        _require(run.state == "interrupted" and states == wanted, str(wanted), f"{run.state}: {states}")

    async def _stopped(self, clusters: Clusters, run: Run) -> None:
        """The canary is; the sick one is not; nothing more was begun, and the run says so."""
        states = self._states(clusters, run)
        later = {states[name] for name in self._names[2:]}
        good = (states[self._names[0]], states[self._names[1]], later) == (
            "recovered",
            "not-recovered",
            {"not-started"},
        )
        _require(good and run.state == "failed", "a stop after the second wave", f"{run.state}: {states}")
        self._outcome.outcome = "stopped"
        if run.failure is not None:
            self._outcome.why, self._outcome.code = run.failure.message.text, run.failure.code

    def _states(self, clusters: Clusters, run: Run) -> dict[str, str]:
        return {one.cluster: one.state for one in clusters.outcomes(run.id)}

    def _in_order(self, clusters: Clusters, run: Run) -> None:
        """The canary ended before anything of the others began."""
        found = {one.cluster: one for one in clusters.outcomes(run.id)}
        canary, others = found[self._names[0]], [found[name] for name in self._names[1:]]
        good = canary.ended is not None and all(one.began is not None and one.began >= canary.ended for one in others)
        _require(good, "the canary verified before the others begin", "another order")


async def _healthy(lab: Lab) -> None:
    await lab.until_healthy()


def _require(good: bool, expected: str, found: str) -> None:
    """
    Raises:
        NotVerifiedError: it is not as it must be.
    """
    if not good:
        raise NotVerifiedError(
            "The rehearsal did not go as it must.", expected="{wanted}", wanted=expected, found="{seen}", seen=found
        )
