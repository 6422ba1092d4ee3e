# SPDX-License-Identifier: Apache-2.0
"""Whether an audit is whole: what was changed, what is missing, what was cut off, and up to where somebody vouches for it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from backout.app.audit.keys import fingerprint, holds
from backout.engine.store.audit import database_of
from backout.model.chain import Entry, Head, Link, entry_hash, link_hash, signed_bytes
from backout.model.message import Message, msg
from backout.model.run import ENDED

SHOWN = 200
"""So many findings are told one by one; what was cut to pieces is told as well by those."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is not as it was written. ``code``: changed, missing, inserted, moved, cut-off, rewritten, signature,
    other-database, run-missing, run-changed, run-unknown, older-copy. ``n``: of which entry of the log, or record of the run."""

    code: str
    message: Message
    run: str = ""
    n: int = -1


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of runs says of one; ``sealed``: its plan is the one that its hash names."""

    actor: str
    plan: str
    state: str
    sealed: bool = True


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that somebody has seen: the log once reached to there. ``where`` it is noted."""

    n: int
    hash: str
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What is looked at. ``runs``: the ids that records are there of, all where None; ``heads`` and ``stored`` are None in a copy."""

    entries: Sequence[Entry]
    links: Callable[[str], Sequence[Link]]
    heads: Mapping[str, Head] | None = None
    stored: Mapping[str, Stored] | None = None
    runs: Collection[str] | None = None


@dataclass(slots=True, kw_only=True)
class Verified:
    """What was found. ``vouched``: the last entry under a trusted signature, -1 where there is none; ``signers``: fingerprints of
    all keys that signed, and whether they are trusted; ``open``: runs that ended after that; ``former``: events from before there
    was an audit."""

    database: str = ""
    entries: int = 0
    runs: int = 0
    records: int = 0
    removed: int = 0
    former: int = 0
    vouched: int = -1
    vouched_at: str = ""
    signers: dict[str, bool] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Nothing is changed, missing or cut off, as far as that can be told."""
        return not self.findings

    @property
    def proven(self) -> bool:
        """And a trusted signature vouches for every run that ended. Where nothing is, nothing is proven: it may have been removed."""
        return self.intact and not self.open and self.entries > 0

    def find(self, code: str, message: Message, run: str = "", n: int = -1) -> None:
        """Notes something; many are as telling as all."""
        if len(self.findings) < SHOWN:
            self.findings.append(Finding(code=code, message=message, run=run, n=n))


def check(book: Book, trusted: Collection[str], witnesses: Sequence[Witness] = ()) -> Verified:
    """Looks at the log, then at each run's chain."""
    found = Verified(entries=len(book.entries))
    found.database = database_of(book.entries[0] if book.entries else None)
    _log(book.entries, trusted, found)
    for witness in witnesses:
        _seen(book.entries, witness, found)
    created: dict[str, Entry] = {}
    ended: dict[str, Entry] = {}
    removed: set[str] = set()
    anchors: dict[str, list[tuple[int, str, int]]] = {}
    for entry in book.entries:
        if entry.type == "run-created":
            created.setdefault(entry.run, entry)
        elif entry.type in ("run-ended", "run-removed"):
            anchors.setdefault(entry.run, []).append((entry.data.get("n", 0), entry.data.get("head", ""), entry.n))
            if entry.type == "run-removed":
                removed.add(entry.run)
            else:
                ended[entry.run] = entry
        elif entry.type == "checkpoint":
            for run, n, head in _anchored(entry):
                anchors.setdefault(run, []).append((n, head, entry.n))
    found.removed = len(removed)
    meant = [run for run in ended if book.runs is None or run in book.runs]
    found.open = [run for run in meant if ended[run].n > found.vouched]
    for run, entry in created.items():
        if run not in removed and (book.runs is None or run in book.runs):
            _run(book, run, entry, ended.get(run), anchors.get(run, ()), found)
    _unknown(book, set(created), removed, found)
    return found


def _log(entries: Sequence[Entry], trusted: Collection[str], found: Verified) -> None:
    before: Entry | None = None
    for entry in entries:
        expected = before.n + 1 if before else 0
        if entry.n > expected:
            found.find(
                "missing", msg("Of the log, entries {a} to {b} are missing.", a=expected, b=entry.n - 1), n=expected
            )
        elif entry.n < expected:
            found.find("inserted", msg("Entry {n} of the log stands where it can't be.", n=entry.n), n=entry.n)
        elif entry.prev != (before.hash if before else ""):
            found.find("moved", msg("Entry {n} of the log does not follow the one before it.", n=entry.n), n=entry.n)
        if entry_hash(entry) != entry.hash:
            found.find("changed", msg("Entry {n} of the log was changed.", n=entry.n), entry.run, entry.n)
        elif entry.n == 0 and entry.type != "opened":
            found.find("moved", msg("The log does not begin with its first entry."), n=0)
        elif entry.type == "checkpoint":
            _signature(entry, trusted, found)
        before = entry


def _signature(entry: Entry, trusted: Collection[str], found: Verified) -> None:
    key, signature = str(entry.data.get("key", "")), str(entry.data.get("signature", ""))
    if not holds(key, signature, signed_bytes(entry)):
        found.find("signature", msg("The signature of checkpoint {n} is not one over it.", n=entry.n), n=entry.n)
        return
    if entry.data.get("database") != found.database:
        found.find("other-database", msg("Checkpoint {n} is of another database.", n=entry.n), n=entry.n)
        return
    name = fingerprint(key)
    found.signers[name] = key in trusted
    if key in trusted:
        found.vouched, found.vouched_at = entry.n, entry.at


