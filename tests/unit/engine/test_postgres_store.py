# SPDX-License-Identifier: Apache-2.0
"""What is PostgreSQL's alone: addresses, versions of its tables, rights, limits, and what is said when it is not there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg
import pytest
from tests.contract.store.test_store_contract import plan, run
from tests.postgres import PASSWORD, Server, server

from backout.engine.store.opening import on_this_machine, open_store
from backout.engine.store.port import RunStore
from backout.engine.store.postgres import connection, schema
from backout.engine.store.postgres.address import parse
from backout.engine.store.postgres.connection import lost
from backout.errors import BackoutError, ConfigError, StateError


@pytest.fixture
def url() -> str:
    return server().url(server().database())


def admin(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def said(error: BackoutError) -> str:
    return f"{error.message} {error.expected} {error.found} {error.hint} {error.arguments}"


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("BACKOUT_STATE", url)
    with open_store(create=True) as store:
        assert store.shared and not on_this_machine()
    assert on_this_machine("sqlite:////tmp/x.db")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("postgresql://me:canary@db.example:6432/backout", "PostgreSQL backout on db.example:6432"),
        ("postgres://db.example/backout?sslmode=verify-full&sslrootcert=/ca.pem", "PostgreSQL backout on db.example"),
        ("postgresql:///backout?host=/run/postgresql", "PostgreSQL backout on /run/postgresql"),
        ("postgresql://me@a:1,b:2/backout", "PostgreSQL backout on a,b:1,2"),
        ("postgresql://me@[::1]:5/", "PostgreSQL me on ::1:5"),
    ],
)
def test_addresses_are_those_of_libpq_and_are_told_without_their_password(address: str, place: str) -> None:
    found = parse(address)
    assert found.place == place
    assert "canary" not in repr(found)
    given = {"sslmode": "verify-full", "sslrootcert": "/ca.pem"} if "ssl" in address else {}
    assert given.items() <= found.parameters.items()
    assert found.parameters["target_session_attrs"] == ("read-write" if "," in address else "any")


@pytest.mark.parametrize(
    "address", ["postgresql://me:canary@host/x?sslmood=canary", "postgresql://me:can%zzary@host/x"]
)
def test_what_is_no_address_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(address)
    assert "canary" not in said(caught.value) and "can%zz" not in said(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(StateError, match=r"on 127.0.0.1:1 can't be reached: .*refused") as caught:
        open_store(f"postgresql://me:{PASSWORD}@127.0.0.1:1/backout", create=True)
    assert PASSWORD not in said(caught.value)


def test_what_another_try_would_not_mend_is_said_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[StateError] = []
    for address in (url.replace(PASSWORD, "wrong"), server().url("nowhere")):
        with pytest.raises(StateError):
            open_store(address, waits=told.append)
    assert told == []
    monkeypatch.setattr(connection, "OPENS_WITHIN", 0.3)
    with pytest.raises(StateError, match="can't be reached"):
        open_store(f"postgresql://me:{PASSWORD}@127.0.0.1:1/backout", waits=told.append)
    assert len(told) == 1


def test_a_wrong_password_a_missing_database_and_a_missing_right_are_told_apart(url: str) -> None:
    with pytest.raises(StateError, match="password authentication failed") as caught:
        open_store(url.replace(PASSWORD, "wrong-canary"), create=True)
    assert "wrong-canary" not in said(caught.value)
    with pytest.raises(StateError, match=r'PostgreSQL nowhere on .* "nowhere" does not exist'):
        open_store(server().url("nowhere"))
    admin(url, f"CREATE ROLE {url.rpartition('/')[2]} LOGIN PASSWORD 'least'")
    least = url.replace("//backout:" + PASSWORD, f"//{url.rpartition('/')[2]}:least")
    with pytest.raises(StateError, match="may not do that"):
        open_store(least, create=True)
    with open_store(least) as reader:
        assert reader.summaries() == [], "reading makes nothing, and needs no right to make it"


def test_who_may_use_the_schema_need_not_be_one_who_may_make_one(url: str) -> None:
    role = url.rpartition("/")[2]
    admin(url, f"CREATE ROLE {role} LOGIN PASSWORD 'least'; CREATE SCHEMA backout AUTHORIZATION {role}")
    with open_store(url.replace("//backout:" + PASSWORD, f"//{role}:least"), create=True) as store:
        store.create(run())
        assert store.get("r1") == run()


def test_the_engine_needs_no_more_rights_than_its_two_schemas(url: str) -> None:
    role = url.rpartition("/")[2]
    admin(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD 'least'; CREATE SCHEMA backout AUTHORIZATION {role};"
        f"CREATE SCHEMA dbos AUTHORIZATION {role}",
    )
    code = (
        "import asyncio, sys\n"
        "from backout.engine.dbos_engine import DbosEngine\n"
        "from backout.engine.store.opening import open_store\n"
        "async def workflow(context, payload):\n"
        "    async def body(): return payload\n"
        "    return await context.step('only', body)\n"
        "async def main():\n"
        "    engine = DbosEngine(open_store(sys.argv[1], create=True), {'w': workflow})\n"
        "    print(await engine.start('w', 'r1', 7))\n"
        "    await engine.close()\n"
        "asyncio.run(main())\n"
    )
    least = url.replace("//backout:" + PASSWORD, f"//{role}:least")
    done = subprocess.run([sys.executable, "-c", code, least], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_a_reader_needs_no_right_to_write(url: str) -> None:
    role = url.rpartition("/")[2]
    with open_store(url, create=True) as store:
        store.create(run())
    admin(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD 'least'; GRANT USAGE ON SCHEMA backout TO {role};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA backout TO {role}",
    )
    with open_store(url.replace("//backout:" + PASSWORD, f"//{role}:least")) as reader:
        assert [one.id for one in reader.summaries()] == ["r1"] and reader.get("r1") == run()
        with pytest.raises(StateError, match="may not do that"):
            reader.update("r1", state="failed")


def test_reading_makes_nothing(url: str) -> None:
    with open_store(url) as reader:
        assert reader.summaries() == []
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regnamespace('backout')").fetchone() == (None,)


def test_a_newer_schema_is_refused(url: str) -> None:
    open_store(url, create=True).close()
    admin(url, "UPDATE backout.version SET version = 999")
    for create in (True, False):
        with pytest.raises(StateError, match="set up by a newer Backout") as caught:
            open_store(url, create=create)
        assert caught.value.arguments["version"] == 999


def test_many_that_set_it_up_at_once_find_one_whole_schema(url: str) -> None:
    go = threading.Barrier(6)

    def opens(_: int) -> None:
        go.wait()
        open_store(url, create=True).close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(opens, range(6)))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT version FROM backout.version").fetchall() == [(schema.VERSION,)]


def test_sessions_have_limits_and_what_is_committed_is_on_a_disk(url: str) -> None:
    admin(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    with open_store(url, create=True) as store:
        options = store.engine_options
        assert options["max_overflow"] == 0 and 0 < options["pool_size"] <= 10
        connection = options["creator"]()
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit")
        found = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in names}
        connection.close()
    assert found == {
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "1min",
        "synchronous_commit": "on",
    }


def test_a_server_that_takes_no_writes_says_so_where_it_can_be_told(url: str) -> None:
    open_store(url, create=True).close()
    admin(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
    with open_store(url) as reader:
        assert reader.summaries() == []
    admin(url, "BEGIN READ WRITE; DELETE FROM backout.version; DROP TABLE backout.version; COMMIT")
    with pytest.raises(StateError, match="is read-only"):
        open_store(url, create=True)


def test_a_record_that_nobody_wrote_so_is_told(url: str) -> None:
    with open_store(url, create=True) as store:
        store.create(run())
        admin(url, "UPDATE backout.runs SET cause = '{'")
        with pytest.raises(StateError, match="holds a record that can't be read"):
            store.summaries()


class Places:
    """One database over both ways to it."""

    def __init__(self, of: Server) -> None:
        self.of, self.name = of, of.database()

    def open(self, over: str) -> RunStore:
        return open_store(self.of.url(self.name, over=over), create=True)


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that may be stopped."""
    made = Server()
    yield made
    made.remove()


