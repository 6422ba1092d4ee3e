# SPDX-License-Identifier: Apache-2.0
"""Durable execution as the workflows see it. Adapters: `dbos_engine` (the real one) and `inline` (in memory).

A workflow is an async function ``(context, payload) -> result`` that only orders steps. It is run again from its start
after a crash: steps that finished return their recorded result, the one that was under way runs again. So workflows
read no clock, no environment, no file and no network outside a step, and steps are idempotent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from backout.engine.pieces import Piece
from backout.errors import (
    AccessDenied,
    BackoutError,
    ClusterUnreachable,
    FrozenError,
    Interrupted,
    LockedError,
    LockLeft,
    PartsLeft,
    ServerError,
    StateError,
    TimedOut,
    TokenExpired,
    UnexpectedError,
)

PARKING: tuple[type[BackoutError], ...] = (
    Interrupted,
    LockedError,
    ClusterUnreachable,
    ServerError,
    TokenExpired,
    AccessDenied,
    FrozenError,
    StateError,
    TimedOut,
    PartsLeft,
    LockLeft,
    UnexpectedError,
)
"""Errors that say nothing final about the step: they are not recorded, so that `resume` runs the step again, and looks again.

One that is no BackoutError was foreseen by nobody: it comes as UnexpectedError, and parks the run too.
"""

Json = Any
"""What JSON can hold; never a secret, since step results are kept in clear."""

StepBody = Callable[[], Awaitable[Json]]


class WorkflowContext(Protocol):
    """What a workflow may do."""

    run: str
    execution: str
    """The name under which this process claimed what the workflow carries out: the run's, or that of a piece of it."""

    async def step(self, name: str, body: StepBody, *, attempts: int = 1, interruptible: bool = False) -> Json:
        """Runs ``body`` once and records its result under ``name``; on replay the record is returned.

        ``attempts`` > 1 repeats errors that say they are ``retryable``, with back-off. Errors of the house keep their
        class. An ``interruptible`` body has no effects, and is cancelled at once when the user stops the run; others
        are let finish.

        Raises:
            BackoutError: what the body raised, now or when it was recorded (see `PARKING`).
            Interrupted: the user stopped the run, and this step was not begun.
        """

    async def aborted(self) -> bool:
        """True when somebody asked to stop at the next step. The answer is recorded, as that of a step is."""

    async def piece(self, piece: Piece, wanted: Callable[[], bool], waits: Callable[[], None]) -> Json | None:
        """Has a piece of the run carried out, by this process or by another one that shares the work, and answers with what it
        came to; the same piece twice is one execution. Where ``wanted`` says no before anybody began it, it is taken back: None.
        ``waits`` is called once when nobody has begun it for a while.

        Raises:
            Interrupted: the user stopped the run here; the piece is left as it is, and another process may be at it.
            BackoutError: what stopped it, or ended it.
        """

    def recall(self) -> set[str]:
        """At the beginning of a later life: takes back the pieces that nobody began, and answers with the names of those that
        somebody did: only they may still be under way elsewhere, and only they come to their end whatever is wanted now."""

    def branch(self, name: str) -> Branch:
        """Steps that go on beside others of this workflow, in whatever order: each is recorded by its name.

        A workflow either orders its steps itself or has all of them in branches; its branches have different names.
        """


class Branch(Protocol):
    """A row of steps beside others. One is begun when the one before it is over; its names are its own."""

    run: str

    async def step(
        self, name: str, body: StepBody, *, attempts: int = 1, interruptible: bool = False, recorded: bool = False
    ) -> Json:
        """As `WorkflowContext.step`. ``recorded``: the body keeps its result itself, in one write with what it tells of it, and who
        calls looks there first; only an error that ends it is recorded here."""

    def known(self, name: str) -> Json | None:
        """What the step ``name`` answered, in this life or before; None where there is no record, or one of an error."""


Workflow = Callable[[WorkflowContext, Json], Awaitable[Json]]


class Engine(Protocol):
    """Runs registered workflows by name."""

    async def start(self, workflow: str, run: str, payload: Json) -> Json:
        """Runs to the end and returns the result; the same ``run`` twice is one execution.

        A workflow that ends with one of the `PARKING` errors is not over: `resume` goes on with it.

        Raises:
            BackoutError: the error that ended the workflow.
            LockedError: another process executes it.
        """

    async def resume(self, run: str) -> Json:
        """Goes on with a run whose process died, where it stopped.

        Raises:
            RunNotFound: unknown run.
            LockedError: its process is still alive.
        """

    async def abort(self, run: str) -> None:
        """Asks a run, of whatever process, to stop for good at its next step."""

    def interrupt(self) -> None:
        """Stops what this process runs at the next step boundary, so that it can be resumed (Ctrl-C)."""

    async def orphans(self) -> list[str]:
        """Runs that are unfinished and whose process is dead."""

    async def close(self) -> None:
        """Stops taking work."""
