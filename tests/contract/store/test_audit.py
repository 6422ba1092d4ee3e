# SPDX-License-Identifier: Apache-2.0
"""The audit of every store: what was written is proven whole, whoever writes at once, and each way of changing it later shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from backout.app.audit import book, copies, keys
from backout.app.audit.checking import Verified
from backout.app.workspace import Workspace
from backout.engine.store.opening import open_store
from backout.engine.store.port import RunStore
from backout.model.run import Run
from backout.model.settings import AuditSettings, Settings
from backout.planning.document import seal

from .harness import PLACES
from .test_store_contract import T0, event, plan

Sql = Callable[..., list[Any]]


class Kept:
    """A database with three runs and a checkpoint, who signs it, and a hand that changes it behind everybody's back."""

    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home
        self.workspace = Workspace(Settings(state=url))
        self.store: RunStore = open_store(url, create=True)

    def run(self, id: str, events: int = 4, state: str = "recovered") -> None:
        operation = seal(plan())
        self.store.create(Run(id=id, state="pending", operation=operation, started=T0, actor="alice@desk"))
        for number in range(events):
            self.store.record(event(f"{id}-{number}", id=id))
        if state:
            self.store.update(id, state=state, ended=T0)  # type: ignore[arg-type]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """One statement, ``{t}`` before the names of tables and ``?`` for values."""
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=60)) as raw, raw:
                return raw.execute(statement.format(t="backout_"), values).fetchall()
        with psycopg.connect(self.url) as connection:
            done = connection.execute(statement.format(t="backout.").replace("?", "%s"), values)  # type: ignore[arg-type]
            return done.fetchall() if done.description else []

    def look(self, **more: Any) -> Verified:
        return book.verify(self.workspace, **more)

    def forget_here(self) -> None:
        """What this machine has seen is gone: the database has to speak for itself."""
        book.witness_file(self.store.audit.database).unlink()


@pytest.fixture(params=sorted(PLACES))
def kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    with ExitStack() as opened:
        made = Kept(PLACES[request.param](tmp_path), tmp_path)
        opened.callback(made.store.close)
        for id in ("r1", "r2"):
            made.run(id)
        made.run("r3", state="")
        book.checkpoint(made.workspace)
        yield made


def codes(found: Verified) -> set[str]:
    return {one.code for one in found.findings}


def test_what_was_only_written_is_proven(kept: Kept) -> None:
    found = kept.look()
    assert (found.findings, found.proven, found.runs, found.records, found.removed) == ([], True, 3, 12, 0)
    assert found.vouched == found.entries - 1 and list(found.signers.values()) == [True]
    kept.store.record(event("later", id="r3"))
    kept.store.update("r3", state="failed", ended=T0)
    found = kept.look()
    assert (found.intact, found.proven, found.open) == (True, False, ["r3"]), "nobody has signed its end yet"
    assert book.checkpoint(kept.workspace).new and kept.look().proven
    assert not book.checkpoint(kept.workspace).new, "nothing new is not signed again"
    kept.store.record(event("after its end", id="r1"))
    assert book.checkpoint(kept.workspace).new, "what comes after the end of a run is"
    assert kept.look(run="r1").records == 5


def test_the_same_event_twice_is_one_record(kept: Kept) -> None:
    before = kept.store.audit.links("r3")
    kept.store.record(event("r3-1", id="r3"))
    assert kept.store.audit.links("r3") == before and kept.look().intact