@pytest.mark.parametrize("over", ["tcp", "socket"])
def test_a_server_that_restarts_while_it_is_opened_is_waited_for_and_told_once(own: Server, over: str) -> None:
    url = own.url(own.database(), over=over)
    own.stop()
    told: list[StateError] = []
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(open_store, url, create=True, waits=told.append)
        end = time.monotonic() + 60
        while not told and time.monotonic() < end:
            time.sleep(0.02)
        own.start()
        with opened.result() as store:
            assert store.summaries() == []
    assert len(told) == 1 and PASSWORD not in said(told[0])


@pytest.mark.parametrize("over", ["tcp", "socket"])
def test_a_restart_is_waited_for_and_nothing_is_written_twice(own: Server, over: str) -> None:
    with Places(own).open(over) as store:
        store.create(run())
        for _ in range(3):
            own.restart()
            store.update("r1", state="running")
        assert store.get("r1").state == "running"


@pytest.mark.parametrize("over", ["tcp", "socket"])
def test_every_loss_of_a_connection_is_known_as_one(own: Server, over: str) -> None:
    """The server is restarted at rest, in a transaction, and while nothing listens: libpq has a text for each."""
    place = Places(own)
    found: list[BaseException] = []
    with place.open(over) as store:
        connect = store.engine_options["creator"]
        for begun in (False, True):
            connection = connect()
            if begun:
                connection.execute("SELECT 1")
            own.stop()
            asks = partial(connection.execute, "SELECT 1")
            for attempt in (asks, asks, connect):
                with pytest.raises(psycopg.Error) as caught:
                    attempt()
                found.append(caught.value)
            own.start()
        assert all(store.lost(error) for error in found), [str(error) for error in found]
        with pytest.raises(psycopg.Error) as other:
            connect().execute("SELECT 1/0")
        assert not store.lost(other.value)
        assert not lost(ValueError())


