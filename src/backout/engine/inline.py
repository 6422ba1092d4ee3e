# SPDX-License-Identifier: Apache-2.0
"""The engine port in memory: for tests of workflows and for `--dry-run`. Same contract as the durable one.

Several engines on one `Memory` are several processes on one database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backout.engine.journal import JournalBranch
from backout.engine.pieces import Piece
from backout.engine.port import PARKING, Branch, Json, StepBody, Workflow
from backout.engine.stepping import Parked, Stop, attempt
from backout.engine.store.port import execution_of, piece_of
from backout.engine.wire import decode_error, encode_error, of_house
from backout.errors import BackoutError, LockedError, RefusedError, RunNotFound


@dataclass
class _Record:
    workflow: str
    payload: str
    owner: InlineEngine
    steps: list[tuple[str, str]] = field(default_factory=list)
    outcome: str = ""
    aborted: bool = False

    @property
    def left(self) -> bool:
        """Whether it is unfinished, and its engine is closed."""
        return not self.outcome and not self.owner._open


@dataclass
class Memory:
    """What survives the end of an engine."""

    runs: dict[str, _Record] = field(default_factory=dict)
    aborts: set[str] = field(default_factory=set)
    answers: dict[tuple[str, str], str] = field(default_factory=dict)

    def answer(self, run: str, step: str) -> str | None:
        """What a step of a branch came to."""
        return self.answers.get((run, step))

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        """Keeps the first."""
        return self.answers.setdefault((run, step), answer)


class _Context:
    def __init__(self, execution: str, record: _Record, engine: InlineEngine, memory: Memory, stop: Stop) -> None:
        self.execution = execution
        self.run, _ = piece_of(execution)
        self._record = record
        self._engine = engine
        self._memory = memory
        self._stop = stop
        self._next = 0

    async def step(self, name: str, body: StepBody, *, attempts: int = 1, interruptible: bool = False) -> Json:
        position = self._next
        self._next += 1
        if position < len(self._record.steps):
            recorded, outcome = self._record.steps[position]
            if recorded != name:
                raise other_order(self.run, recorded, name)
            return _replay(outcome)
        self._stop.check()
        try:
            result = await attempt(body, self._stop, attempts=attempts, interruptible=interruptible)
        except Parked as parked:
            self._next = position
            raise parked.error from parked.error.__cause__
        except BackoutError as error:
            self._record.steps.append((name, json.dumps({"error": encode_error(error)})))
            raise
        outcome = json.dumps({"result": result})
        self._record.steps.append((name, outcome))
        return _replay(outcome)

    async def aborted(self) -> bool:
        async def look() -> bool:
            return self.run in self._memory.aborts

        return bool(await self.step("aborted?", look))

    def branch(self, name: str) -> Branch:
        return JournalBranch(self.run, name, self._memory, self._stop)

    def recall(self) -> set[str]:
        begun = (piece_of(execution) for execution in self._memory.runs)
        return {piece for run, piece in begun if run == self.run and piece}

    async def piece(self, piece: Piece, wanted: Callable[[], bool], waits: Callable[[], None]) -> Json | None:
        return await self._engine.start(piece.workflow, execution_of(self.run, piece.name), piece.payload)


def _replay(outcome: str) -> Json:
    recorded = json.loads(outcome)
    if "error" in recorded:
        raise decode_error(recorded["error"])
    return recorded["result"]


def other_order(run: str, recorded: str, wanted: str) -> RefusedError:
    """The error of a replay whose steps are not those that were recorded."""
    return RefusedError(
        "Run {run} was begun by a Backout with other steps: {recorded} was recorded where {wanted} comes now.",
        run=run,
        recorded=recorded,
        wanted=wanted,
        hint="finish it with the version that began it, or make a new plan",
    )


class InlineEngine:
    """Runs workflows in this process and keeps their records in ``memory``."""

    def __init__(self, workflows: Mapping[str, Workflow], memory: Memory | None = None) -> None:
        self._workflows = dict(workflows)
        self._memory = memory or Memory()
        self._stop = Stop()
        self._tasks: dict[str, asyncio.Task[Json]] = {}
        self._open = True

    async def start(self, workflow: str, run: str, payload: Json) -> Json:
        record = self._memory.runs.get(run)
        if record is None:
            record = self._memory.runs[run] = _Record(workflow, json.dumps(payload), self)
        return await self._execute(run, record)

    async def resume(self, run: str) -> Json:
        record = self._memory.runs.get(run)
        if record is None:
            raise unknown(run)
        return await self._execute(run, record)

    async def abort(self, run: str) -> None:
        if run not in self._memory.runs:
            raise unknown(run)
        self._memory.aborts.add(run)

    def interrupt(self) -> None:
        self._stop.set()

    async def orphans(self) -> list[str]:
        return [run for run, record in self._memory.runs.items() if record.left and not piece_of(run)[1]]

    async def close(self) -> None:
        self._open = False
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _execute(self, run: str, record: _Record) -> Json:
        if record.outcome:
            return _replay(record.outcome)
        task = self._tasks.get(run)
        if task is None or task.done():
            if record.owner is not self and record.owner._open:
                raise LockedError("Run {run} is being executed by another process.", run=run)
            record.owner = self
            task = self._tasks[run] = asyncio.ensure_future(self._run(run, record))
        return await asyncio.shield(task)

    async def _run(self, run: str, record: _Record) -> Json:
        context = _Context(run, record, self, self._memory, self._stop)
        try:
            result = await self._workflows[record.workflow](context, json.loads(record.payload))
        except Parked as parked:
            raise parked.error from parked.error.__cause__
        except Exception as error:
            failure = of_house(error)
            if not isinstance(failure, PARKING):
                record.outcome = json.dumps({"error": encode_error(failure)})
            raise failure from failure.__cause__
        record.outcome = json.dumps({"result": result})
        return result


def unknown(run: str) -> RunNotFound:
    """The engine has no record of the run."""
    return RunNotFound("There is no run {run} to go on with.", run=run, hint="`backout runs` lists them")
