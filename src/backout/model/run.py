# SPDX-License-Identifier: Apache-2.0
"""A run and its events. Events are the only feed of every front end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.model.message import Message
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.verdict import Verdict

RunState = Literal["pending", "running", "recovered", "not-recovered", "unknown", "failed", "aborted", "interrupted"]
ENDED: frozenset[RunState] = frozenset({"recovered", "not-recovered", "unknown", "failed", "aborted"})

ToldState = RunState | Literal["taken-back", "not-taken-back"]
OF_UNDO: dict[str, Literal["taken-back", "not-taken-back"]] = {
    "recovered": "taken-back",
    "not-recovered": "not-taken-back",
}
"""What an undo ends as: the state before is in force again (or not), and nobody claims that it is healthy."""


def told_state(state: RunState, *, undo: bool) -> ToldState:
    """What a run is called: an undo never recovers anything."""
    return OF_UNDO.get(state, state) if undo else state


def capture_name(run: str, operation: Operation, part: Part) -> str:
    """What the state of ``part`` before the run is kept under: the run's id, with the number of the part if there are
    several."""
    return run if len(operation.parts) == 1 else f"{run}.{operation.parts.index(part) + 1}"


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened in a run.

    ``type``: ``run-started``, ``lease-acquired``, ``snapshot``, ``snapshot-skipped``, ``captured``, ``step-started``,
    ``step-progress``, ``step-done``, ``step-failed``, ``soak``, ``check``, ``verdict``, ``resumed``, ``run-ended``, ``lease-left``,
    ``lease-returned``;
    over many clusters also ``wave-started``, ``gate``, ``part-started``, ``part-parked``, ``part-ended``, ``abort-asked`` (of one part),
    ``undo-follows``, ``undo-left``, and ``part-undone``, told by the run that took the part back.
    ``part`` is the part of the operation that it belongs to, ``step`` the step of that part.
    ``key`` makes recording idempotent: the same key of the same run is stored once, however often a step is repeated.
    """

    run: str
    type: str
    at: datetime
    message: Message
    key: str = ""
    part: str = ""
    step: str = ""
    data: dict[str, Any] = {}
    seq: int = 0


def locks_left(events: Iterable[RunEvent]) -> set[str]:
    """The parts whose lock could not be let go, and was not since."""
    left: set[str] = set()
    for event in events:
        if event.type == "lease-left":
            left.add(event.part)
        elif event.type == "lease-returned":
            left.discard(event.part)
    return left


def changed_steps(events: Iterable[RunEvent]) -> set[tuple[str, str]]:
    """Part and step of each step that changed something, or may have: cut off, or failed after a write."""
    begun: set[tuple[str, str]] = set()
    changed: set[tuple[str, str]] = set()
    for event in events:
        step = (event.part, event.step)
        if event.type == "step-started":
            begun.add(step)
        elif event.type in ("step-done", "step-failed"):
            if any(event.data.get(word) for word in ("changed", "wrote", "earlierAttempt")):
                changed.add(step)
            begun.discard(step)
    return changed | begun


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is kept with a run: code and sentences, nothing secret."""

    code: str
    exit_code: int
    message: Message
    expected: Message | None = None
    found: Message | None = None
    hint: Message | None = None


class CaptureNote(msgspec.Struct, frozen=True):
    """Where the state of one part before the run is kept, and the digest of that file."""

    path: str
    digest: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one operation. ``captures`` are by the ids of its parts."""

    apiVersion: str = "backout.dev/v1"
    kind: str = "Run"
    id: str
    state: RunState
    operation: Operation
    started: datetime
    ended: datetime | None = None
    actor: str = ""
    verdict: Verdict | None = None
    failure: Failure | None = None
    captures: dict[str, CaptureNote] = {}
    undo_of: str = ""
    undone_by: str = ""
