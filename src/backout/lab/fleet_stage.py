# SPDX-License-Identifier: Apache-2.0
"""What rehearsals on several clusters have in common: their stacks, what breaks, a plan, a run, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from backout.errors import BackoutError, NotVerifiedError
from backout.lab.player import CALLED, Outcome, Props, lab_work

if TYPE_CHECKING:
    from backout import Clusters, Operation, Run, RunEvent, Settings
    from backout.lab.places import Place
    from backout.lab.player import Stage
    from kubetwin.lab.builder import Lab

TARGET = "helm/thanos"
BUILDING = 4
"""Clusters whose stacks are built at a time."""
SOAK = 2.0
"""Seconds between two waves; a rehearsal need not wait as long as people do."""


async def nothing_happens(_: RunEvent) -> None:
    """No trouble."""


class Rehearsal:
    """One of them, on its clusters. ``places`` and ``labs`` belong together; ``names`` are their contexts."""

    def __init__(
        self, stage: Stage, id: str, title: str, places: Sequence[Place], props: Props, labs: Sequence[Lab]
    ) -> None:
        self.stage, self._title, self.places, self.labs = stage, title, places, labs
        self.names = [place.context for place in places]
        self.kubeconfig = places[0].kubeconfig
        self.outcome = Outcome(id, target=TARGET)
        self.policy, self.various, self.undoes = "stop", False, False
        self.wanted: dict[str, int] = {}
        """By cluster, its own last good revision."""
        self._settings = props.settings

    @property
    def settings(self) -> Settings:
        """Those of the user, with the waves and the policy of this rehearsal. Its clusters are contexts."""
        from msgspec.structs import replace

        fleet = self._settings.fleet
        waves = ("1", "1", "rest") if len(self.names) > 1 else ("rest",)
        if len(self.names) > MANY:
            waves = ("1", "25%", "rest")
        rules = replace(
            fleet,
            waves=waves,
            on_failure=self.policy,
            max_failures=0,
            parallel=max(fleet.parallel, len(self.names)),
            gate=replace(fleet.gate, soak=SOAK),
        )
        return replace(self._settings, fleet=rules, clusters={}, stacks={})

    async def play(self, take_back: Callable[[Rehearsal, AsyncExitStack], Awaitable[None]]) -> Outcome:
        """The whole of it. What Backout does wrong is in the outcome.

        Raises:
            BackoutError: the stage could not be set.
        """
        stage, outcome = self.stage, self.outcome
        stage.note("")
        stage.note("{id}: {title}", id=outcome.scenario, title=stage.says(self._title))
        with lab_work():
            await self._break()
        began = time.monotonic()
        try:
            async with AsyncExitStack() as open_:
                await take_back(self, open_)
        except BackoutError as error:
            stage.failed(error)
            outcome.outcome, outcome.why, outcome.code = "failed", error.message, error.code
        outcome.seconds = round(time.monotonic() - began, 1)
        stage.note(
            "{id}: {outcome} after {seconds} s",
            id=outcome.scenario,
            outcome=stage.says(CALLED[outcome.outcome]),
            seconds=outcome.seconds,
        )
        return outcome

    async def _break(self) -> None:
        """Two healthy revisions everywhere, on the last cluster three, and then the same bad one. Or, where they are to be
        ``various``: two, three, three with three bad ones, and so on; and the last one is healthy."""
        from kubetwin.lab.helm_scenarios import crash_deployment, three_bad, three_good, two_good

        self.stage.note(
            "Building a healthy stack on {count} clusters, then breaking it on each …", count=len(self.labs)
        )
        slots = asyncio.Semaphore(BUILDING)

        async def one(number: int, lab: Lab) -> None:
            name, last = self.names[number], number == len(self.labs) - 1
            threes = number % 3 > 0 if self.various else last and len(self.labs) > 1
            async with slots:
                await (three_good if threes else two_good)(lab)
                if last and self.various:
                    return
                await (three_bad if self.various and number % 3 == 2 else crash_deployment)(lab)
                self.wanted[name] = 3 if threes else 2

        await asyncio.gather(*(one(number, lab) for number, lab in enumerate(self.labs)))

    async def clusters(self, open_: AsyncExitStack, kubeconfig: str = "") -> Clusters:
        """Backout on all of them; along ``kubeconfig``, where that is another one."""
        from backout import Clusters

        return await open_.enter_async_context(
            Clusters(
                self.names,
                namespace=self.places[0].namespace,
                kubeconfig=kubeconfig or self.kubeconfig,
                config=self.settings,
                front=self.stage.front,
            )
        )

    async def plan(self, clusters: Clusters) -> Operation:
        """The plan of all, each cluster with its own last good revision.

        Raises:
            NotVerifiedError: it is another one.
        """
        self.say(
            "plan --context all -n {namespace} --wave {waves}", waves=",".join(map(str, self.settings.fleet.waves))
        )
        plan = await clusters.plan_all()
        self.stage.planned(plan)
        self.outcome.cause = plan.parts[0].cause.text
        self.outcome.mechanism = plan.parts[0].mechanism
        problems = plan.parts[0].problems
        self.outcome.confidence = problems[0].confidence if problems else ""
        chosen = {part.scope.cluster: part.revision.number for part in plan.parts}
        wanted = {name: self.wanted[name] for name in self.names if name in self.wanted}
        require(chosen == wanted, f"each cluster's own last good revision: {wanted}", str(chosen))
        return plan

    def say(self, command: str, /, **args: object) -> None:
        """The command that a user would type."""
        self.stage.note("")
        self.stage.note(f"$ backout {command}", namespace=self.places[0].namespace, **args)

    async def run(
        self, clusters: Clusters, plan: Operation, happens: Callable[[RunEvent], Awaitable[None]] = nothing_happens
    ) -> Run:
        """Carries it out, while ``happens`` sees each event."""
        self.say("run --yes")
        under_way = clusters.start(plan)
        async for event in under_way:
            await happens(event)
        return self.ended(await under_way)

    def ended(self, run: Run) -> Run:
        """Shows how a run ended, and keeps its name."""
        self.outcome.runs.append(run.id)
        self.stage.ended(run)
        return run

    async def resume(self, clusters: Clusters, run: Run) -> Run:
        """Goes on with it."""
        self.say("resume {run}", run=run.id)
        resumed = await clusters.resume(run.id)
        self.stage.ended(resumed)
        return resumed

    async def undo(self, clusters: Clusters, run: Run) -> None:
        """Puts the broken state back, where the user wants that.

        Raises:
            NotVerifiedError: it is not there again.
        """
        if not self.undoes:
            return
        self.say("undo {run} --yes", run=run.id)
        undone = await clusters.undo(run.id)
        self.stage.ended(undone)
        require(undone.state == "recovered", "the state before on each cluster", undone.state)

    async def all_recovered(self, clusters: Clusters, run: Run) -> None:
        """
        Raises:
            NotVerifiedError: a cluster is not, or one began before the canary was verified, or something was left behind.
        """
        states = self.states(clusters, run)
        require(run.state == "recovered" and set(states.values()) == {"recovered"}, "recovered everywhere", str(states))
        self._in_order(clusters, run)
        await self.healthy_everywhere()
        self.outcome.outcome = "recovered"

    async def healthy_everywhere(self) -> None:
        """
        Raises:
            LabError: a cluster is not.
            NotVerifiedError: a lock was left behind.
        """
        from kubetwin.kinds import LEASES

        for place, lab in zip(self.places, self.labs, strict=True):
            with lab_work():
                await lab.until_healthy()
                left = [lease["metadata"]["name"] for lease in (await lab.api.list(LEASES, place.namespace))["items"]]
            require(not left, f"no lock left on {place.context}", ", ".join(left))

    def states(self, clusters: Clusters, run: Run) -> dict[str, str]:
        """What became of each cluster."""
        return {one.cluster: one.state for one in clusters.outcomes(run.id)}

    def _in_order(self, clusters: Clusters, run: Run) -> None:
        """The canary ended before anything of the others began."""
        canary, *others = clusters.outcomes(run.id)
        good = canary.ended is not None and all(one.began is not None and one.began >= canary.ended for one in others)
        require(good, "the canary verified before the others begin", "another order")


MANY = 8
"""More clusters go in shares."""


def require(good: bool, expected: str, found: str) -> None:
    """
    Raises:
        NotVerifiedError: it is not as it must be.
    """
    if not good:
        raise NotVerifiedError(
            "The rehearsal did not go as it must.", expected="{wanted}", wanted=expected, found="{seen}", seen=found
        )
