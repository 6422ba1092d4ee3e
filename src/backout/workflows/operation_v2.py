# SPDX-License-Identifier: Apache-2.0
"""An operation over many clusters, as a durable workflow: its waves, what opens the next one, and its end.

Within a wave the clusters go beside each other, the parts of one cluster one after the other, and each part after those
that it needs. Each part is a piece of the run (`part_v2`), carried out by this process, or by whichever worker takes it; here
is only decided what goes, what holds, and how it ends, so that any process may own this, and take it over. The order is for
ever: a changed order is `operation_v3`, and this one stays for the runs that began with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backout.engine.port import PARKING, Branch, Json, Workflow, WorkflowContext
from backout.engine.wire import encode_error, failure_of, of_house
from backout.errors import BackoutError, Interrupted, LeaseLost, PlanChanged, StateError
from backout.model.fleet import Fleet
from backout.model.message import Message, msg
from backout.model.part import Part
from backout.model.run import ENDED, Run, RunState, changed_steps, locks_left
from backout.model.verdict import CheckResult, judge
from backout.planning import document
from backout.planning.order import in_order
from backout.workflows.fleet_end import BAD, NAMED, fleet_error, put_back, state_of, taken_back
from backout.workflows.gate import look_again
from backout.workflows.part_stages import answered, given_up, raised
from backout.workflows.part_v2 import PartEnd, ended_before, let_go, piece_for, tell_end
from backout.workflows.policing import hold_begin, hold_time
from backout.workflows.services import Services
from backout.workflows.telling import Story, begin_sentence, end_sentence, require_let_go

NAME = "operation_v2"
ROOT = "operation"
"""The branch of what is no part's; the ids of parts have a slash."""


def bind(services_of: Callable[[WorkflowContext], Services]) -> Workflow:
    """The workflow, working with the services of its execution."""

    async def operation_v2(context: WorkflowContext, payload: Json) -> Json:
        services = services_of(context)
        run = services.store.get(context.run)
        if run.operation.hash != payload["operation"]:
            raise PlanChanged("The plan of run {run} is not the one that was approved.", run=run.id)
        story = Story(services, run.id)
        try:
            answer = await _Waves(context, services, story, run).carry_out()
        except Exception as error:
            failure = of_house(error)
            if isinstance(failure, PARKING):
                story.parked(failure)
            raise
        require_let_go(story)
        return answer

    return operation_v2


