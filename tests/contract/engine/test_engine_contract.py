# SPDX-License-Identifier: Apache-2.0
"""What every adapter of the engine port must do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.engine.port import Engine, Json, WorkflowContext
from backout.errors import (
    BackoutError,
    ClusterUnreachable,
    Conflict,
    Interrupted,
    LeaseLost,
    LockedError,
    NotVerifiedError,
    RefusedError,
    RunNotFound,
    TimedOut,
    UnexpectedError,
)

from .harness import HARNESSES, Death, Harness

STEPS = ("one", "two", "three")


@pytest.fixture(params=sorted(HARNESSES))
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    made: Harness = HARNESSES[request.param](tmp_path)
    yield made
    made.close()


class World:
    """A workflow of three steps with effects that are counted, and a place to hang a fault on."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}
        self.after: dict[str, Callable[[], Awaitable[None]]] = {}
        self.attempts = 1
        self.interruptible = False
        self.order = STEPS
        self.seen: list[BaseException] = []

    async def workflow(self, context: WorkflowContext, payload: Json) -> Json:
        results = []
        for name in self.order:
            if await context.aborted():
                return {"aborted-before": name}
            try:
                results.append(
                    await context.step(name, self._body(name), attempts=self.attempts, interruptible=self.interruptible)
                )
            except BackoutError as error:
                self.seen.append(error)
                raise
        return {"payload": payload, "results": results}

    def _body(self, name: str) -> Callable[[], Awaitable[Json]]:
        async def body() -> Json:
            if name in self.before:
                await self.before[name]()
            self.done.append(name)
            if name in self.after:
                await self.after[name]()
            return {"step": name, "n": len(self.done)}

        return body


def raising(*errors: BaseException) -> Callable[[], Awaitable[None]]:
    """Raises each error once, in turn, then lets everything pass."""
    left = list(errors)

    async def fault() -> None:
        if left:
            raise left.pop(0)

    return fault


