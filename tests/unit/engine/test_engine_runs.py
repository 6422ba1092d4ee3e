# SPDX-License-Identifier: Apache-2.0
"""The run store: what is kept is read back, once, by anybody, without the engine; and a bad file is said plainly."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backout.engine import processes
from backout.engine.processes import ProcessLock, alive, describe, new_id, sweep
from backout.engine.runs import RunStore, new_run_id
from backout.engine.schema import VERSION
from backout.engine.statefile import default_path, prepare
from backout.engine.wire import decode_error, encode_error, failure_of
from backout.errors import BackoutError, Conflict, LockedError, RunNotFound, StateError, TimedOut, UsageError
from backout.model.message import msg
from backout.model.plan import ClusterIdentity, Plan
from backout.model.revision import Revision
from backout.model.run import Failure, Run, RunEvent
from backout.model.target import Target
from backout.model.verdict import Verdict

T0 = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def plan(hash: str = "sha256:1") -> Plan:
    return Plan(
        cluster="c",
        identity=ClusterIdentity("u", "ca"),
        namespace="ns",
        made_at=T0,
        mechanism="helm",
        steps=(),
        target=Target("helm", "thanos", "ns"),
        cause=msg("because of {what}", what="한글"),
        revision=Revision(number=2, digest="d"),
        hash=hash,
    )


def run(id: str = "r1", seconds: int = 0, **more: object) -> Run:
    return Run(id=id, state="pending", plan=plan(), started=T0 + timedelta(seconds=seconds), actor="alice", **more)  # type: ignore[arg-type]


def event(key: str = "", type: str = "step-progress", id: str = "r1") -> RunEvent:
    return RunEvent(run=id, type=type, at=T0, message=msg("x"), key=key, data={"n": 1})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "state.db")


def test_a_run_is_read_back_as_it_was(store: RunStore, tmp_path: Path) -> None:
    store.create(run())
    store.create(run(seconds=99))
    assert store.get("r1") == run()
    verdict = Verdict(outcome="recovered", checks=(), at=T0, soak=1.5)
    failure = Failure(code="x", exit_code=1, message=msg("y"))
    store.update("r1", state="failed", ended=T0, verdict=verdict, failure=failure, capture=("/p", "sha256:f"))
    other = RunStore(tmp_path / "state.db", create=False).get("r1")
    assert (other.state, other.ended, other.verdict, other.failure, other.capture) == (
        "failed",
        T0,
        verdict,
        failure,
        "/p",
    )
    assert store.capture_digest("r1") == "sha256:f"
    store.update("r1", state="running")
    assert (store.get("r1").failure, store.get("r1").ended, store.get("r1").verdict) == (None, None, verdict)


def test_events_are_kept_once_by_key_in_order_and_listeners_hear_new_ones(store: RunStore) -> None:
    store.create(run())
    heard: list[RunEvent] = []
    stop = store.listen(heard.append)
    first = store.record(event("a"))
    assert store.record(event("a")) == first
    store.record(event())
    store.record(event())
    stop()
    store.record(event("b"))
    assert [e.seq for e in store.events("r1")] == sorted(e.seq for e in store.events("r1"))
    assert len(store.events("r1")) == 4
    assert len(heard) == 3
    assert [e.key for e in store.events("r1", after=first.seq)] == ["", "", "b"]
    assert store.has_event("r1", "b")
    assert not store.has_event("r1", "c")


def test_find_by_beginning_and_latest(store: RunStore) -> None:
    for id, seconds in (("20261122-aa", 1), ("20261122-ab", 2), ("20261121-x", 0)):
        store.create(run(id, seconds))
    assert store.find("latest") == "20261122-ab"
    assert store.find("20261121") == "20261121-x"
    assert store.find("20261122-aa") == "20261122-aa"
    with pytest.raises(UsageError, match="several"):
        store.find("20261122-a")
    for nothing in ("", "zzz", "%", "_"):
        with pytest.raises(RunNotFound):
            store.find(nothing)
    with pytest.raises(RunNotFound):
        store.get("zzz")
    with pytest.raises(RunNotFound):
        store.update("zzz", state="running")


def test_summaries_newest_first(store: RunStore) -> None:
    for n in range(5):
        store.create(run(f"r{n}", n))
    assert [s.id for s in store.summaries(3)] == ["r4", "r3", "r2"]
    assert store.summaries()[0].cause.text == "because of 한글"
    assert store.summaries()[0].target == "helm/thanos"


def test_ids_sort_by_time() -> None:
    ids = [new_run_id(T0 + timedelta(seconds=n)) for n in range(3)]
    assert ids == sorted(ids)
    assert len({new_run_id(T0) for _ in range(20)}) > 1


def test_a_run_whose_process_is_dead_is_seen_as_interrupted(store: RunStore, tmp_path: Path) -> None:
    store.create(run())
    store.update("r1", state="running")
    assert store.get("r1").state == "running", "not begun by any engine yet"
    lock = ProcessLock(tmp_path / "state.db", new_id())
    store.owners.claim("r1", lock.process)
    assert store.get("r1").state == "running"
    lock.release()
    assert store.get("r1").state == "interrupted"
    assert store.summaries()[0].state == "interrupted"
    assert store.owners.orphans() == ["r1"]
    store.update("r1", state="recovered")
    assert store.get("r1").state == "recovered"


def test_a_claim_needs_proof_of_death(store: RunStore, tmp_path: Path) -> None:
    first, second = (ProcessLock(tmp_path / "state.db", new_id()) for _ in range(2))
    store.owners.claim("r1", first.process)
    store.owners.claim("r1", first.process)
    with pytest.raises(LockedError, match=f"process {os.getpid()} "):
        store.owners.claim("r1", second.process)
    first.release()
    store.owners.claim("r1", second.process)
    second.release()


def test_locks_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    living = ProcessLock(state, new_id())
    code = (
        "import os, sys; from pathlib import Path; from backout.engine.processes import ProcessLock\n"
        "print(ProcessLock(Path(sys.argv[1]), 'h-1-b-dead').process, flush=True); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(state)], check=False, capture_output=True)
    assert processes.lock_file(state, "h-1-b-dead").exists()
    assert not alive(state, "h-1-b-dead")
    assert not alive(state, "h-1-b-never")
    sweep(state, set())
    assert [file.name for file in (tmp_path / "processes").iterdir()] == [f"{living.process}.lock"]
    assert alive(state, living.process)
    assert describe("my-host-12-boot-ab") == {"host": "my-host", "pid": "12"}
    living.release()
    living.release()
    assert not alive(state, living.process)


def test_aborts_stay(store: RunStore, tmp_path: Path) -> None:
    assert not store.owners.abort_requested("r1")
    store.owners.request_abort("r1", "bob")
    store.owners.request_abort("r1", "eve")
    assert RunStore(tmp_path / "state.db").owners.abort_requested("r1")


def test_tokens_only_rise(store: RunStore) -> None:
    store.create(run())
    assert [store.raise_token("r1", n) for n in (5, 3, 9)] == [5, 5, 9]
    assert store.token("r1") == 9


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    RunStore(tmp_path / "state.db").create(run())

    def write(name: int) -> None:
        with RunStore(tmp_path / "state.db") as mine:
            for n in range(20):
                mine.record(event(f"{name}-{n}"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(RunStore(tmp_path / "state.db").events("r1")) == 80


def test_reading_what_is_not_there_makes_no_file(tmp_path: Path) -> None:
    assert RunStore(tmp_path / "no" / "state.db", create=False).summaries() == []
    assert not (tmp_path / "no").exists()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKOUT_STATE", f"sqlite:///{tmp_path}/x.db")
    assert default_path() == tmp_path / "x.db"
    monkeypatch.delenv("BACKOUT_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "backout" / "state.db"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".local" / "state" / "backout" / "state.db"


def test_files_are_private_even_when_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    RunStore(path).close()
    path.chmod(0o644)
    RunStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("hello, I am a text\n" * 100)
    with pytest.raises(StateError, match="is not a state database"):
        RunStore(path)
    with pytest.raises(StateError, match="is not a state database"):
        RunStore(path, create=False)
    assert path.read_text().startswith("hello"), "nothing is overwritten"


def test_a_damaged_page(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with RunStore(path) as store:
        for n in range(200):
            store.create(run(f"r{n}"))
        store._state.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 3000] = b"\xff" * 3000
    path.write_bytes(bytes(content))
    with pytest.raises(StateError, match="damaged"):
        RunStore(path)


def test_a_folder_or_a_link_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StateError):
        RunStore(tmp_path / "folder.db")
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(StateError):
        RunStore(tmp_path / "link.db")
    (tmp_path / "file").touch()
    with pytest.raises(StateError):
        RunStore(tmp_path / "file" / "state.db")


def test_a_full_disk_is_said_and_nothing_is_half_written(store: RunStore) -> None:
    store.create(run())
    database = store._state.database
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StateError, match="full"):
        for n in range(1000):
            store.create(run(f"big{n}" + "x" * 3000))
    database.execute("PRAGMA max_page_count=100000")
    store.create(run("after"))
    assert store.get("after").id == "after"


def test_another_writer_that_does_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backout.engine.statefile.BUSY_TIMEOUT", 0.1)
    store = RunStore(tmp_path / "state.db")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="locked by another process"):
        store.create(run())
    assert store.summaries() == [], "readers are not held up"
    other.execute("ROLLBACK")
    store.create(run())


def test_a_newer_schema(store: RunStore, tmp_path: Path) -> None:
    store._state.database.execute(f"PRAGMA user_version={VERSION + 1}")
    store.close()
    with pytest.raises(StateError, match="newer Backout"):
        RunStore(tmp_path / "state.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_of_another_user_and_read_only(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    RunStore(path).close()
    os.chown(path, 65534, 65534)
    with pytest.raises(StateError, match="belongs to another user"):
        RunStore(path)


@pytest.mark.parametrize("error", [Conflict("{a} x", a=1, hint="h {a}"), TimedOut("t"), BackoutError("b {x}", x=None)])
def test_errors_survive_the_wire(error: BackoutError) -> None:
    back = decode_error(encode_error(error))
    assert type(back) is type(error)
    assert (back.message, back.hint, back.arguments) == (error.message, error.hint, error.arguments)
    assert failure_of(back).code == error.code


def test_foreign_and_future_errors() -> None:
    assert "ValueError" in decode_error(encode_error(ValueError("canary"))).message
    assert "canary" not in decode_error(encode_error(ValueError("canary"))).message
    future = decode_error({"class": "FromTheFuture", "template": "x", "arguments": {}})
    assert type(future) is BackoutError


def test_reading_runs_does_not_load_the_engine() -> None:
    code = (
        "import sys; from backout.engine.runs import RunStore\n"
        "RunStore(create=False)\n"
        "print([name for name in ('dbos', 'sqlalchemy', 'lightkube', 'asyncio', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "BACKOUT_STATE": "/nonexistent/x"},
    )
    assert done.stdout.strip() == "[]"


def test_opening_it_again_in_the_same_process_does_not_drop_the_locks_of_the_first(tmp_path: Path) -> None:
    """POSIX locks go when any descriptor of the file is closed, so nothing but SQLite may open it.

    Without its lock, the next process that closes the database believes to be the last, and deletes the log that this
    one still writes to.
    """
    path = tmp_path / "state.db"
    first = RunStore(path)
    first.create(run())
    prepare(path)
    start = "import sys; from pathlib import Path; from backout.engine.runs import RunStore; "
    code = f"{start} RunStore(Path(sys.argv[1])).close()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert (tmp_path / "state.db-wal").exists()
    first.record(event("a"))
    seen = f"{start} print(len(RunStore(Path(sys.argv[1])).events('r1')))"
    done = subprocess.run([sys.executable, "-c", seen, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
