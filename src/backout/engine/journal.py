# SPDX-License-Identifier: Apache-2.0
"""Steps that go on beside each other: what each came to is recorded by its name, in one write, wherever ``Answers`` keeps it.

A replay by name needs no order, so that any number of parts of one workflow can be under way at once; and a step costs
one insert, not a record of the engine's own.
"""

from __future__ import annotations

import json
from typing import Protocol

from backout.engine.port import Json, StepBody
from backout.engine.stepping import Parked, Stop, attempt
from backout.engine.wire import decode_error, encode_error
from backout.errors import BackoutError
from backout.model.redaction import redact_plain

_RESULT, _ERROR = "result", "error"


class Answers(Protocol):
    """Where they are kept; a run store is one."""

    def answer(self, run: str, step: str) -> str | None:
        """What a step came to; None where that is not recorded."""

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        """Keeps it once: of two, the first stays. Returns the one that is kept."""


class JournalBranch:
    """`backout.engine.port.Branch` over any ``answers``."""

    def __init__(self, run: str, name: str, answers: Answers, stop: Stop) -> None:
        self.run = run
        self._name = name
        self._answers = answers
        self._stop = stop

    async def step(
        self, name: str, body: StepBody, *, attempts: int = 1, interruptible: bool = False, recorded: bool = False
    ) -> Json:
        """Runs it once, and records what it came to."""
        key = self._key(name)
        kept = self._answers.answer(self.run, key)
        if kept is not None:
            return _replay(kept)
        self._stop.check()
        try:
            result = await attempt(body, self._stop, attempts=attempts, interruptible=interruptible)
        except Parked as parked:
            raise parked.error from parked.error.__cause__
        except BackoutError as error:
            self._answers.keep_answer(self.run, key, _written({_ERROR: encode_error(error)}))
            raise
        if recorded:
            return result
        return _replay(self._answers.keep_answer(self.run, key, _written({_RESULT: result})))

    def known(self, name: str) -> Json | None:
        """What it answered."""
        kept = self._answers.answer(self.run, self._key(name))
        return json.loads(kept).get(_RESULT) if kept is not None else None

    def _key(self, name: str) -> str:
        return f"{self._name}: {name}"


def _written(answer: Json) -> str:
    return json.dumps(redact_plain(answer), ensure_ascii=False, separators=(",", ":"))


def _replay(kept: str) -> Json:
    recorded = json.loads(kept)
    if _ERROR in recorded:
        raise decode_error(recorded[_ERROR])
    return recorded[_RESULT]