def _seen(entries: Sequence[Entry], witness: Witness, found: Verified) -> None:
    last = entries[-1].n if entries else -1
    if last < witness.n:
        found.find(
            "older-copy",
            msg(
                "The log ends with entry {last}, and once reached to {n} ({where}): its end was cut off, or an older copy of the "
                "database was put back.",
                last=last,
                n=witness.n,
                where=witness.where,
            ),
            n=witness.n,
        )
    elif not any(entry.n == witness.n and entry.hash == witness.hash for entry in entries):
        found.find(
            "rewritten",
            msg(
                "Entry {n} of the log is not the one that was seen before ({where}).", n=witness.n, where=witness.where
            ),
            n=witness.n,
        )


def _anchored(entry: Entry) -> list[tuple[str, int, str]]:
    try:
        return msgspec.convert(entry.data.get("runs", []), list[tuple[str, int, str]])
    except msgspec.ValidationError:
        return []  # its hash, or its signature, is not right then


def _run(
    book: Book, run: str, made: Entry, ended: Entry | None, anchors: Sequence[tuple[int, str, int]], found: Verified
) -> None:
    links = book.links(run)
    found.runs += 1
    found.records += len(links)
    found.former += _number(made.data.get("former"))
    if book.stored is not None and _stored(book.stored.get(run), run, made, ended, found):
        return
    hashes = _chain(run, made.hash, links, found)
    for n, head, vouches in anchors:
        if n and n not in hashes:
            if n > len(links):
                found.find(
                    "cut-off",
                    msg(
                        "Of run {run}, the last records are missing: there were {n} (entry {m} of the log).",
                        run=run,
                        n=n,
                        m=vouches,
                    ),
                    run,
                    n,
                )
        elif n and hashes[n] != head:
            found.find(
                "rewritten",
                msg(
                    "Record {n} of run {run} is not the one that entry {m} of the log vouches for.",
                    n=n,
                    run=run,
                    m=vouches,
                ),
                run,
                n,
            )
    if book.heads is not None:
        _noted(book.heads.get(run), run, links, found)


def _chain(run: str, genesis: str, links: Sequence[Link], found: Verified) -> dict[int, str]:
    """Number → hash of the records, as they are."""
    before, expected, hashes = genesis, 1, {}
    for link in links:
        if link.n > expected:
            found.find(
                "missing",
                msg("Of run {run}, records {a} to {b} are missing.", run=run, a=expected, b=link.n - 1),
                run,
                expected,
            )
        elif link.n < expected:
            found.find("inserted", msg("Run {run} has record {n} more than once.", run=run, n=link.n), run, link.n)
        elif link_hash(before, run, link.n, link.key, link.event) != link.hash:
            code, said = "changed", msg("Record {n} of run {run} was changed.", n=link.n, run=run)
            if _of_another(link, run):
                code, said = "moved", msg("Record {n} of run {run} is of another run.", n=link.n, run=run)
            found.find(code, said, run, link.n)
        before, expected = link.hash, link.n + 1
        hashes[link.n] = link.hash
    return hashes


def _of_another(link: Link, run: str) -> bool:
    try:
        return bool(msgspec.json.decode(link.event, type=dict[str, Any]).get("run") != run)
    except msgspec.DecodeError:
        return False


def _noted(head: Head | None, run: str, links: Sequence[Link], found: Verified) -> None:
    n, last = (links[-1].n, links[-1].hash) if links else (0, "")
    if head is None or head.n > n:
        known = head.n if head is not None else 0
        found.find(
            "cut-off", msg("Of run {run}, the last records are missing: there were {n}.", run=run, n=known), run, known
        )
    elif head.n < n or (n and head.head != last):
        found.find(
            "inserted",
            msg("Run {run} has records that nobody counted, from {n} on.", run=run, n=head.n + 1),
            run,
            head.n + 1,
        )


def _stored(kept: Stored | None, run: str, made: Entry, ended: Entry | None, found: Verified) -> bool:
    """Whether the run itself is gone."""
    if kept is None:
        found.find("run-missing", msg("Run {run} is missing: nothing says that it was removed.", run=run), run)
        return True
    wrong = [
        name
        for name, is_so in (
            ("actor", kept.actor == made.data.get("actor", "")),
            ("plan", kept.plan == made.data.get("plan", "") and kept.sealed),
            ("state", ended is None or (kept.state == ended.data.get("state") if kept.state in ENDED else False)),
        )
        if not is_so
    ]
    if wrong:
        found.find(
            "run-changed",
            msg("Of run {run}, this is not what the log says: {what}.", run=run, what=", ".join(wrong)),
            run,
        )
    return False


def _unknown(book: Book, created: Collection[str], removed: Collection[str], found: Verified) -> None:
    """Runs with a chain that the log does not know; those without one are from before there was an audit."""
    for run in book.heads or ():
        if run not in created:
            found.find("run-unknown", msg("The log knows nothing of run {run}.", run=run), run)
    for run in book.stored or ():
        if run in removed:
            found.find("run-unknown", msg("Run {run} is there, and the log says that it was removed.", run=run), run)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
