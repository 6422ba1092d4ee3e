# SPDX-License-Identifier: Apache-2.0
"""Plays one situation as one who is on call would: a snapshot of what is well, then diagnose, plan and run."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backout import Backout, BackoutError, Diagnosis, Settings
from bench.incidents import score as scoring
from bench.incidents import state
from bench.incidents.cluster import SLOT
from bench.incidents.objects import pod
from bench.incidents.score import Done, Played, Score
from bench.incidents.situation import Situation
from bench.incidents.world import SetUp, World
from kubetwin.client import ApiException
from kubetwin.kinds import CONFIGMAPS

LIMIT = 600.0
"""Seconds for one situation, on a busy machine too."""


class Player:
    """Plays in one namespace at a time; ``writing`` is held while a run is carried out, as one process does one at a time."""

    def __init__(self, world: World, settings: Settings, writing: asyncio.Lock, keeping: asyncio.Lock) -> None:
        self.world = world
        self.settings = settings
        self.writing = writing
        self.keeping = keeping

    @asynccontextmanager
    async def backout(self) -> AsyncIterator[Backout]:
        """Backout, as a program uses it."""
        async with Backout(
            kubeconfig=self.world.kubeconfig,
            context=self.world.context,
            namespace=self.world.namespace,
            config=self.settings,
        ) as backout:
            yield backout

    async def play(self, situation: Situation) -> Score:
        """From a healthy namespace to the score. What could not be set up is in ``error``."""
        score = Score(situation.name, situation.kind, situation.area, situation.seed, situation.told)
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT):
                await self._play(situation, score)
        except Exception as error:  # whatever it is, the others are played
            score.error = f"{type(error).__name__}: {error}"
        try:
            await self.world.end()
        except Exception as error:
            score.error = score.error or f"not taken away: {type(error).__name__}: {error}"
        score.seconds = time.monotonic() - began
        return score

    async def _play(self, situation: Situation, score: Score) -> None:
        await self.deploy(situation)
        for step in situation.before:
            await step.do(self.world)
        if left := await self.world.settle():
            raise SetUp(f"not ready at first: {', '.join(left)}")
        async with self.backout() as backout:
            if situation.snapshot:
                async with self.keeping:  # the repository is made by the first one
                    await backout.snapshots.create()
            good = await state.read(self.world)
            await asyncio.sleep(2)
            for step in situation.faults:
                await step.do(self.world)
            broken = await state.read(self.world)
            for step in situation.after:
                await step.do(self.world)
            await asyncio.sleep(situation.wait)
            seen = await state.read(self.world)
            began = time.monotonic()
            try:
                diagnosis = await backout.diagnose()
            except Exception as error:  # a fault of Backout itself is an answer, too
                score.why = score.outcome_why = f"diagnose broke: {type(error).__name__}: {error}"
                return
            score.diagnose = time.monotonic() - began
            score.named, score.why = scoring.name(situation.expected, diagnosis)
            score.certain = sum(problem.confidence == "certain" for problem in diagnosis.problems)
            score.falsely_certain = scoring.falsely_certain(situation.expected, diagnosis)
            score.said = [scoring.sentence(problem) for problem in diagnosis.problems]
            mending = asyncio.create_task(self._mend(good))
            try:
                done, why, first_wrote = await self._take_back(backout, situation, diagnosis)
                may = {"recovered", "approval"} & {done}
                # Programs that failed because of the fault are in their back-off still.
                unready = await self.world.settle(90 if may else 0, situation.unready)
            finally:
                mending.cancel()
                await asyncio.gather(mending, return_exceptions=True)
            after = await state.read(self.world)
        unready = [of for of in unready if of not in situation.unready]
        played = Played(good, broken, seen, after, tuple(unready), first_wrote)
        scoring.judge(situation.expected, situation.rest, done, why, played, score)

    async def deploy(self, situation: Situation) -> None:
        """The healthy beginning: by Helm where there is a release, else by `kubectl apply`."""
        await self.world.begin()
        for step in situation.early:
            await step.do(self.world)
        for obj in situation.objects:
            if obj["kind"] == "DaemonSet":  # on the two nodes of this namespace, as in a cluster of two
                pod(obj).setdefault("nodeSelector", {})[SLOT] = self.world.namespace.rpartition("-")[2]
        self.world.stacks = copy.deepcopy(situation.others)
        if situation.release:
            self.world.stacks[situation.release] = copy.deepcopy(situation.objects)
        else:
            for obj in situation.objects:
                await self.world.create(json.loads(json.dumps(obj)))
        for release in self.world.stacks:
            await self.world.upgrade(release)

    async def _take_back(self, backout: Backout, situation: Situation, diagnosis: Diagnosis) -> tuple[Done, str, bool]:
        """As `backout run --yes`, then again with the approvals that are right here."""
        async with self.writing:
            before = await state.read(self.world)
            done, why = await self._run(backout, diagnosis, ())
            if done == "failed" and situation.partly:
                return "recovered", why, False
            if done != "refused" or "approval" not in situation.expected.outcomes or not situation.expected.approve:
                return done, why, False
            wrote = await state.read(self.world) != before
            done, why = await self._run(backout, diagnosis, situation.expected.approve)
            return ("approval" if done == "recovered" else done), why, wrote

    async def _run(self, backout: Backout, diagnosis: Diagnosis, approve: tuple[str, ...]) -> tuple[Done, str]:
        sure = [p for p in diagnosis.problems if p.mechanism and p.confidence in scoring.SURE]
        targets = list(dict.fromkeys(problem.target for problem in sure))
        ran, said = 0, []
        for target in targets:
            try:
                plan = await backout.plan(target, diagnosis=diagnosis)
                run = await backout.run(plan, approve=approve)
            except BackoutError as error:
                said.append(f"{target}: {error.code}: {error.message}")
                continue
            ran += 1
            if run.state != "recovered":
                said.append(f"{target}: {run.state}: {run.failure.message if run.failure else ''}")
        if not ran:
            return "refused", "; ".join(said) or "nothing to take back"
        return ("failed" if said else "recovered"), "; ".join(said)

    async def _mend(self, good: state.State) -> None:
        """What followed from the fault ends with it."""
        while True:
            await asyncio.sleep(0.7)
            for rule in list(self.world.rules):
                if not rule.until:
                    continue
                with contextlib.suppress(ApiException, OSError):
                    obj = await self.world.get(rule.until)
                    kind = rule.until.partition("/")[0]
                    now = state.as_written(kind, obj) if obj is not None else None
                    if now == good.get(rule.until):
                        self.world.rules.remove(rule)
                        await self.world.api.delete(CONFIGMAPS, rule.name, "kube-system")