def go(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(600):
            await main()

    asyncio.run(limited())


def result(payload: Any) -> Json:
    return {"payload": payload, "results": [{"step": name, "n": n} for n, name in enumerate(STEPS, 1)]}


def test_a_run_returns_its_result_and_the_same_run_twice_is_one_execution(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        engine = await harness.make({"w": world.workflow})
        payload = {"name": "thanos", "list": [1, None, True, 0.5, "한글"]}
        assert await engine.start("w", "r1", payload) == result(payload)
        assert await engine.start("w", "r1", {"other": 1}) == result(payload)
        assert world.done == list(STEPS)
        await engine.close()

    go(main)


def test_two_starts_at_once_are_one_execution(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        gate = asyncio.Event()
        world.before["two"] = gate.wait  # type: ignore[assignment]
        engine = await harness.make({"w": world.workflow})
        both = asyncio.gather(engine.start("w", "r1", 1), engine.start("w", "r1", 1))
        gate.set()
        assert await both == [result(1), result(1)]
        assert world.done == list(STEPS)
        await engine.close()

    go(main)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_death_in_a_step_is_resumed_and_steps_done_are_not_done_twice(harness: Harness, step: str, when: str) -> None:
    async def main() -> None:
        world = World()
        getattr(world, when)[step] = raising(Death())
        first = await harness.make({"w": world.workflow})
        with pytest.raises(Death):
            await first.start("w", "r1", "p")
        await first.close()

        second = await harness.make({"w": world.workflow})
        assert await second.orphans() == ["r1"]
        answer = await second.resume("r1")
        expected = list(STEPS)
        if when == "after":
            expected.insert(expected.index(step), step)  # the one that was under way, and only that, ran again
        assert world.done == expected
        assert [r["step"] for r in answer["results"]] == list(STEPS)
        assert await second.orphans() == []
        assert await second.resume("r1") == answer
        await second.close()

    go(main)


def test_an_error_keeps_its_class_words_and_arguments_and_is_final(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.before["two"] = raising(
            Conflict("{name} was changed.", name="web", expected="version {version}", found="9", hint="look", version=7)
        )
        engine = await harness.make({"w": world.workflow})
        for _ in range(2):
            with pytest.raises(Conflict) as caught:
                await engine.start("w", "r1", None)
            error = caught.value
            assert (error.message, error.expected, error.found, error.hint) == (
                "web was changed.",
                "version {version}",
                "9",
                "look",
            )
            assert error.arguments == {"name": "web", "version": 7}
            assert (error.code, error.exit_code) == ("conflict", 5)
        assert world.done == ["one"]
        await engine.close()
        again = await harness.make({"w": world.workflow})
        assert await again.orphans() == []
        with pytest.raises(Conflict):
            await again.resume("r1")
        assert world.done == ["one"]
        await again.close()

    go(main)


def test_a_recorded_error_of_a_step_is_raised_again_on_replay(harness: Harness) -> None:
    async def main() -> None:
        died: list[int] = []
        calls: list[str] = []

        async def workflow(context: WorkflowContext, payload: Json) -> Json:
            async def fails() -> Json:
                calls.append("fails")
                raise NotVerifiedError("Not in {seconds} s.", seconds=3)

            async def cleans() -> Json:
                calls.append("cleans")
                if not died:
                    died.append(1)
                    raise Death
                return "clean"

            try:
                await context.step("fails", fails)
            except NotVerifiedError as error:
                return [error.message, await context.step("cleans", cleans)]
            raise AssertionError

        first = await harness.make({"w": workflow})
        with pytest.raises(Death):
            await first.start("w", "r1", None)
        await first.close()
        second = await harness.make({"w": workflow})
        assert await second.resume("r1") == ["Not in 3 s.", "clean"]
        assert calls == ["fails", "cleans", "cleans"]
        await second.close()

    go(main)


def test_an_unforeseen_error_parks_the_run_and_its_text_is_in_no_record(harness: Harness, tmp_path: Path) -> None:
    async def main() -> None:
        world = World()
        world.attempts = 3
        world.before["two"] = raising(*(KeyError("canary-secret-4711") for _ in range(3)))
        engine = await harness.make({"w": world.workflow})
        for ask in (engine.start("w", "r1", "p"), engine.resume("r1")):
            with pytest.raises(UnexpectedError, match="of type KeyError") as caught:
                await ask
            assert isinstance(caught.value.__cause__, KeyError), "for who debugs it"
        await engine.close()
        again = await harness.make({"w": world.workflow})
        assert await again.orphans() == ["r1"]
        with pytest.raises(UnexpectedError):
            await again.resume("r1")
        assert await again.resume("r1") == result("p")
        assert world.done == list(STEPS), "the step ran again, and what was done before did not"
        await again.close()
        for file in tmp_path.rglob("*"):
            if file.is_file():
                assert b"canary-secret-4711" not in file.read_bytes(), file

    go(main)


def test_an_unforeseen_error_between_steps_parks_the_run_too(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        faults = [IndexError()]

        async def workflow(context: WorkflowContext, payload: Json) -> Json:
            first = await context.step("one", world._body("one"))
            if faults:
                raise faults.pop()
            return [first, await context.step("two", world._body("two"))]

        engine = await harness.make({"w": workflow})
        with pytest.raises(UnexpectedError, match="of type IndexError"):
            await engine.start("w", "r1", None)
        assert [answer["step"] for answer in await engine.resume("r1")] == ["one", "two"]
        assert world.done == ["one", "two"]
        await engine.close()

    go(main)


def test_retryable_errors_are_tried_again_as_often_as_allowed(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.attempts = 3
        unreachable = [ClusterUnreachable("No answer."), ClusterUnreachable("No answer.")]
        world.before["one"] = raising(*unreachable)
        engine = await harness.make({"w": world.workflow})
        assert await engine.start("w", "r1", None) == result(None)
        await engine.close()

    go(main)


def test_errors_that_are_not_retryable_are_not_tried_again(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.attempts = 3
        world.before["one"] = raising(Conflict("Changed."))
        engine = await harness.make({"w": world.workflow})
        with pytest.raises(Conflict):
            await engine.start("w", "r1", None)
        assert world.done == []
        await engine.close()

    go(main)


@pytest.mark.parametrize(
    "error", [ClusterUnreachable("No answer."), LeaseLost("Lost."), LockedError("Held."), TimedOut("Late.")]
)
def test_parking_errors_leave_the_run_resumable_in_the_same_and_in_another_process(
    harness: Harness, error: BackoutError
) -> None:
    async def main() -> None:
        world = World()
        world.before["two"] = raising(error, error)
        first = await harness.make({"w": world.workflow})
        with pytest.raises(type(error)):
            await first.start("w", "r1", "p")
        assert await first.orphans() == []
        with pytest.raises(type(error)):
            await first.resume("r1")
        await first.close()
        second = await harness.make({"w": world.workflow})
        assert await second.orphans() == ["r1"]
        assert await second.resume("r1") == result("p")
        assert world.done == list(STEPS)
        await second.close()

    go(main)


def test_interrupt_lets_the_step_finish_and_stops_before_the_next(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        engine = await harness.make({"w": world.workflow})

        async def interrupt() -> None:
            engine.interrupt()

        world.before["two"] = interrupt
        with pytest.raises(Interrupted):
            await engine.start("w", "r1", "p")
        assert world.done == ["one", "two"]
        await engine.close()
        world.before.clear()
        second = await harness.make({"w": world.workflow})
        assert await second.resume("r1") == result("p")
        assert world.done == list(STEPS)
        await second.close()

    go(main)


def test_interrupt_cancels_a_step_without_effects_at_once(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.interruptible = True
        engine = await harness.make({"w": world.workflow})
        began = asyncio.Event()

        async def wait() -> None:
            began.set()
            await asyncio.Event().wait()

        world.before["two"] = wait
        running = asyncio.ensure_future(engine.start("w", "r1", "p"))
        await began.wait()
        engine.interrupt()
        with pytest.raises(Interrupted):
            await running
        assert world.done == ["one"]
        await engine.close()

    go(main)


def test_interrupt_ends_the_pause_before_another_attempt(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.attempts = 1000
        engine = await harness.make({"w": world.workflow})

        async def fails() -> None:
            asyncio.get_running_loop().call_later(0.1, engine.interrupt)
            raise ClusterUnreachable("No answer.")

        world.before["one"] = fails
        with pytest.raises(Interrupted):
            await engine.start("w", "r1", "p")
        await engine.close()

    go(main)


def test_abort_stops_for_good_before_the_next_step(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        engine = await harness.make({"w": world.workflow})

        async def abort() -> None:
            await engine.abort("r1")

        world.before["one"] = abort
        assert await engine.start("w", "r1", "p") == {"aborted-before": "two"}
        assert world.done == ["one"]
        assert await engine.orphans() == []
        await engine.close()

    go(main)


def test_abort_of_a_dead_run_holds_when_it_is_resumed(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.after["one"] = raising(Death())
        first = await harness.make({"w": world.workflow})
        with pytest.raises(Death):
            await first.start("w", "r1", "p")
        await first.close()
        second = await harness.make({"w": world.workflow})
        await second.abort("r1")
        # "aborted?" before the first step was answered, and recorded, in the first life.
        assert await second.resume("r1") == {"aborted-before": "two"}
        assert world.done == ["one", "one"]
        await second.close()

    go(main)


def test_unknown_runs(harness: Harness) -> None:
    async def main() -> None:
        engine = await harness.make({"w": World().workflow})
        with pytest.raises(RunNotFound):
            await engine.resume("nope")
        with pytest.raises(RunNotFound):
            await engine.abort("nope")
        assert await engine.orphans() == []
        await engine.close()

    go(main)


def test_another_order_of_steps_is_refused_instead_of_mixed_up(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        world.before["two"] = raising(Death())
        first = await harness.make({"w": world.workflow})
        with pytest.raises(Death):
            await first.start("w", "r1", "p")
        await first.close()
        world.order = ("zero", *STEPS)
        second = await harness.make({"w": world.workflow})
        with pytest.raises(RefusedError, match="one"):
            await second.resume("r1")
        assert world.done == ["one"]
        await second.close()

    go(main)


class Parts:
    """A workflow of two branches of two steps each, which go on beside each other."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}

    async def workflow(self, context: WorkflowContext, payload: Json) -> Json:
        ends = await asyncio.gather(*(self._part(context, name) for name in ("east", "west")), return_exceptions=True)
        if parked := next((one for one in ends if isinstance(one, ClusterUnreachable | Interrupted)), None):
            raise parked
        return [one if isinstance(one, list) else type(one).__name__ for one in ends]

    async def _part(self, context: WorkflowContext, name: str) -> Json:
        branch = context.branch(name)
        return [await branch.step(step, self._body(f"{name} {step}")) for step in ("read", "write")]

    def _body(self, name: str) -> Callable[[], Awaitable[Json]]:
        async def body() -> Json:
            if name in self.before:
                await self.before[name]()
            self.done.append(name)
            return {"did": name}

        return body


def test_branches_go_on_beside_each_other(harness: Harness) -> None:
    async def main() -> None:
        parts = Parts()
        met = asyncio.Barrier(2)

        async def meet() -> None:
            await met.wait()

        parts.before |= {"east write": meet, "west read": meet}
        engine = await harness.make({"p": parts.workflow})
        wanted = [[{"did": f"{name} {step}"} for step in ("read", "write")] for name in ("east", "west")]
        assert await engine.start("p", "r1", 1) == wanted
        assert sorted(parts.done) == ["east read", "east write", "west read", "west write"]
        await engine.close()

    go(main)


def test_what_a_branch_has_done_is_not_done_again_in_another_order_after_a_death(harness: Harness) -> None:
    async def main() -> None:
        parts = Parts()

        async def hang() -> None:
            await asyncio.Event().wait()

        parts.before["east read"] = hang
        engine = await harness.make({"p": parts.workflow})
        running = asyncio.ensure_future(engine.start("p", "r1", 1))
        while parts.done != ["west read", "west write"]:  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await engine.close()
        parts.before.clear()
        second = await harness.make({"p": parts.workflow})
        await second.resume("r1")
        assert parts.done == ["west read", "west write", "east read", "east write"]
        await second.close()

    go(main)


def test_a_branch_that_parks_keeps_the_others_records_and_one_that_fails_keeps_its_error(harness: Harness) -> None:
    async def main() -> None:
        parts = Parts()
        parts.before["east write"] = raising(ClusterUnreachable("No answer."))
        parts.before["west write"] = raising(Conflict("Changed."))
        engine = await harness.make({"p": parts.workflow})
        with pytest.raises(ClusterUnreachable):
            await engine.start("p", "r1", 1)
        await engine.close()
        second = await harness.make({"p": parts.workflow})
        east, west = await second.resume("r1")
        assert (east, west) == ([{"did": "east read"}, {"did": "east write"}], "Conflict")
        assert parts.done == ["east read", "west read", "east write"], (
            "the error was the record: it was not tried again"
        )
        await second.close()

    go(main)


def test_several_runs_at_once(harness: Harness) -> None:
    async def main() -> None:
        world = World()
        engine: Engine = await harness.make({"w": world.workflow})
        answers = await asyncio.gather(*(engine.start("w", f"r{n}", n) for n in range(5)))
        assert [answer["payload"] for answer in answers] == list(range(5))
        assert sorted(world.done) == sorted(STEPS * 5)
        await engine.close()

    go(main)


def test_what_others_of_the_loop_do_in_threads_outlives_the_engine(harness: Harness) -> None:
    """A program that looks at one thing while it takes another back: the engine's end is no end of theirs."""

    async def main() -> None:
        world = World()
        engine = await harness.make({"w": world.workflow})
        await engine.start("w", "r1", 1)
        # More than any pool has threads, so that many have yet to begin.
        others = [asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.05)) for _ in range(60)]
        await asyncio.sleep(0)
        await engine.close()
        assert await asyncio.gather(*others, return_exceptions=True) == [None] * 60
        assert await asyncio.to_thread(len, "abc") == 3

    go(main)
