# SPDX-License-Identifier: Apache-2.0
"""A run and its events. Events are the only feed of every front end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from backout.model.message import Message
from backout.model.plan import Plan
from backout.model.verdict import Verdict

RunState = Literal["pending", "running", "recovered", "not-recovered", "unknown", "failed", "aborted", "interrupted"]
ENDED: frozenset[RunState] = frozenset({"recovered", "not-recovered", "unknown", "failed", "aborted"})


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened in a run.

    ``type``: ``run-started``, ``lease-acquired``, ``snapshot``, ``snapshot-skipped``, ``captured``, ``step-started``,
    ``step-progress``, ``step-done``, ``step-failed``, ``soak``, ``check``, ``verdict``, ``resumed``, ``run-ended``.
    ``key`` makes recording idempotent: the same key of the same run is stored once, however often a step is repeated.
    """

    run: str
    type: str
    at: datetime
    message: Message
    key: str = ""
    step: str = ""
    data: dict[str, Any] = {}
    seq: int = 0


def changed_steps(events: Iterable[RunEvent]) -> set[str]:
    """Ids of the steps that changed something, or may have: cut off, or failed after a write."""
    begun: set[str] = set()
    changed: set[str] = set()
    for event in events:
        if event.type == "step-started":
            begun.add(event.step)
        elif event.type in ("step-done", "step-failed"):
            if any(event.data.get(word) for word in ("changed", "wrote", "earlier_attempt")):
                changed.add(event.step)
            begun.discard(event.step)
    return changed | begun


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it is kept with a run: code and sentences, nothing secret."""

    code: str
    exit_code: int
    message: Message
    expected: Message | None = None
    found: Message | None = None
    hint: Message | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of one plan."""

    apiVersion: str = "backout.dev/v1"
    kind: str = "Run"
    id: str
    state: RunState
    plan: Plan
    started: datetime
    ended: datetime | None = None
    actor: str = ""
    verdict: Verdict | None = None
    failure: Failure | None = None
    capture: str = ""
    undo_of: str = ""
    undone_by: str = ""
