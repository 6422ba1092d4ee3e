# SPDX-License-Identifier: Apache-2.0
"""Pieces of a run: each is an execution of its own, whoever carries it out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.engine.pieces import Piece
from backout.engine.port import Json, WorkflowContext
from backout.errors import ClusterUnreachable, Interrupted, NotVerifiedError

from .harness import HARNESSES, Harness
from .test_engine_contract import go

NAMES = ("a", "b", "c")


@pytest.fixture(params=sorted(HARNESSES))
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    made: Harness = HARNESSES[request.param](tmp_path)
    yield made
    made.close()


class Pieces:
    """A run of three pieces, each of which has one effect."""

    def __init__(self, *, light: bool = False) -> None:
        self.light = light
        self.done: list[str] = []
        self.faults: dict[str, list[BaseException]] = {}
        self.claims: set[str] = set()
        self.recalled: list[set[str]] = []

    @property
    def workflows(self) -> dict[str, object]:
        return {"whole": self.whole, "one": self.one}

    async def whole(self, context: WorkflowContext, payload: Json) -> Json:
        self.recalled.append(context.recall())

        async def one(name: str) -> Json:
            piece = Piece(name=f"piece {name}", workflow="one", cluster=name, payload={"name": name}, light=self.light)
            return await context.piece(piece, lambda: True, lambda: None)

        answers = await asyncio.gather(*map(one, NAMES), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def one(self, context: WorkflowContext, payload: Json) -> Json:
        self.claims.add(context.execution)
        name = payload["name"]

        async def body() -> Json:
            if left := self.faults.get(name):
                raise left.pop(0)
            self.done.append(name)
            return name.upper()

        return {"run": context.run, "said": await context.branch(name).step("effect", body)}


ANSWERS = [{"run": "r1", "said": name.upper()} for name in NAMES]


@pytest.mark.parametrize("light", [False, True])
def test_each_piece_is_carried_out_once_for_its_run(harness: Harness, light: bool) -> None:
    async def main() -> None:
        world = Pieces(light=light)
        engine = await harness.make(world.workflows)  # type: ignore[arg-type]
        assert await engine.start("whole", "r1", {}) == ANSWERS
        assert await engine.start("whole", "r1", {}) == ANSWERS
        assert sorted(world.done) == list(NAMES)
        assert world.claims == {f"r1 piece {name}" for name in NAMES}
        assert world.recalled == [set()] and await engine.orphans() == []
        await engine.close()

    go(main)


@pytest.mark.parametrize("light", [False, True])
def test_a_piece_that_can_not_go_on_is_tried_again_with_its_run_and_the_others_are_not(
    harness: Harness, light: bool
) -> None:
    async def main() -> None:
        world = Pieces(light=light)
        world.faults["b"] = [ClusterUnreachable("b does not answer."), Interrupted("Stopped.")]
        first = await harness.make(world.workflows)  # type: ignore[arg-type]
        with pytest.raises(ClusterUnreachable):
            await first.start("whole", "r1", {})
        with pytest.raises(Interrupted):
            await first.resume("r1")
        await first.close()
        second = await harness.make(world.workflows)  # type: ignore[arg-type]
        assert await second.orphans() == ["r1"], "a piece is no run"
        assert await second.resume("r1") == ANSWERS
        assert sorted(world.done) == list(NAMES)
        await second.close()

    go(main)


def test_an_error_that_ends_a_piece_is_its_outcome(harness: Harness) -> None:
    async def main() -> None:
        world = Pieces()
        world.faults["b"] = [NotVerifiedError("b is not healthy.")]
        engine = await harness.make(world.workflows)  # type: ignore[arg-type]
        for _ in range(2):
            with pytest.raises(NotVerifiedError, match="not healthy"):
                await engine.start("whole", "r1", {})
        assert sorted(world.done) == ["a", "c"]
        await engine.close()

    go(main)