def test_a_database_that_stays_away_is_given_up_in_bounded_time(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from backout.engine.store.postgres import connection

    monkeypatch.setattr(connection, "PATIENCE", 0.5)
    with Places(own).open("tcp") as store:
        own.stop()
        try:
            with pytest.raises(StateError, match="can't be reached"):
                store.summaries()
        finally:
            own.start()
        assert store.summaries() == [], "and it is used again when it is back"


def test_a_plan_that_is_removed_while_a_run_of_it_is_made_stays(url: str) -> None:
    """Many rounds of both at once: the run is whole, or there is none."""
    code = (
        "import sys; sys.path.insert(0, '.'); from backout.engine.store.opening import open_store\n"
        "from tests.contract.store.test_store_contract import run\n"
        "store = open_store(sys.argv[1], create=True)\n"
        "for n in range(60): store.create(run(f'new-{n}'))\n"
    )
    with open_store(url, create=True) as store:
        store.create(run("old"))
        maker = subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE, text=True)
        while maker.poll() is None:
            store.remove(lambda: store.summaries(5), lambda id, paths: None)
        assert maker.communicate()[1] == ""
        for summary in store.summaries(-1):
            assert store.get(summary.id).operation == plan()


def test_the_driver_is_loaded_for_this_database_alone_and_whole(tmp_path: Path, url: str) -> None:
    code = (
        "import sys; from backout.engine.store.opening import open_store\n"
        "from backout.engine.dbos_records import preload\n"
        "thread = preload() if sys.argv[2] == 'beside' else None\n"
        "open_store(sys.argv[1], create=True).summaries()\n"
        "print('psycopg' in sys.modules)\n"
        "if thread: thread.join()\n"
    )
    for address, when, loaded in ((url, "beside", "True"), (f"sqlite:///{tmp_path}/s.db", "alone", "False")):
        done = subprocess.run([sys.executable, "-c", code, address, when], capture_output=True, text=True)
        assert (done.stdout.split(), done.stderr) == ([loaded], "")
