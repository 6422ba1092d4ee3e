# SPDX-License-Identifier: Apache-2.0
"""A copy of the audit as JSON lines, which is proven without the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from backout.app.audit.book import head_of, witness_of
from backout.app.audit.checking import Book, Verified, check
from backout.app.audit.keys import trusted
from backout.app.store import open_store
from backout.engine.store.audit import facts_in
from backout.errors import UsageError
from backout.model.chain import Entry, Link, canonical

if TYPE_CHECKING:
    from backout.app.workspace import Workspace

LARGEST_LINE = 16 * 1024 * 1024
"""Bytes; an event is a thousandth of that."""
LINES = 10_000_000


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="AuditExport"):
    """The first line: of which database, and which runs the records are of (null: all)."""

    apiVersion: str = "backout.dev/v1"
    database: str
    made: datetime
    entries: int
    runs: tuple[str, ...] | None = None


class EntryLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="AuditEntry"):
    """A line of the log."""

    apiVersion: str = "backout.dev/v1"
    n: int
    at: str
    type: str
    run: str
    data: dict[str, Any]
    prev: str
    hash: str


class RecordLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="AuditRecord"):
    """An event of a run."""

    apiVersion: str = "backout.dev/v1"
    run: str
    n: int
    key: str
    event: dict[str, Any]
    hash: str


def export(workspace: Workspace, run: str = "") -> list[bytes]:
    """The lines, without their ends; with ``run`` the whole log and the records of that run alone.

    Raises:
        RunNotFound: no such run.
        StateError: the database can't be read.
    """
    with open_store(workspace) as store:

        def look() -> list[bytes]:
            entries = store.audit.entries()
            meant = (store.find(run),) if run else None
            ids = meant or tuple(dict.fromkeys(entry.run for entry in entries if entry.run))
            made = datetime.now(UTC)
            head = Header(database=store.audit.database, made=made, entries=len(entries), runs=meant)
            lines = [msgspec.json.encode(head), *(msgspec.json.encode(_entry_line(entry)) for entry in entries)]
            for one in ids:
                lines += [msgspec.json.encode(_record_line(link)) for link in store.audit.links(one)]
            return lines

        return store.audit.still(look)


def _entry_line(entry: Entry) -> EntryLine:
    return EntryLine(**msgspec.structs.asdict(entry))


def _record_line(link: Link) -> RecordLine:
    return RecordLine(run=link.run, n=link.n, key=link.key, event=facts_in(link.event), hash=link.hash)


def verify_file(workspace: Workspace, path: Path, keys: Sequence[str] = (), heads: Sequence[str] = ()) -> Verified:
    """Holds a copy to its chains and signatures; the database is not asked.

    Raises:
        UsageError: the file can't be read, or is no such copy.
    """
    head, entries, links = _read(path)
    count_on = trusted(workspace.settings.audit, keys)
    book = Book(entries=entries, links=lambda run: links.get(run, []), runs=head.runs)
    own = witness_of(head.database) if _safe(head.database) else None
    found = check(book, count_on, [head_of(text) for text in heads])
    if own is not None and entries and own.n <= entries[-1].n and not any(e.hash == own.hash for e in entries):
        found = check(book, count_on, [own, *(head_of(text) for text in heads)])
    return found


def _safe(database: str) -> bool:
    return len(database) == 32 and all(letter in "0123456789abcdef" for letter in database)


def _read(path: Path) -> tuple[Header, list[Entry], dict[str, list[Link]]]:
    head: Header | None = None
    entries: list[Entry] = []
    links: dict[str, list[Link]] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            found = msgspec.json.decode(line, type=Header | EntryLine | RecordLine)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _no_copy(path, number) from error
        if isinstance(found, Header) != (number == 1):
            raise _no_copy(path, number)
        if isinstance(found, Header):
            head = found
        elif isinstance(found, EntryLine):
            facts = {name: value for name, value in msgspec.structs.asdict(found).items() if name != "apiVersion"}
            entries.append(Entry(**facts))
        else:
            link = Link(run=found.run, n=found.n, key=found.key, event=canonical(found.event), hash=found.hash)
            links.setdefault(found.run, []).append(link)
    if head is None:
        raise _no_copy(path, 1)
    return head, entries, links


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LARGEST_LINE), b"")):
                if number >= LINES or len(line) >= LARGEST_LINE:
                    raise _no_copy(path, number + 1)
                if line.strip():
                    yield line
    except OSError as error:
        raise UsageError("{file} can't be read: {problem}.", file=str(path), problem=str(error.strerror)) from error


def _no_copy(path: Path, line: int) -> UsageError:
    return UsageError(
        "{file}, line {line}: this is no copy of an audit.",
        file=str(path),
        line=line,
        expected="a file that `backout audit export` wrote",
    )
