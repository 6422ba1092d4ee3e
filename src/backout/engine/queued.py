# SPDX-License-Identifier: Apache-2.0
"""The hands of workers: pieces of a run go to the queue that they share, and what they came to comes back through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from backout.engine.pieces import Piece
from backout.engine.stepping import Stop
from backout.engine.wire import decode_error, encode_error
from backout.errors import BackoutError, Interrupted, LeaseLost, StateError
from backout.model.redaction import redact_plain

if TYPE_CHECKING:
    from backout.engine.port import Json
    from backout.engine.store.port import Queue

LOOK = 0.3
"""Seconds between two looks at what has become of a piece that others carry out."""
SLOW = 15.0
"""Seconds after which it is told that nobody has begun a piece yet."""
RESULT, FAILURE = "result", "failure"
KEPT_BACK = (Interrupted, LeaseLost, StateError)
"""A worker that stopped with one of these leaves the piece to another one; nothing is said to the run."""


def answer_of(result: Json) -> str:
    """A piece's answer as it is handed to the run."""
    return json.dumps(redact_plain({RESULT: result}), ensure_ascii=False)


def failure_of_piece(error: BackoutError) -> str:
    """Why a piece stopped, as it is handed to the run."""
    return json.dumps(redact_plain({FAILURE: encode_error(error)}), ensure_ascii=False)


class Queued:
    """Has the pieces of the runs of one process carried out by whoever takes them from ``queue``."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def recall(self, run: str) -> set[str]:
        """Takes back what nobody has begun; answers with what somebody has."""
        return set(self._queue.recall(run))

    async def carry_out(
        self, run: str, piece: Piece, stop: Stop, wanted: Callable[[], bool], waits: Callable[[], None]
    ) -> Json | None:
        """See `backout.engine.port.WorkflowContext.piece`."""
        self._queue.offer(run, piece)
        waited = 0.0
        while (handed := self._queue.result(run, piece.name)) is None:
            stop.check()
            if not wanted() and self._queue.withdraw(run, piece.name):
                return None
            await asyncio.sleep(LOOK)
            waited += LOOK
            if waited - LOOK < SLOW <= waited and not self._queue.begun(run, piece.name):
                waits()
        found = json.loads(handed)
        if FAILURE in found:
            raise decode_error(found[FAILURE])
        return found[RESULT]
