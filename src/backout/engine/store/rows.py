# SPDX-License-Identifier: Apache-2.0
"""Runs as rows of a database, whichever: which values a new run has, and what is read back is what was written, or damage."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast, get_args

import msgspec

from backout.engine.store.port import Aim, Owners, RunSummary, aims_of, of_an_earlier_version, state_as_seen, together
from backout.errors import StateError
from backout.model.decoding import UNREADABLE
from backout.model.message import Message
from backout.model.operation import API_VERSION, KIND, Operation
from backout.model.redacted import without_secrets
from backout.model.run import CaptureNote, Failure, Run, RunEvent, RunState
from backout.model.verdict import Verdict

T = TypeVar("T")
STATES = frozenset(get_args(RunState))
NEW = "id, plan, state, target, cluster, namespace, revision, cause, started, actor, undo_of, aims"
"""The columns of a new run, in the order of `values_of`."""
WHOLE = "r.id, r.state, p.plan, r.started, r.ended, r.actor, r.verdict, r.failure, r.undo_of, r.undone_by"
"""The columns that `Rows.run` reads, of runs (r) and plans (p)."""
SUMMARY = "id, state, target, cluster, namespace, revision, cause, started, ended, actor, undo_of, undone_by, aims"
"""The columns that `Rows.summary` reads."""


def moment_text(at: datetime) -> str:
    """A moment as it is kept."""
    return at.astimezone(UTC).isoformat()


def values_of(run: Run) -> tuple[Any, ...]:
    """The values of `NEW` for a run that is kept for the first time."""
    aims, parts = aims_of(run.operation), run.operation.parts
    return (
        run.id,
        run.operation.hash,
        run.state,
        together(aim.target for aim in aims),
        together(aim.cluster for aim in aims),
        together(aim.namespace for aim in aims),
        parts[0].revision.number if len(parts) == 1 else 0,
        msgspec.json.encode(parts[0].cause),
        moment_text(run.started),
        run.actor,
        run.undo_of,
        msgspec.json.encode(aims),
    )


def values_changed(
    state: RunState | None,
    ended: datetime | None,
    verdict: Verdict | None,
    failure: Failure | None,
    undone_by: str | None,
) -> dict[str, Any]:
    """Columns and values of an update; what is kept of errors and verdicts is without secrets."""
    values: dict[str, Any] = {}
    if state is not None:
        values["state"] = state
        values["ended"] = moment_text(ended) if ended else None
        values["failure"] = msgspec.json.encode(without_secrets(failure)) if failure else None
    if verdict is not None:
        values["verdict"] = msgspec.json.encode(without_secrets(verdict))
    if undone_by is not None:
        values["undone_by"] = undone_by
    return values


def key_of(event: RunEvent) -> str:
    """The key that an event is kept under: its own; one without is always new. Those of a part begin with its id."""
    return event.key or (f"{event.part}:" if event.part else "") + secrets.token_hex(8)


def keys_of(part: str) -> tuple[str, str]:
    """The keys of a part's events are not less than the first, and less than the second, byte by byte."""
    return f"{part}:", f"{part};"


class Rows:
    """Reads rows; ``damaged`` makes the error for content that nobody wrote so."""

    def __init__(self, owners: Owners, damaged: Callable[[], StateError]) -> None:
        self._owners = owners
        self._damaged = damaged

    def read(self, content: Any, kind: type[T]) -> T:
        """What a column holds.

        Raises:
            StateError: nobody wrote it so: a disk did.
        """
        try:
            return msgspec.json.decode(content, type=kind)
        except (*UNREADABLE, TypeError):
            raise self._damaged() from None

    def event(self, seq: int, content: Any) -> RunEvent:
        """An event with its number."""
        return msgspec.structs.replace(self.read(content, RunEvent), seq=seq)

    def events(self, rows: Iterable[tuple[int, Any]], part: str = "") -> list[RunEvent]:
        """Events with their numbers; those of one part alone, where it is named."""
        found = (self.event(seq, content) for seq, content in rows)
        return [event for event in found if not part or event.part == part]

    def run(self, row: Sequence[Any], captures: Sequence[tuple[str, str, str]]) -> Run:
        """A run from the columns of `WHOLE` and its captures (part, path, digest).

        Raises:
            RefusedError: an earlier version kept it, with a plan that this one can't read.
        """
        identity, state, plan, started, ended, actor, verdict, failure, undo_of, undone_by = row
        operation = self._operation(identity, plan)
        return Run(
            id=identity,
            state=self._state(identity, state),
            operation=operation,
            started=self._moment(started),
            ended=self._moment(ended) if ended else None,
            actor=actor,
            verdict=self.read(verdict, Verdict) if verdict else None,
            failure=self.read(failure, Failure) if failure else None,
            captures={part: CaptureNote(path, digest) for part, path, digest in captures},
            undo_of=undo_of,
            undone_by=undone_by,
        )

    def summary(self, row: Sequence[Any]) -> RunSummary:
        """A line of the list from the columns of `SUMMARY`."""
        return RunSummary(
            id=row[0],
            state=self._state(row[0], row[1]),
            target=row[2],
            cluster=row[3],
            namespace=row[4],
            revision=row[5],
            cause=self.read(row[6], Message),
            started=self._moment(row[7]),
            ended=self._moment(row[8]) if row[8] else None,
            actor=row[9],
            undo_of=row[10],
            undone_by=row[11],
            aims=self.read(row[12], tuple[Aim, ...]),
        )

    def _operation(self, run: str, plan: Any) -> Operation:
        try:
            return msgspec.json.decode(plan, type=Operation)
        except (*UNREADABLE, TypeError):
            head = self.read(plan, dict[str, Any])
            if (head.get("apiVersion"), head.get("kind")) == (API_VERSION, KIND):
                raise self._damaged() from None
            raise of_an_earlier_version(run) from None

    def _moment(self, text: Any) -> datetime:
        try:
            return datetime.fromisoformat(text)
        except (ValueError, TypeError):
            raise self._damaged() from None

    def _state(self, run: str, state: str) -> RunState:
        if state not in STATES:
            raise self._damaged()
        return state_as_seen(self._owners, run, cast(RunState, state))
