# SPDX-License-Identifier: Apache-2.0
"""The audit of the state database: its checkpoints, whether it is whole, and copies of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backout.app.audit.checking import Book, Stored, Verified, Witness, check
from backout.app.audit.keys import Signer, fingerprint, signer, trusted
from backout.app.events import AuditDiffers, AuditUnsigned
from backout.app.store import open_store
from backout.errors import BackoutError, NotFoundError, RefusedError, UsageError
from backout.model.chain import Entry, signed_bytes

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.engine.store.port import RunStore


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last checkpoint, which may have been made just now (``new``). ``public``: the key that signed it."""

    entry: Entry
    database: str
    public: str
    new: bool


def checkpoint(workspace: Workspace) -> Checkpoint:
    """Signs everything up to here with the user's key; what is signed already is not signed again.

    Raises:
        NotFoundError: nothing is there to sign.
        KeyMissing, ConfigError, RefusedError: the key can't be used.
        StateError: the database can't be.
    """
    own = signer(workspace.settings.audit, make=True)
    with open_store(workspace, create=True) as store:
        entry = _signed(store, own)
        if entry is not None:
            _note(workspace, store, entry)
            return Checkpoint(entry, store.audit.database, own.public, new=True)
        last = next((one for one in reversed(store.audit.entries()) if one.type == "checkpoint"), None)
        if last is None:
            raise NotFoundError("There is nothing to sign: no run was made yet.", hint="`backout runs` lists runs")
        return Checkpoint(last, store.audit.database, str(last.data.get("key", "")), new=False)


def sign_end(workspace: Workspace, store: RunStore) -> None:
    """A checkpoint at the end of a run. That it can't be signed is told, and changes nothing of the run."""
    try:
        entry = _signed(store, signer(workspace.settings.audit, make=True))
        if entry is not None:
            _note(workspace, store, entry)
    except BackoutError as error:
        workspace.tell(AuditUnsigned(error))


def _signed(store: RunStore, own: Signer) -> Entry | None:
    database = store.audit.database

    def sign(entry: Entry) -> Entry:
        named = msgspec.structs.replace(entry, data={**entry.data, "database": database, "key": own.public})
        return msgspec.structs.replace(named, data={**named.data, "signature": own.sign(signed_bytes(named))})

    return store.audit.checkpoint(datetime.now(UTC), sign)


# what this machine has seen


def witness_file(database: str) -> Path:
    """Where this machine notes how far it has seen the log of a database."""
    from backout.snapshots.place import data_folder

    return data_folder() / "audit" / f"{database}.json"


def witness_of(database: str) -> Witness | None:
    path = witness_file(database)
    with suppress(OSError, msgspec.MsgspecError):
        found = msgspec.json.decode(path.read_bytes()[:65536], type=Witness)
        return msgspec.structs.replace(found, where=str(path))
    return None


def _note(workspace: Workspace, store: RunStore, entry: Entry) -> None:
    """Notes a checkpoint; unless the log is not the one that was seen here before: then that stays, and is told."""
    from backout.snapshots.place import private_folder, written

    database = store.audit.database
    before = witness_of(database)
    if before is not None and store.audit.hash_of(before.n) != before.hash:
        workspace.tell(AuditDiffers(before.where))
        return
    if before is not None and before.n > entry.n:
        return  # another process signed after this one, and was faster
    path = witness_file(database)
    private_folder(path.parent)
    written(path, msgspec.json.encode({"n": entry.n, "hash": entry.hash}))


# whether it is whole


def verify(workspace: Workspace, run: str = "", keys: Sequence[str] = (), heads: Sequence[str] = ()) -> Verified:
    """Holds the database to its chains and signatures; with ``run`` the log and that run alone. ``heads``: hashes of checkpoints
    that were kept elsewhere, as ``NUMBER:HASH``.

    Raises:
        RunNotFound: no such run.
        UsageError: a key or a head is none.
        StateError: the database can't be read.
    """
    count_on = trusted(workspace.settings.audit, keys)
    seen = [head_of(text) for text in heads]
    with open_store(workspace) as store:

        def look() -> Verified:
            own = witness_of(store.audit.database)
            return check(_book(store, run), count_on, [*([own] if own is not None else []), *seen])

        return store.audit.still(look)


def _book(store: RunStore, run: str) -> Book:
    heads = {head.run: head for head in store.audit.heads()}
    entries = store.audit.entries()
    if not run:
        ids = [one.id for one in store.summaries(-1)]
        return Book(entries=entries, links=store.audit.links, heads=heads, stored=dict(_stored(store, ids)))
    # One that was removed, or is missing, is known by the log alone.
    known = run if any(entry.run == run for entry in entries) else store.find(run)
    there = [one.id for one in store.summaries(-1) if one.id == known]
    kept = {one: head for one, head in heads.items() if one == known}
    return Book(entries=entries, links=store.audit.links, heads=kept, stored=dict(_stored(store, there)), runs=(known,))


def _stored(store: RunStore, ids: Iterable[str]) -> Iterator[tuple[str, Stored]]:
    from backout.planning.document import digest

    for run in ids:
        try:
            found = store.get(run)
        except RefusedError:
            continue  # an earlier version kept it, and no chain is about it
        sealed = digest(found.operation) == found.operation.hash
        yield run, Stored(actor=found.actor, plan=found.operation.hash, state=found.state, sealed=sealed)


def head_of(text: str) -> Witness:
    number, _, hash = text.partition(":")
    if not number.isdigit() or len(hash) != 64:
        raise UsageError(
            "{text} is no checkpoint.", text=text[:100], expected="NUMBER:HASH, as `backout audit checkpoint` says it"
        )
    return Witness(n=int(number), hash=hash.lower(), where="--head")


def own_key(workspace: Workspace) -> tuple[str, str, str]:
    """The user's public key, its fingerprint, and the file of its secret half; it is made where there is none.

    Raises:
        KeyMissing, ConfigError, RefusedError: it can't be used.
    """
    own = signer(workspace.settings.audit, make=True)
    return own.public, fingerprint(own.public), str(own.path)
