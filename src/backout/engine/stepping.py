# SPDX-License-Identifier: Apache-2.0
"""How one step is tried, stopped and parked: the same for every engine."""

from __future__ import annotations

import asyncio
import random

from backout.engine.port import PARKING, Json, StepBody
from backout.engine.wire import of_house
from backout.errors import BackoutError, Interrupted

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0


class Parked(BaseException):
    """Carries an error past every record: nothing is written, so the step runs again on resume.

    Not an Exception, because the engines record Exceptions as results.
    """

    def __init__(self, error: BackoutError) -> None:
        super().__init__(error.message)
        self.error = error


class Stop:
    """Set once when the user stops the runs of this process."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Stops; call it on the loop's thread."""
        self._event.set()

    def check(self) -> None:
        """
        Raises:
            Interrupted: the user stopped it.
        """
        if self._event.is_set():
            raise Interrupted("Stopped before the next step.")

    async def cancel_on(self, body: StepBody) -> Json:
        """Runs ``body``, but cancels it as soon as the user stops.

        Raises:
            Interrupted: so it happened.
        """
        work = asyncio.ensure_future(body())
        stopped = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            raise Interrupted("Stopped while nothing was being changed.")
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)


async def attempt(body: StepBody, stop: Stop, *, attempts: int, interruptible: bool) -> Json:
    """Runs a step's body, with its repetitions.

    Raises:
        Parked: an error of `PARKING`, or one that nobody foresaw.
        BackoutError: any other.
    """
    number = 1
    while True:
        try:
            return await (stop.cancel_on(body) if interruptible else body())
        except Exception as error:
            failure = of_house(error)
            again = number < attempts and failure.retryable and not isinstance(failure, Interrupted)
            if not again:
                if isinstance(failure, PARKING):
                    raise Parked(failure) from error
                raise
        try:
            await stop.cancel_on(_pause(number))
        except Interrupted as error:
            raise Parked(error) from error
        number += 1


def _pause(number: int) -> StepBody:
    async def wait() -> None:
        await asyncio.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (number - 1)) * random.uniform(0.8, 1.2))

    return wait