def test_many_writers_at_once_make_one_chain_of_each_run(kept: Kept) -> None:
    stores = [open_store(kept.url, create=True) for _ in range(4)]

    def write(number: int) -> None:
        store = stores[number]
        store.create(Run(id=f"w{number}", state="pending", operation=seal(plan()), started=T0, actor="bob"))
        for count in range(12):
            store.record(event(f"{count}" if count % 3 == 0 else f"{number}-{count}", id="r3"))
            store.record(event(f"{count}", id=f"w{number}"))
            if count == 6:
                book.sign_end(kept.workspace, store)
        store.update(f"w{number}", state="recovered", ended=T0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    for store in stores:
        store.close()
    found = kept.look()
    assert (found.findings, found.runs, found.records) == ([], 7, 12 + 4 * 12 + 4 + 4 * 8), (
        "what all wrote alike is once"
    )
    assert book.witness_file(found.database).exists() and found.vouched > 0


def test_a_removed_run_leaves_a_log_that_is_whole_and_says_who_removed_it(kept: Kept) -> None:
    kept.store.remove(
        lambda: [one for one in kept.store.summaries() if one.id == "r1"], lambda id, paths: None, "carol@desk"
    )
    found = kept.look()
    assert (found.findings, found.removed, found.runs) == ([], 1, 2)
    (gone,) = (one for one in kept.store.audit.entries() if one.type == "run-removed")
    assert (gone.run, gone.data["actor"], gone.data["n"], gone.data["state"]) == ("r1", "carol@desk", 4, "recovered")


RECORD = "UPDATE {t}events SET event=? WHERE run='r1' AND n=2"
OTHER = b'{"run":"r1","type":"step-done","at":"2026-11-22T03:00:00Z","message":{"text":"x"}}'


def exchange(kept: Kept) -> None:
    for before, after in ((2, 99), (3, 2), (99, 3)):
        kept.sql("UPDATE {t}events SET n=? WHERE run='r1' AND n=?", after, before)


def exchange_contents(kept: Kept) -> None:
    rows = kept.sql("SELECT n, event FROM {t}events WHERE run='r1' AND n IN (2, 3) ORDER BY n")
    for (n, _), (_, content) in zip(rows, reversed(rows), strict=True):
        kept.sql("UPDATE {t}events SET event=? WHERE run='r1' AND n=?", content, n)


def rewritten(kept: Kept) -> None:
    """A record is changed, and every hash after it in its run made anew."""
    from backout.model.chain import link_hash

    kept.sql(RECORD, OTHER)
    (made,) = (one for one in kept.store.audit.entries() if one.type == "run-created" and one.run == "r1")
    head = made.hash
    for link in kept.store.audit.links("r1"):
        head = link_hash(head, "r1", link.n, link.key, link.event)
        kept.sql("UPDATE {t}events SET hash=? WHERE run='r1' AND n=?", head, link.n)
    kept.sql("UPDATE {t}chains SET head=? WHERE run='r1'", head)


def cut(kept: Kept) -> None:
    kept.sql("DELETE FROM {t}events WHERE run='r1' AND n>2")


def cut_and_recounted(kept: Kept) -> None:
    (hash,) = (link.hash for link in kept.store.audit.links("r3") if link.n == 2)
    kept.sql("DELETE FROM {t}events WHERE run='r3' AND n>2")
    kept.sql("UPDATE {t}chains SET n=2, head=? WHERE run='r3'", hash)


def run_removed(kept: Kept) -> None:
    for table, column in (("events", "run"), ("chains", "run"), ("runs", "id")):
        kept.sql(f"DELETE FROM {{t}}{table} WHERE {column}='r2'")


def log_cut(kept: Kept) -> None:
    kept.sql("DELETE FROM {t}audit WHERE n>2")


ATTACKS: dict[str, tuple[Callable[[Kept], Any], set[str]]] = {
    "a record changed": (lambda kept: kept.sql(RECORD, OTHER), {"changed"}),
    "a record that is no JSON any more": (lambda kept: kept.sql(RECORD, b"\xff{"), {"changed"}),
    "a record deleted": (lambda kept: kept.sql("DELETE FROM {t}events WHERE run='r1' AND n=2"), {"missing"}),
    "a record inserted": (
        lambda kept: kept.sql(
            "INSERT INTO {t}events(run, key, event, n, hash) VALUES ('r1', 'evil', ?, 5, 'ab')", OTHER
        ),
        {"changed", "inserted"},
    ),
    "a record twice": (
        lambda kept: kept.sql(
            "INSERT INTO {t}events(run, key, event, n, hash) SELECT run, 'evil', event, n, hash FROM {t}events WHERE run='r1' AND n=2"
        ),
        {"inserted"},
    ),
    "records reordered": (exchange, {"changed"}),
    "two records exchanged": (exchange_contents, {"changed"}),
    "a record of another run": (
        lambda kept: kept.sql("UPDATE {t}events SET run='r1', n=5, key='evil' WHERE run='r2' AND n=4"),
        {"moved", "cut-off", "inserted"},
    ),
    "the last records cut off": (cut, {"cut-off"}),
    "the last records of an open run cut off, and its head made anew": (cut_and_recounted, {"cut-off"}),
    "a run rewritten with all of its hashes": (rewritten, {"rewritten"}),
    "a run removed": (run_removed, {"run-missing"}),
    "another actor": (lambda kept: kept.sql("UPDATE {t}runs SET actor='mallory' WHERE id='r1'"), {"run-changed"}),
    "another end": (lambda kept: kept.sql("UPDATE {t}runs SET state='failed' WHERE id='r1'"), {"run-changed"}),
    "an entry of the log changed": (
        lambda kept: kept.sql("UPDATE {t}audit SET data=? WHERE n=1", b'{"actor":"mallory"}'),
        {"changed", "run-changed"},
    ),
    "an entry of the log deleted": (lambda kept: kept.sql("DELETE FROM {t}audit WHERE n=2"), {"missing"}),
    "the log cut off": (log_cut, {"older-copy", "run-unknown"}),
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_an_attack_shows(kept: Kept, attack: str) -> None:
    change, expected = ATTACKS[attack]
    assert kept.look().proven
    change(kept)
    found = kept.look()
    assert codes(found) == expected, [one.message.text for one in found.findings]
    assert {one.run for one in found.findings} <= {"r1", "r2", "r3", ""}


def test_a_plan_that_does_not_match_its_hash_shows(kept: Kept) -> None:
    forged = msgspec.structs.replace(seal(plan()), undo_of="something else")
    kept.sql("UPDATE {t}plans SET plan=?", msgspec.json.encode(forged))
    assert codes(kept.look()) == {"run-changed"}


def test_a_signature_by_another_key_vouches_for_nothing(kept: Kept) -> None:
    kept.forget_here()
    own = keys.key_file(AuditSettings())
    first = keys.signer(AuditSettings(), make=False).public
    own.rename(own.with_suffix(".old"))
    kept.run("r4")
    other = book.checkpoint(kept.workspace)
    assert other.public != first
    found = kept.look(keys=[first])
    assert (found.intact, found.proven, found.open) == (True, False, ["r4"])
    assert sorted(found.signers.values()) == [False, True]
    configured = Workspace(Settings(state=kept.url, audit=AuditSettings(signers=(first,))))
    assert book.verify(configured).proven, "who is named under audit.signers counts beside the own key"


def test_a_log_made_anew_and_signed_by_somebody_else_is_told_by_whoever_saw_it(kept: Kept) -> None:
    """All hashes are right, and the signature is: of a key that nobody here trusts, over a log that is not the one seen before."""
    seen = [entry for entry in kept.store.audit.entries() if entry.type == "checkpoint"][-1]
    first = keys.signer(AuditSettings(), make=False).public
    with open_store(f"sqlite:///{kept.home / 'forged.db'}", create=True) as forged:
        forged.create(Run(id="r1", state="pending", operation=seal(plan()), started=T0, actor="mallory"))
        forged.update("r1", state="recovered", ended=T0)
        copy = Workspace(Settings(state=forged.url))
        keys.key_file(AuditSettings()).rename(kept.home / "own.key")
        book.checkpoint(copy)
        assert book.verify(copy, keys=[first]).proven is False
        assert codes(book.verify(copy, keys=[first], heads=[f"{seen.n}:{seen.hash}"])) == {"older-copy"}


def test_a_checkpoint_of_another_database_is_none(kept: Kept) -> None:
    foreign = open_store(f"sqlite:///{kept.home / 'other.db'}", create=True)
    foreign.create(Run(id="x", state="pending", operation=seal(plan()), started=T0))
    other = book.checkpoint(Workspace(Settings(state=foreign.url))).entry
    foreign.close()
    data = msgspec.json.encode(other.data)
    last = kept.store.audit.entries()[-1]
    kept.sql("UPDATE {t}audit SET data=?, hash=? WHERE n=?", data, other.hash, last.n)
    assert codes(kept.look()) == {"changed", "rewritten"}
    moved = msgspec.structs.replace(last, data=other.data, hash="")
    from backout.model.chain import entry_hash

    kept.sql("UPDATE {t}audit SET hash=? WHERE n=?", entry_hash(moved), last.n)
    kept.forget_here()
    assert codes(kept.look()) == {"signature"}, "it is over another place of another log"


def test_an_older_copy_of_the_database_shows_here_and_to_whoever_kept_a_checkpoint(kept: Kept) -> None:
    tables = ("audit", "events", "chains", "runs")
    before = {table: kept.sql(f"SELECT * FROM {{t}}{table}") for table in tables}
    kept.run("r4")
    later = book.checkpoint(kept.workspace).entry
    for table in tables:
        kept.sql(f"DELETE FROM {{t}}{table}")
    for table in reversed(tables):
        for row in before[table]:
            marks = ", ".join("?" * len(row))
            always = "" if kept.url.startswith("sqlite") else " OVERRIDING SYSTEM VALUE"
            kept.sql(f"INSERT INTO {{t}}{table}{always} VALUES ({marks})", *row)
    assert codes(kept.look()) == {"older-copy"}
    kept.forget_here()
    assert kept.look().proven, "the copy is whole in itself: nobody but who saw more can tell"
    assert codes(kept.look(heads=[f"{later.n}:{later.hash}"])) == {"older-copy"}
    told: list[Any] = []
    kept.workspace.front.tell = told.append  # type: ignore[method-assign]
    book._note(kept.workspace, kept.store, later)
    kept.run("r5")
    book.sign_end(kept.workspace, kept.store)
    assert [type(one).__name__ for one in told] == ["AuditDiffers"], "what was seen is not written over"
    assert codes(kept.look()) == {"rewritten"}


def test_a_copy_is_proven_without_the_database_and_each_line_counts(kept: Kept) -> None:
    path = kept.home / "audit.jsonl"
    lines = copies.export(kept.workspace)
    path.write_bytes(b"\n".join(lines) + b"\n")
    found = copies.verify_file(kept.workspace, path)
    assert (found.findings, found.proven, found.runs, found.records) == ([], True, 3, 12)
    for number in range(1, len(lines)):
        path.write_bytes(b"\n".join([*lines[:number], *lines[number + 1 :]]))
        left = copies.verify_file(kept.workspace, path)
        assert not left.proven, lines[number]
        changed = lines[number].replace(b'"n":', b'"n":1', 1)
        path.write_bytes(b"\n".join([*lines[:number], changed, *lines[number + 1 :]]))
        assert not copies.verify_file(kept.workspace, path).intact, changed
    only = copies.export(kept.workspace, "r1")
    path.write_bytes(b"\n".join(only))
    found = copies.verify_file(kept.workspace, path)
    assert (found.proven, found.runs, found.records) == (True, 1, 4)


def test_a_database_from_before_there_was_an_audit_goes_on(kept: Kept) -> None:
    kept.sql("UPDATE {t}events SET n=0, hash='' WHERE run='r3'")
    for statement in ("DELETE FROM {t}audit", "DELETE FROM {t}chains"):
        kept.sql(statement)
    kept.store.record(event("after", id="r3"))
    found = kept.look()
    assert (found.findings, found.former, found.records, found.runs) == ([], 4, 1, 1)
