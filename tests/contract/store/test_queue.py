# SPDX-License-Identifier: Apache-2.0
"""The queue of submitted runs: each is taken once, in order, within limits, and what a dead worker had is taken again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.postgres import server

from backout.engine.pieces import Piece
from backout.engine.store.opening import open_store
from backout.engine.store.port import ALL_WORK, Limits, RunStore
from backout.engine.store.postgres import queue
from backout.errors import ConfigError, LeaseLost
from backout.model.message import msg
from backout.model.run import RunEvent

from .test_store_contract import Place, run, until

ANY = Limits(known=("c", "d", "e"), per_cluster=0)


@pytest.fixture
def place() -> Iterator[Place]:
    with ExitStack() as opened:
        yield Place(server().url(server().database()), opened)


@pytest.fixture
def store(place: Place) -> RunStore:
    return place.open()


def take(store: RunStore, process: str, limits: Limits, *here: str) -> str | None:
    """What was taken, by its name."""
    taken = store.queue.take(process, limits, ALL_WORK, here)
    return taken.execution if taken is not None else None


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
    assert [take(store, one.process, ANY) for one in members] == ["urgent", "first", "second", "late", None]
    store.queue.done("first")
    assert store.queue.waiting() == ["urgent", "second", "late"]
    for one in members:
        one.leave()


def test_a_worker_that_asks_twice_has_one_run(store: RunStore) -> None:
    submit(store, "r1")
    submit(store, "r2")
    member = store.owners.enter()
    assert [take(store, member.process, ANY) for _ in range(2)] == ["r1", "r1"]
    member.leave()


def test_limits_on_each_cluster_and_altogether(store: RunStore) -> None:
    for id, clusters in (("a", "c"), ("b", "cd"), ("x", "d"), ("y", "e"), ("z", "e")):
        submit(store, id, *clusters)
    members = [store.owners.enter() for _ in range(6)]
    one = Limits(known=("c", "d", "e"), per_cluster=1)
    took = [take(store, member.process, one) for member in members[:4]]
    assert took == ["a", "x", "y", None], "b waits for c, though d was free, and then d is not"
    assert take(store, members[4].process, Limits(known=("e",), per_cluster=2, in_all=3)) is None
    assert take(store, members[4].process, Limits(known=("e",), per_cluster=2, in_all=4)) == "z"
    store.owners.end("a")
    store.queue.done("a")
    assert take(store, members[5].process, one) is None, "d is still in use"
    store.owners.end("x")
    store.queue.done("x")
    assert take(store, members[5].process, one) == "b"
    for member in members:
        member.leave()


def test_a_worker_takes_what_it_knows_every_cluster_of(store: RunStore) -> None:
    submit(store, "both", "c", "elsewhere")
    submit(store, "one", "c")
    member = store.owners.enter()
    assert take(store, member.process, Limits(known=("c",))) == "one"
    member.leave()


def test_many_takers_at_once_get_different_ones(store: RunStore, place: Place) -> None:
    for number in range(12):
        submit(store, f"r{number}")
    stores = [place.open() for _ in range(6)]
    members = [[mine.owners.enter() for _ in range(3)] for mine in stores]

    def takes(number: int) -> list[str | None]:
        return [take(stores[number], member.process, ANY) for member in members[number]]

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
        "print(store.queue.take(member.process, Limits(known=('c',)), ['run']).run, flush=True); os.kill(os.getpid(), 9)"
    )
    submit(store, "r1")
    submit(store, "r2")
    died = subprocess.run([sys.executable, "-c", code, place.url], stdout=subprocess.PIPE, text=True, check=False)
    assert (died.stdout, died.returncode) == ("r1\n", -9)
    member = store.owners.enter()
    one = Limits(known=("c",), per_cluster=1)
    until(lambda: take(store, member.process, one) == "r1")
    member.leave()


def test_what_was_left_is_taken_later_and_at_once_where_the_worker_was_told_to_stop(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_PAUSE", queue.LONGEST_PAUSE)
    submit(store, "r1")
    first = store.owners.enter()
    assert take(store, first.process, ANY) == "r1"
    store.queue.put_off("r1")
    first.leave()
    second = store.owners.enter()
    assert take(store, second.process, ANY) is None
    monkeypatch.setattr(queue, "FIRST_PAUSE", 0.01)
    store.queue.put_off("r1")
    until(lambda: take(store, second.process, ANY) == "r1")
    monkeypatch.setattr(queue, "FIRST_PAUSE", queue.LONGEST_PAUSE)
    store.queue.put_off("r1", again=False)
    second.leave()
    third = store.owners.enter()
    assert take(store, third.process, ANY) == "r1"
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


def operation(store: RunStore, id: str = "r1", priority: int = 0) -> None:
    store.create(run(id))
    store.queue.submit(id, ("c", "d"), priority, in_pieces=True)


def piece(cluster: str, *, light: bool = False) -> Piece:
    return Piece(name=f"{cluster}/web", workflow="w", cluster=cluster, payload={"n": 1}, light=light)


def test_an_operation_is_for_who_knows_one_of_its_clusters_and_each_piece_for_who_knows_its_own(
    store: RunStore,
) -> None:
    operation(store)
    member = store.owners.enter()
    assert take(store, member.process, Limits(known=("e",))) is None
    one = Limits(known=("c",))
    assert take(store, member.process, one) == "r1"
    for cluster in "cd":
        store.queue.offer("r1", piece(cluster))
    taken = store.queue.take(member.process, one, ["part"], ["r1"])
    assert taken is not None and (taken.execution, taken.piece) == ("r1 c/web", piece("c"))
    assert take(store, member.process, one, "r1", "r1 c/web") is None, "d is not known here"
    member.leave()


def test_what_a_piece_came_to_is_handed_over_once_by_who_has_it(store: RunStore, place: Place) -> None:
    operation(store)
    member = store.owners.enter()
    assert take(store, member.process, ANY) == "r1"
    store.queue.offer("r1", piece("c"))
    assert take(store, member.process, ANY, "r1") == "r1 c/web"
    assert store.queue.result("r1", "c/web") is None and store.queue.begun("r1", "c/web")
    store.queue.deliver("r1", "c/web", "{}")
    assert store.queue.result("r1", "c/web") == "{}"
    assert take(store, member.process, ANY, "r1") is None, "it is over"
    store.queue.offer("r1", piece("c"))
    assert store.queue.result("r1", "c/web") == "{}", "it was handed over while the run changed hands"
    assert store.queue.recall("r1") == []
    store.queue.offer("r1", piece("c"))
    assert store.queue.result("r1", "c/web") is None, "what stopped is offered again, in a later life"
    store.owners.let_go("r1 c/web")
    other = place.open()
    successor = other.owners.enter()
    assert take(other, successor.process, ANY) == "r1 c/web"
    for writes in (
        lambda: store.queue.deliver("r1", "c/web", "{}"),
        lambda: store.acting("r1 c/web").record(RunEvent(run="r1", type="t", at=datetime.now(UTC), message=msg("x"))),
        lambda: store.acting("r1 c/web").confirm("r1"),
    ):
        with pytest.raises(LeaseLost):
            writes()
    store.acting("r1").confirm("r1")
    assert store.events("r1") == [] and other.queue.result("r1", "c/web") is None
    member.leave()
    successor.leave()


def test_what_nobody_began_is_taken_back_and_nothing_else(store: RunStore) -> None:
    operation(store)
    member, other = store.owners.enter(), store.owners.enter()
    assert take(store, member.process, ANY) == "r1"
    for cluster in "cde":
        store.queue.offer("r1", piece(cluster))
    assert take(store, other.process, ANY) == "r1 c/web"
    assert [store.queue.withdraw("r1", f"{cluster}/web") for cluster in "cd"] == [False, True]
    other.leave()
    assert not store.queue.withdraw("r1", "c/web"), "its process is dead, and how far it came is not known"
    assert store.queue.recall("r1") == ["c/web"]
    assert take(store, member.process, ANY, "r1") == "r1 c/web"
    assert take(store, member.process, ANY, "r1", "r1 c/web") is None
    store.owners.end("r1 c/web")
    store.queue.done("r1")
    assert store.queue.recall("r1") == []
    member.leave()


def test_a_piece_that_ended_and_was_not_handed_over_is_taken_again_when_its_process_is_dead(store: RunStore) -> None:
    operation(store)
    member, other = store.owners.enter(), store.owners.enter()
    assert take(store, member.process, ANY) == "r1"
    store.queue.offer("r1", piece("c"))
    assert take(store, other.process, ANY) == "r1 c/web"
    store.owners.end("r1 c/web")
    assert take(store, member.process, ANY, "r1") is None
    other.leave()
    assert take(store, member.process, ANY, "r1") == "r1 c/web"
    member.leave()


def test_parts_count_and_looks_and_operations_do_not(store: RunStore) -> None:
    operation(store)
    submit(store, "r2", "c")
    member = store.owners.enter()
    tight = Limits(known=("c", "d"), per_cluster=1, in_all=1)
    assert take(store, member.process, tight) == "r1"
    store.queue.offer("r1", piece("d"))
    assert take(store, member.process, tight, "r1") == "r2"
    here = ["r1", "r2"]
    assert take(store, member.process, tight, *here) is None, "one is under way"
    store.queue.offer("r1", Piece(name="look", workflow="w", cluster="c", light=True))
    assert take(store, member.process, tight, *here) == "r1 look"
    store.owners.end("r2")
    store.queue.done("r2")
    assert take(store, member.process, tight, *here, "r1 look") == "r1 d/web"
    member.leave()


def test_a_process_is_given_what_it_has_and_does_not_know_of(store: RunStore) -> None:
    operation(store)
    member = store.owners.enter()
    assert take(store, member.process, ANY) == "r1"
    store.queue.offer("r1", piece("c"))
    assert take(store, member.process, ANY, "r1") == "r1 c/web"
    assert take(store, member.process, ANY, "r1") == "r1 c/web", "the answer was lost"
    assert take(store, member.process, ANY, "r1 c/web") == "r1", "a live process lost it"
    member.leave()


def test_pieces_are_forgotten_with_their_run(store: RunStore, place: Place) -> None:
    operation(store)
    member = store.owners.enter()
    assert take(store, member.process, ANY) == "r1"
    store.queue.offer("r1", piece("c"))
    assert take(store, member.process, ANY, "r1") == "r1 c/web"
    assert store.owners.executions("r1") == ["r1", "r1 c/web"]
    store.remove(lambda: store.summaries(-1), lambda id, paths: None)
    assert store.owners.executions("r1") == [] and place.open().queue.recall("r1") == []
    member.leave()


def test_who_reads_on_misses_nothing_however_many_tell(store: RunStore, place: Place) -> None:
    """Numbers are given before the commit, so that without an order a reader would pass over the later commit of a lower one."""
    operation(store)
    tellers = [place.open() for _ in range(4)]
    said = 25

    def tells(number: int) -> None:
        for index in range(said):
            tellers[number].record(
                RunEvent(
                    run="r1",
                    part=f"p{number}",
                    type="t",
                    at=datetime.now(UTC),
                    message=msg("x"),
                    key=f"p{number}:{index}",
                )
            )

    read: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(tells, number) for number in range(4)]
        last = 0
        while True:
            over = all(one.done() for one in work)
            for event in store.events("r1", after=last):
                last = event.seq
                read.append(event.key)
            if over:
                break
    assert len(read) == len(set(read)) == 4 * said
    assert [event.key for event in store.events("r1", part="p1")] == [f"p1:{index}" for index in range(said)]
