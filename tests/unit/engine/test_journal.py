# SPDX-License-Identifier: Apache-2.0
"""The journal by itself: what a step came to is recorded once, and a later life reads it instead of doing it again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backout.engine.journal import JournalBranch
from backout.engine.stepping import Stop
from backout.errors import ClusterUnreachable, Conflict, Interrupted


class Answers:
    """As a store keeps them."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def answer(self, run: str, step: str) -> str | None:
        return self.kept.get((run, step))

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        return self.kept.setdefault((run, step), answer)


def lives(answers: Answers, *bodies: Any) -> list[Any]:
    """One life for each body, which all carry out the same step: its answer, or its error."""

    async def life(body: Any) -> Any:
        try:
            return await JournalBranch("r1", "part", answers, Stop()).step("write", body)
        except Exception as error:
            return error

    return [asyncio.run(life(body)) for body in bodies]


async def answers_one() -> Any:
    return {"changed": True}


async def never() -> Any:
    pytest.fail("it was done again")


async def refused() -> Any:
    raise Conflict("{ref} was changed.", ref="deployment/web")


async def away() -> Any:
    raise ClusterUnreachable("No answer.")


def test_what_is_recorded_is_not_done_again() -> None:
    assert lives(Answers(), answers_one, never) == [{"changed": True}] * 2


def test_what_a_step_failed_with_is_its_outcome_in_every_later_life() -> None:
    first, second = lives(Answers(), refused, never)
    assert (type(first), str(first)) == (type(second), str(second)) == (Conflict, "deployment/web was changed.")


def test_what_was_only_not_reached_is_asked_again() -> None:
    answers = Answers()
    first, second = lives(answers, away, answers_one)
    assert isinstance(first, ClusterUnreachable) and second == {"changed": True}


def test_of_two_answers_the_one_that_is_kept_counts() -> None:
    answers = Answers()

    async def overtaken() -> Any:
        answers.keep_answer("r1", "part: write", '{"result":"the other\'s"}')
        return "mine"

    assert lives(answers, overtaken) == ["the other's"]


def test_nothing_begins_once_it_was_stopped() -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Interrupted):
        asyncio.run(JournalBranch("r1", "part", Answers(), stop).step("write", never))
