# SPDX-License-Identifier: Apache-2.0
"""The audit of a store as everything above sees it, and what its adapters put into it alike.

What an event of a run says is written once, as that event; the audit adds a number and a hash to the same row, in the same
transaction. `RunStore.create`, `update`, `record` and `remove` keep the log along with what they do.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from backout.model.chain import Entry, EntryType, Head, Link, next_entry
from backout.model.run import Run

T = TypeVar("T")
Sign = Callable[[Entry], Entry]
"""Signs a checkpoint: returns it with a key and a signature among its data, and not yet with its hash."""


class AuditLog(Protocol):
    """What the audit of a store holds.

    Raises:
        StateError: by every method: the store can't be used.
    """

    @property
    def role(self) -> str:
        """Who this process is to the database: the role of a PostgreSQL; empty for a file."""

    def clock(self) -> datetime:
        """The time that all who use the database agree on: its own."""

    @property
    def database(self) -> str:
        """The name that the database was given with its first entry; empty before."""

    def entries(self) -> list[Entry]:
        """The whole log, in its order."""

    def hash_of(self, n: int) -> str:
        """The hash of one entry of the log; empty where it is not there."""

    def links(self, run: str) -> list[Link]:
        """The events of a run that are in its chain, in their order."""

    def heads(self) -> list[Head]:
        """How far each chain goes, as it is noted beside it."""

    def still(self, work: Callable[[], T]) -> T:
        """Does ``work``, which reads from the store alone, while nothing changes for it."""

    def checkpoint(self, at: datetime, sign: Sign) -> Entry | None:
        """Appends a checkpoint of everything up to here; None where nothing is new since the last one."""


def opening(at: str) -> Entry:
    """The first entry of a log: the database gets a name of its own."""
    return next_entry(None, "opened", at, data={"database": secrets.token_hex(16)})


def database_of(first: Entry | None) -> str:
    """The name that the first entry gives the database."""
    return str(first.data.get("database", "")) if first is not None and first.type == "opened" else ""


def created(run: Run, *, former: int = 0, role: str = "") -> dict[str, Any]:
    """What the log says of a run that was made; ``former``: events of it that are in no chain."""
    facts = {"actor": run.actor, "plan": run.operation.hash, "undoOf": run.undo_of, "former": former, "role": role}
    return {name: value for name, value in facts.items() if value}


def stands(state: str, head: Head | None, **more: Any) -> dict[str, Any]:
    """What the log says of a run at its end."""
    at = {"n": head.n, "head": head.head} if head is not None else {"n": 0, "head": ""}
    return {"state": state, **at, **{name: value for name, value in more.items() if value}}


def checkpoint_after(last: Entry | None, loose: Sequence[Head], at: str, sign: Sign) -> Entry | None:
    """The signed entry after ``last``; ``loose``: chains that go further than the log vouches for."""
    if last is None or (last.type == "checkpoint" and not loose):
        return None
    return sealed(
        sign(next_entry(last, "checkpoint", at, data={"runs": [[one.run, one.n, one.head] for one in loose]}))
    )


def sealed(entry: Entry) -> Entry:
    """With the hash of what is in it now."""
    from backout.model.chain import entry_hash

    return msgspec.structs.replace(entry, hash=entry_hash(entry))


def row_of(entry: Entry) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    return entry.n, entry.at, entry.type, entry.run, msgspec.json.encode(entry.data), entry.prev, entry.hash


COLUMNS = "n, at, type, run, data, prev, hash"


def entry_of(row: Sequence[Any]) -> Entry:
    """An entry from `COLUMNS`, whatever they hold: what nobody wrote so is found when its hash is looked at."""
    n, at, type, run, data, prev, hash = row
    kind: EntryType = type
    return Entry(n=n, at=str(at), type=kind, run=str(run), data=facts_in(data), prev=str(prev), hash=str(hash))


def link_of(run: str, row: Sequence[Any]) -> Link:
    """A link from number, key, event and hash, whatever they hold."""
    n, key, event, hash = row
    content = bytes(event) if isinstance(event, bytes | memoryview) else str(event).encode()
    return Link(run=run, n=n, key=str(key), event=content, hash=str(hash))


def facts_in(content: Any) -> dict[str, Any]:
    """JSON as it is kept; of what is none, that it is none."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return {"unreadable": True}
