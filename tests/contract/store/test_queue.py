# SPDX-License-Identifier: Apache-2.0
"""The queue of submitted runs: each is taken once, in order, within limits, and what a dead worker had is taken again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.postgres import server

from backout.engine.store.opening import open_store
from backout.engine.store.port import Limits, RunStore
from backout.engine.store.postgres import queue
from backout.errors import ConfigError

from .test_store_contract import Place, run, until

ANY = Limits(known=("c", "d", "e"), per_cluster=0)


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as opened:
        yield Place(server().url(server().database()), opened)


@pytest.fixture
def store(place: Place) -> RunStore:
    return place.open()


def submit(store: RunStore, id: str, *clusters: str, priority: int = 0) -> None:
    store.create(run(id))
    store.queue.submit(id, clusters or ("c",), priority)


def test_the_lowest_priority_goes_first_then_the_older(store: RunStore) -> None:
    submit(store, "late", priority=5)
    submit(store, "first")
    submit(store, "second")
    submit(store, "urgent", priority=-1)
    store.queue.submit("first", ("c",), 9)
    assert store.queue.waiting() == ["urgent", "first", "second", "late"]
    members = [store.owners.enter() for _ in range(5)]
    assert [store.queue.take(one.process, ANY) for one in members] == ["urgent", "first", "second", "late", None]
    store.queue.done("first")
    assert store.queue.waiting() == ["urgent", "second", "late"]
    for one in members:
        one.leave()


def test_a_worker_that_asks_twice_has_one_run(store: RunStore) -> None:
    submit(store, "r1")
    submit(store, "r2")
    member = store.owners.enter()
    assert [store.queue.take(member.process, ANY) for _ in range(2)] == ["r1", "r1"]
    member.leave()


def test_limits_on_each_cluster_and_altogether(store: RunStore) -> None:
    for id, clusters in (("a", "c"), ("b", "cd"), ("x", "d"), ("y", "e"), ("z", "e")):
        submit(store, id, *clusters)
    members = [store.owners.enter() for _ in range(6)]
    one = Limits(known=("c", "d", "e"), per_cluster=1)
    took = [store.queue.take(member.process, one) for member in members[:4]]
    assert took == ["a", "x", "y", None], "b waits for c, though d was free, and then d is not"
    assert store.queue.take(members[4].process, Limits(known=("e",), per_cluster=2, in_all=3)) is None
    assert store.queue.take(members[4].process, Limits(known=("e",), per_cluster=2, in_all=4)) == "z"
    store.owners.end("a")
    store.queue.done("a")
    assert store.queue.take(members[5].process, one) is None, "d is still in use"
    store.owners.end("x")
    store.queue.done("x")
    assert store.queue.take(members[5].process, one) == "b"
    for member in members:
        member.leave()


def test_a_worker_takes_what_it_knows_every_cluster_of(store: RunStore) -> None:
    submit(store, "both", "c", "elsewhere")
    submit(store, "one", "c")
    member = store.owners.enter()
    assert store.queue.take(member.process, Limits(known=("c",))) == "one"
    member.leave()


def test_many_takers_at_once_get_different_ones(store: RunStore, place: Place) -> None:
    for number in range(12):
        submit(store, f"r{number}")
    stores = [place.open() for _ in range(6)]
    members = [[mine.owners.enter() for _ in range(3)] for mine in stores]

    def takes(number: int) -> list[str | None]:
        return [stores[number].queue.take(member.process, ANY) for member in members[number]]

    with ThreadPoolExecutor(6) as pool:
        taken = [run for found in pool.map(takes, range(6)) for run in found]
    assert sorted(filter(None, taken)) == sorted(f"r{number}" for number in range(12))
    assert taken.count(None) == 6
    for member in (one for several in members for one in several):
        member.leave()


def test_what_a_dead_worker_had_is_taken_again(store: RunStore, place: Place) -> None:
    code = (
        "import os, sys; from backout.engine.store.opening import open_store\n"
        "from backout.engine.store.port import Limits\n"
        "store = open_store(sys.argv[1], create=True); member = store.owners.enter()\n"
        "print(store.queue.take(member.process, Limits(known=('c',))), flush=True); os.kill(os.getpid(), 9)"
    )
    submit(store, "r1")
    submit(store, "r2")
    died = subprocess.run([sys.executable, "-c", code, place.url], stdout=subprocess.PIPE, text=True, check=False)
    assert (died.stdout, died.returncode) == ("r1\n", -9)
    member = store.owners.enter()
    one = Limits(known=("c",), per_cluster=1)
    until(lambda: store.queue.take(member.process, one) == "r1")
    member.leave()


def test_what_was_left_is_taken_later_and_at_once_where_the_worker_was_told_to_stop(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_PAUSE", queue.LONGEST_PAUSE)
    submit(store, "r1")
    first = store.owners.enter()
    assert store.queue.take(first.process, ANY) == "r1"
    store.queue.put_off("r1")
    first.leave()
    second = store.owners.enter()
    assert store.queue.take(second.process, ANY) is None
    monkeypatch.setattr(queue, "FIRST_PAUSE", 0.01)
    store.queue.put_off("r1")
    until(lambda: store.queue.take(second.process, ANY) == "r1")
    monkeypatch.setattr(queue, "FIRST_PAUSE", queue.LONGEST_PAUSE)
    store.queue.put_off("r1", again=False)
    second.leave()
    third = store.owners.enter()
    assert store.queue.take(third.process, ANY) == "r1"
    third.leave()


def test_a_run_that_is_removed_leaves_the_queue(store: RunStore) -> None:
    submit(store, "r1")
    store.remove(lambda: store.summaries(-1), lambda id, paths: None)
    assert store.queue.waiting() == []


def test_a_file_has_no_queue_and_says_what_has(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 's.db'}", create=True) as store, pytest.raises(ConfigError, match="shar"):
        _ = store.queue
    assert os.listdir(tmp_path)


def test_tables_of_the_version_before_are_brought_up_to_date(place: Place) -> None:
    """Version 1 knew no workers, 2 no audit."""
    import psycopg

    old = place.open()
    old.create(run())
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("DROP TABLE backout.queue, backout.chains, backout.audit")
        connection.execute("ALTER TABLE backout.events DROP COLUMN n, DROP COLUMN hash")
        connection.execute("UPDATE backout.version SET version = 1")
    from backout.errors import StateError

    with pytest.raises(StateError, match="those of an older Backout"):
        open_store(place.url)
    new = place.open()
    new.queue.submit("r1", ("c",))
    assert new.get("r1") == run() and new.queue.waiting() == ["r1"]
