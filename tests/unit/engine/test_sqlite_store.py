# SPDX-License-Identifier: Apache-2.0
"""The SQLite store as files: private, whole, never two writers without their locks; and a bad file is said plainly."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backout.engine.store.naming import describe, new_process_id, new_run_id
from backout.engine.store.opening import default_path, open_store
from backout.engine.store.sqlite import processes
from backout.engine.store.sqlite.file import prepare
from backout.engine.store.sqlite.processes import ProcessLock, alive, sweep
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.engine.store.sqlite.schema import VERSION
from backout.errors import ConfigError, RefusedError, StateError
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.revision import Revision
from backout.model.run import Run, RunEvent
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import Target

T0 = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def plan(hash: str = "sha256:1") -> Operation:
    part = Part(
        id="helm/thanos",
        scope=ClusterScope(cluster="c", namespace="ns", identity=ClusterIdentity("u", "ca")),
        mechanism="helm",
        steps=(),
        target=Target("helm", "thanos", "ns"),
        cause=msg("because of {what}", what="한글"),
        revision=Revision(number=2, digest="d"),
    )
    return Operation(made_at=T0, parts=(part,), hash=hash)


def run(id: str = "r1", seconds: int = 0, **more: object) -> Run:
    return Run(id=id, state="pending", operation=plan(), started=T0 + timedelta(seconds=seconds), actor="alice", **more)  # type: ignore[arg-type]


def event(key: str = "", type: str = "step-progress", id: str = "r1") -> RunEvent:
    return RunEvent(run=id, type=type, at=T0, message=msg("x"), key=key, data={"n": 1})


@pytest.fixture
def store(tmp_path: Path) -> SqliteRunStore:
    return SqliteRunStore(tmp_path / "state.db")


def test_ids_sort_by_time() -> None:
    ids = [new_run_id(T0 + timedelta(seconds=n)) for n in range(3)]
    assert ids == sorted(ids)
    assert len({new_run_id(T0) for _ in range(20)}) > 1


def test_locks_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    living = ProcessLock(state, new_process_id())
    code = (
        "import os, sys; from pathlib import Path; from backout.engine.store.sqlite.processes import ProcessLock\n"
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
    living.leave()
    living.leave()
    assert not alive(state, living.process)


def test_reading_what_is_not_there_makes_no_file(tmp_path: Path) -> None:
    assert SqliteRunStore(tmp_path / "no" / "state.db", create=False).summaries() == []
    assert not (tmp_path / "no").exists()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKOUT_STATE", f"sqlite:///{tmp_path}/x.db")
    assert default_path() == tmp_path / "x.db"
    monkeypatch.setenv("BACKOUT_STATE", str(tmp_path / "y.db"))
    assert default_path() == tmp_path / "y.db"
    monkeypatch.delenv("BACKOUT_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "backout" / "state.db"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".local" / "state" / "backout" / "state.db"


def test_another_kind_of_database_is_refused_and_its_password_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "mysql://me:canary@host/backout"
    monkeypatch.setenv("BACKOUT_STATE", url)
    for given in (url, ""):
        with pytest.raises(ConfigError) as caught:
            open_store(given)
        assert "canary" not in str(caught.value.arguments)


def test_files_are_private_even_when_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    SqliteRunStore(path).close()
    path.chmod(0o644)
    SqliteRunStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("hello, I am a text\n" * 100)
    with pytest.raises(StateError, match="is not a state database"):
        SqliteRunStore(path)
    with pytest.raises(StateError, match="is not a state database"):
        SqliteRunStore(path, create=False)
    assert path.read_text().startswith("hello"), "nothing is overwritten"


def test_a_damaged_page(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteRunStore(path) as store:
        for n in range(200):
            store.create(run(f"r{n}"))
        store._state.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 3 + 3000] = b"\xff" * 3000
    path.write_bytes(bytes(content))
    with pytest.raises(StateError, match="damaged"):
        SqliteRunStore(path)


def test_a_folder_or_a_link_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StateError):
        SqliteRunStore(tmp_path / "folder.db")
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with pytest.raises(StateError):
        SqliteRunStore(tmp_path / "link.db")
    (tmp_path / "file").touch()
    with pytest.raises(StateError):
        SqliteRunStore(tmp_path / "file" / "state.db")


def test_a_full_disk_is_said_and_nothing_is_half_written(store: SqliteRunStore) -> None:
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
    monkeypatch.setattr("backout.engine.store.sqlite.file.BUSY_TIMEOUT", 0.1)
    store = SqliteRunStore(tmp_path / "state.db")
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="locked by another process"):
        store.create(run())
    assert store.summaries() == [], "readers are not held up"
    other.execute("ROLLBACK")
    store.create(run())


def test_a_newer_schema(store: SqliteRunStore, tmp_path: Path) -> None:
    store._state.database.execute(f"PRAGMA user_version={VERSION + 1}")
    store.close()
    with pytest.raises(StateError, match="newer Backout"):
        SqliteRunStore(tmp_path / "state.db")


def test_many_that_open_a_new_file_at_once_all_find_it_set_up(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / f"{number}" / "state.db"
        with ThreadPoolExecutor(6) as pool:
            stores = list(pool.map(lambda _, path=path: SqliteRunStore(path), range(6)))
        stores[0].create(run())
        assert [store.get("r1").id for store in stores] == ["r1"] * 6
        for store in stores:
            store.close()


def test_a_file_of_the_version_before_the_audit_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteRunStore(path) as store:
        store.create(run())
        store.record(event("before"))
    with sqlite3.connect(path) as database:
        for statement in ("DROP TABLE backout_audit", "DROP TABLE backout_chains", "PRAGMA user_version=3"):
            database.execute(statement)
        for column in ("n", "hash"):
            database.execute(f"ALTER TABLE backout_events DROP COLUMN {column}")
    database.close()
    with SqliteRunStore(path) as store:
        store.record(event("after"))
        assert [one.key for one in store.events("r1")] == ["before", "after"]
        assert [link.key for link in store.audit.links("r1")] == ["after"]


V1 = """
CREATE TABLE backout_plans (hash TEXT PRIMARY KEY, plan BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE backout_runs (
    id TEXT PRIMARY KEY, plan TEXT NOT NULL REFERENCES backout_plans(hash), state TEXT NOT NULL, target TEXT NOT NULL,
    cluster TEXT NOT NULL, namespace TEXT NOT NULL, revision INTEGER NOT NULL, cause BLOB NOT NULL,
    started TEXT NOT NULL, ended TEXT, actor TEXT NOT NULL, verdict BLOB, failure BLOB,
    capture TEXT NOT NULL DEFAULT '', capture_digest TEXT NOT NULL DEFAULT '', token INTEGER NOT NULL DEFAULT 0,
    undo_of TEXT NOT NULL DEFAULT '', undone_by TEXT NOT NULL DEFAULT ''
);
INSERT INTO backout_plans VALUES ('sha256:old', '{"kind": "Plan", "cluster": "c"}');
INSERT INTO backout_runs(id, plan, state, target, cluster, namespace, revision, cause, started, actor, capture, token)
VALUES ('old', 'sha256:old', 'recovered', 'helm/thanos', 'a "c"', 'ns', 2, '{"text": "bad"}',
        '2026-11-22T03:00:00+00:00', 'alice', '/captures/old.capture', 7);
PRAGMA user_version=1;
"""
"""The file as the first version wrote it."""


def test_a_file_of_the_first_version_goes_on_and_its_runs_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as database:
        database.executescript(V1)
    database.close()
    for _ in range(2):
        with SqliteRunStore(path) as store:
            (summary,) = store.summaries()
            assert (summary.id, summary.target, summary.cluster, summary.revision) == ("old", "helm/thanos", 'a "c"', 2)
            assert [(aim.cluster, aim.target) for aim in summary.aims] == [('a "c"', "helm/thanos")]
            with pytest.raises(RefusedError, match="another version"):
                store.get("old")
    with SqliteRunStore(path) as store:
        store.create(run("new"))
        assert store.get("new").id == "new"
        told: list[tuple[str, list[str]]] = []
        old = [summary for summary in store.summaries() if summary.id == "old"]
        store.remove(lambda: old, lambda id, paths: told.append((id, list(paths))))
        assert told == [("old", ["/captures/old.capture"])]
        assert [summary.id for summary in store.summaries()] == ["new"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_of_another_user_and_read_only(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteRunStore(path).close()
    os.chown(path, 65534, 65534)
    with pytest.raises(StateError, match="belongs to another user"):
        SqliteRunStore(path)


def test_reading_runs_does_not_load_the_engine() -> None:
    code = (
        "from backout.engine.store.opening import open_store; import sys\n"
        "open_store()\n"
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
    first = SqliteRunStore(path)
    first.create(run())
    prepare(path)
    start = "import sys; from pathlib import Path; from backout.engine.store.sqlite.runs import SqliteRunStore; "
    code = f"{start} SqliteRunStore(Path(sys.argv[1])).close()"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert (tmp_path / "state.db-wal").exists()
    first.record(event("a"))
    seen = f"{start} print(len(SqliteRunStore(Path(sys.argv[1])).events('r1')))"
    done = subprocess.run([sys.executable, "-c", seen, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_what_is_not_settled_is_read_at_once_and_waits_for_no_disk(store: SqliteRunStore, tmp_path: Path) -> None:
    store.create(run())
    said: list[str] = []
    store._state.database.set_trace_callback(said.append)
    store.record(event("told"), settled=False)
    with SqliteRunStore(tmp_path / "state.db", create=False) as reader:
        assert [one.key for one in reader.events("r1")] == ["told"]
    assert commits(said) == ["NORMAL"]
    with pytest.raises(StateError), store._state.writing(settled=False) as database:
        database.execute("INSERT INTO nowhere VALUES (1)")
    store.record(event("begins"))
    assert commits(said) == ["NORMAL", "FULL"]
    assert store._state.database.execute("PRAGMA synchronous").fetchone() == (2,)


def commits(said: list[str]) -> list[str]:
    """How each commit among these statements waited for the disk."""
    found, now = [], "FULL"
    for statement in said:
        if statement.startswith("PRAGMA synchronous="):
            now = statement.partition("=")[2]
        elif statement == "COMMIT":
            found.append(now)
    return found
