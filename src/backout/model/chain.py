# SPDX-License-Identifier: Apache-2.0
"""The audit's records and how each is bound to the one before it. Pure.

Two chains of SHA-256. Each run has its own, over its events: several workers write about different runs without waiting for each
other. The *log* is one for the whole database: that a run was made, how its chain stood when it ended or was removed, and the
signed checkpoints. The chain of a run begins with the hash of the entry that tells of it, so that it belongs to one place of one
database.

A hash tells that something was changed, to whom has another, later hash. Whoever can write to the database can make all of them
anew: only a signature, or a copy of a checkpoint elsewhere, tells that.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

EntryType = Literal["opened", "run-created", "run-ended", "run-removed", "checkpoint"]
NOTHING = ""
"""What stands before the first entry."""
PURPOSE = b"backout audit checkpoint v1\n"
"""Before what is signed, so that the signature can be taken for nothing else."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log; ``n`` counts from 0, ``prev`` is the hash of the line before it.

    ``data``: of ``opened`` the id of the database; of ``run-created`` who, the plan's hash, and in ``former`` how many events of
    it were kept before there was an audit; of ``run-ended`` and ``run-removed`` the state, and number and hash of the last
    event then; of ``checkpoint`` the same of each run that has events after those, with key and signature.
    """

    n: int
    at: str
    type: EntryType
    run: str = ""
    data: dict[str, Any] = {}
    prev: str
    hash: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One event in the chain of its run; ``n`` counts from 1, ``event`` is the JSON that is kept of it."""

    run: str
    n: int
    key: str
    event: bytes
    hash: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain of a run goes; ``anchored``: up to which event the log vouches for it."""

    run: str
    n: int
    head: str
    anchored: int = 0


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no blanks: what is hashed and signed."""
    return msgspec.json.encode(value, order="sorted")


def link_hash(prev: str, run: str, n: int, key: str, event: bytes) -> str:
    """The hash of an event of a run after ``prev``."""
    return _sha256(
        b'{"event":%b,"key":%b,"n":%d,"prev":"%b","run":%b}' % (event, canonical(key), n, prev.encode(), canonical(run))
    )


def entry_hash(entry: Entry) -> str:
    """The hash that an entry has to have."""
    return _sha256(canonical({**msgspec.structs.asdict(entry), "hash": ""}))


def next_entry(
    last: Entry | None, type: EntryType, at: str, run: str = "", data: dict[str, Any] | None = None
) -> Entry:
    """The entry after ``last``."""
    entry = Entry(
        n=last.n + 1 if last else 0,
        at=at,
        type=type,
        run=run,
        data=data or {},
        prev=last.hash if last else NOTHING,
        hash="",
    )
    return msgspec.structs.replace(entry, hash=entry_hash(entry))


def signed_bytes(entry: Entry) -> bytes:
    """What the signature of a checkpoint is over: all of it but the signature, with its place and what stands before it."""
    data = {name: value for name, value in entry.data.items() if name != "signature"}
    return PURPOSE + canonical({"at": entry.at, "data": data, "n": entry.n, "prev": entry.prev})


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