class _Waves:
    """One life of such a run."""

    def __init__(self, context: WorkflowContext, services: Services, story: Story, run: Run) -> None:
        assert run.operation.fleet is not None
        self._context = context
        self._services = services
        self._story = story
        self._run = run
        self._fleet: Fleet = run.operation.fleet
        self._root: Branch = context.branch(ROOT)
        self._parts = {part.id: part for part in in_order(run.operation.parts)}
        self._ends: dict[str, PartEnd] = {}
        self._over = {part: asyncio.Event() for part in self._parts}
        self._slots = asyncio.Semaphore(self._fleet.parallel)
        self._stopped: BackoutError | None = None
        self._begun = {event.part for event in story.events() if event.type in ("lease-acquired", "step-started")}

    async def carry_out(self) -> Json:
        """From the beginning, or from where it stopped, to the end.

        Raises:
            BackoutError: the run is parked; see `PARKING`.
        """
        if self._run.state in ENDED:
            # Killed after its end was recorded, or its locks could not be let go: that is left to do.
            for part in locks_left(self._story.events()):
                await let_go(self._services, self._story, self._run.operation, self._parts[part], self._run.actor)
            return await self._end(self._run.state, None)
        self._begin()
        self._begun |= self._context.recall() & self._parts.keys()
        answer = await self._root.step("check-plan", answered(self._story, self._check), interruptible=True)
        if given_up(answer):
            return await self._end("aborted", None)
        if failure := raised(answer):
            return await self._end("failed", failure)
        self._remember()
        for number in range(1, len(self._fleet.waves) + 1):
            await self._wave(number)
            if not self._entered(number + 1) and not await self._opens_next(number):
                break
        return await self._conclude()

    def _remember(self) -> None:
        """What came to its end in a former life, and what the gates found of it then."""
        for part in self._parts:
            if (known := ended_before(self._context.branch(part))) is not None:
                self._ends[part] = known
                self._over[part].set()
        for number in range(1, len(self._fleet.waves)):
            answer = self._root.known(f"gate {number}")
            if answer is not None and not given_up(answer):
                self._note(number, answer)

    def _entered(self, number: int) -> bool:
        """Whether a wave was begun in a former life: then its parts come to their ends, whatever has become of others."""
        if number > len(self._fleet.waves):
            return False
        return any(part in self._begun or part in self._ends for part in self._fleet.waves[number - 1].parts)

    def _begin(self) -> None:
        self._services.store.update(self._run.id, state="running")
        if self._services.store.has_event(self._run.id, "run-started"):
            self._story.tell(
                "resumed",
                msg("Going on after an interruption."),
                key=f"resumed:{self._services.life}",
                actor=self._services.actor,
            )
            return
        operation = self._run.operation
        together: dict[str, Any] = {"command": self._services.command} if self._services.command else {}
        self._story.tell(
            "run-started",
            begin_sentence(operation),
            key="run-started",
            plan=operation.hash,
            actor=self._run.actor,
            **together,
        )

    async def _check(self) -> Json:
        document.check(self._run.operation)
        for part in self._parts.values():
            self._services.hold(part, self._services.protected)
        hold_begin(self._services, self._run)
        self._services.captures.check()
        return {}

    # one wave

    async def _wave(self, number: int) -> None:
        wave = self._fleet.waves[number - 1]
        left = [part for part in self._parts.values() if part.id in wave.parts and part.id not in self._ends]
        if not left:
            return
        if not self._entered(number):
            hold_time(self._services, self._run, left)
        chains: dict[str, list[Part]] = {}
        for part in left:
            chains.setdefault(part.scope.cluster, []).append(part)
        self._story.tell(
            "wave-started",
            _wave_sentence(number, len(self._fleet.waves), list(chains)),
            key=f"wave-started:{number}",
            wave=number,
        )
        await asyncio.gather(*(self._chain(chain) for chain in chains.values()))
        if self._stopped is not None:
            raise self._stopped

    async def _chain(self, parts: Sequence[Part]) -> None:
        """The parts of one cluster, one after the other."""
        for part in parts:
            try:
                for need in part.needs:
                    await self._over[need].wait()
                async with self._slots:
                    if self._goes(part):
                        await self._part(part)
            finally:
                self._over[part.id].set()

    async def _part(self, part: Part) -> None:
        piece = piece_for(self._run.operation, part)
        try:
            answer = await self._context.piece(piece, lambda: self._goes(part), lambda: self._waits(part))
        except (Interrupted, LeaseLost, StateError) as error:
            # This process stops, or the database does not take records any more. The others come to their next step first:
            # nothing is left at work here behind a run that is parked.
            self._stopped = self._stopped or error
        except BackoutError as error:
            wrote = bool(changed_steps(self._services.store.events(self._run.id, part=part.id)))
            self._ends[part.id] = PartEnd(state="parked", wrote=wrote, failure=encode_error(error))
        except Exception as error:
            self._stopped = self._stopped or of_house(error)
        else:
            if answer is not None:
                self._ends[part.id] = msgspec.convert(answer, PartEnd)

    def _waits(self, part: Part) -> None:
        self._story.of(part).tell(
            "part-waits",
            msg("{cluster}: no worker that knows it has taken it yet.", cluster=part.scope.cluster),
            key=f"part-waits:{self._services.life}",
        )

    def _goes(self, part: Part) -> bool:
        """Whether it is its turn. What was begun in a former life is brought to its end whatever has become of others: left as it
        was cut off, it would be called "not begun"."""
        if self._stopped is not None:
            return False
        if part.id in self._begun:
            return True
        wanted = not self._story.unwanted() and not self._spent()
        return wanted and all(self._verified(need) for need in part.needs)

    def _spent(self) -> bool:
        """Whether more failed than may."""
        return self._fleet.on_failure != "continue" and len(self._bad()) > self._fleet.max_failures

    def _bad(self) -> list[str]:
        return [part for part, end in self._ends.items() if end.state in BAD]

    def _verified(self, part: str) -> bool:
        return part in self._ends and self._ends[part].state == "recovered"

    # between two waves

    async def _opens_next(self, number: int) -> bool:
        """The gate: few enough failed, something of the wave is verified, and it still holds after the soak."""
        if number == len(self._fleet.waves):
            return False
        if self._story.unwanted():
            return False
        if self._fleet.on_failure == "continue":
            return True
        parts = self._fleet.waves[number - 1].parts
        verified = [self._parts[part] for part in parts if self._verified(part)]
        if self._spent() or not verified:
            return self._keep_shut(number)
        answer = await self._root.step(
            f"gate {number}",
            lambda: look_again(self._context, self._services, self._story, self._fleet, number, verified, self._waits),
            interruptible=True,
        )
        if given_up(answer):
            return False
        self._note(number, answer)
        verified = [part for part in verified if self._verified(part.id)]
        return self._keep_shut(number) if self._spent() or not verified else True

    def _note(self, number: int, answer: Json) -> None:
        for part, found in answer["changed"].items():
            self._ends[part] = msgspec.convert(found, PartEnd)
            tell_end(self._story.of(self._parts[part]), self._parts[part], self._ends[part], key=f"gate:{number}")

    def _keep_shut(self, number: int) -> bool:
        self._story.tell(
            "gate",
            msg(
                "Wave {number} does not open the next: {bad} of {all} parts are not verified.",
                number=number,
                bad=sum(1 for part in self._fleet.waves[number - 1].parts if not self._verified(part)),
                all=len(self._fleet.waves[number - 1].parts),
            ),
            key=f"gate-shut:{number}:{self._services.life}",
            wave=number,
        )
        return False

    # the end

    async def _conclude(self) -> Json:
        aborted = self._story.unwanted()
        undoes = self._fleet.on_failure == "undo" and self._spent() and not aborted
        parked = any(end.state == "parked" for end in self._ends.values())
        error = fleet_error(self._run, self._parts, self._ends, aborted=aborted)
        if parked and not aborted and not undoes:
            assert error is not None
            raise error
        return await self._end(state_of(self._parts, self._ends, aborted=aborted), error, undoes=undoes)

    async def _end(self, state: RunState, failure: BackoutError | None, *, undoes: bool = False) -> Json:
        """The answer of a run that is over. Its failure is part of it: a raised one might mean "resume"."""
        services, store, run = self._services, self._services.store, self._run
        checks: tuple[CheckResult, ...] = tuple(
            check
            for part in self._parts
            if (end := self._ends.get(part)) and end.verdict
            for check in end.verdict.checks
        )

        async def body() -> Json:
            if checks:
                verdict = judge(checks, services.now())
                if state != "recovered" and verdict.outcome == "recovered":
                    verdict = msgspec.structs.replace(verdict, outcome="unknown")
                store.update(run.id, verdict=verdict)
            if undoes:
                put_back(services, self._story, run)
            if run.operation.undo_of:
                taken_back(store, run, [part for part in self._parts if self._verified(part)], services.now())
            self._story.tell("run-ended", end_sentence(state), key=f"run-ended:{state}", state=state)
            # Last: who sees this state sees the whole story.
            if store.get(run.id).state != state:
                kept = failure_of(failure) if failure else None
                store.update(run.id, state=state, ended=services.now(), failure=kept)
            return {"state": state}

        await self._root.step("end", body)
        return {"state": state, "failure": encode_error(failure)} if failure else {"state": state}


def _wave_sentence(number: int, waves: int, names: Sequence[str]) -> Message:
    if len(names) <= NAMED:
        return msg("Wave {number} of {all}: {names}.", number=number, all=waves, names=", ".join(names))
    return msg(
        "Wave {number} of {all}: {count} clusters ({names}, …).",
        number=number,
        all=waves,
        count=len(names),
        names=", ".join(names[:NAMED]),
    )
