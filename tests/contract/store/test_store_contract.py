# SPDX-License-Identifier: Apache-2.0
"""What every store of runs must do: what is kept is read back, once, by anybody, and a run has one living process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from backout.engine.store.naming import describe
from backout.engine.store.opening import open_store
from backout.engine.store.port import RunStore, RunSummary
from backout.errors import BackoutError, LeaseLost, LockedError, RunNotFound, UsageError
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.revision import Revision
from backout.model.run import CaptureNote, Failure, Run, RunEvent, changed_steps
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.model.target import Target
from backout.model.verdict import Verdict

from .harness import PLACES

T0 = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


class Place:
    """One store, and any number of connections to it."""

    def __init__(self, url: str, opened: ExitStack) -> None:
        self.url = url
        self._opened = opened

    def open(self, *, create: bool = True) -> RunStore:
        return self._opened.enter_context(open_store(self.url, create=create))


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as opened:
        yield Place(PLACES[request.param](tmp_path), opened)


@pytest.fixture
def store(place: Place) -> RunStore:
    return place.open()


def part(id: str = "helm/thanos", cluster: str = "c", number: int = 2) -> Part:
    return Part(
        id=id,
        scope=ClusterScope(cluster=cluster, namespace="ns", identity=ClusterIdentity("u", "ca")),
        mechanism="helm",
        steps=(),
        target=Target("helm", "thanos", "ns"),
        cause=msg("because of {what}", what="한글"),
        revision=Revision(number=number, digest="d"),
    )


def plan(hash: str = "sha256:1", *parts: Part) -> Operation:
    return Operation(made_at=T0, parts=parts or (part(),), hash=hash)


def run(id: str = "r1", seconds: int = 0, hash: str = "sha256:1", **more: object) -> Run:
    at = T0 + timedelta(seconds=seconds)
    return Run(id=id, state="pending", operation=plan(hash), started=at, actor="alice", **more)  # type: ignore[arg-type]


def event(key: str = "", type: str = "step-progress", id: str = "r1") -> RunEvent:
    return RunEvent(run=id, type=type, at=T0, message=msg("x"), key=key, data={"n": 1})


def until(holds: Callable[[], bool]) -> None:
    """Waits for it; the limit only guards against a wait that has no end."""
    end = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_is_read_back_as_it_was(store: RunStore, place: Place) -> None:
    store.create(run())
    store.create(run(seconds=99))
    assert store.get("r1") == run(), "the same id twice is the first"
    verdict = Verdict(outcome="recovered", checks=(), at=T0, soak=1.5)
    failure = Failure(code="x", exit_code=1, message=msg("y"))
    store.update("r1", state="failed", ended=T0, verdict=verdict, failure=failure)
    store.note_capture("r1", "helm/thanos", "/old", "sha256:e")
    store.note_capture("r1", "helm/thanos", "/p", "sha256:f")
    store.update("r1", undone_by="r2")
    found = place.open(create=False).get("r1")
    kept = {"helm/thanos": CaptureNote("/p", "sha256:f")}
    expected = msgspec.structs.replace(
        run(), state="failed", ended=T0, verdict=verdict, failure=failure, captures=kept, undone_by="r2"
    )
    assert found == expected
    store.update("r1", state="running")
    assert (store.get("r1").failure, store.get("r1").ended, store.get("r1").verdict) == (None, None, verdict)


def test_what_is_not_there(store: RunStore, place: Place) -> None:
    for missing in (lambda: store.get("zzz"), lambda: store.update("zzz", state="running")):
        with pytest.raises(RunNotFound):
            missing()
    assert store.events("zzz") == []
    assert (store.token("zzz", "p"), store.has_event("zzz", "k")) == (0, False)
    assert store.summaries() == []


def test_reading_where_nothing_was_ever_kept(place: Place) -> None:
    reader = place.open(create=False)
    assert reader.summaries() == []
    with pytest.raises(RunNotFound):
        reader.find("latest")
    assert reader.owners.orphans() == []


def test_events_are_kept_once_by_key_in_order_and_listeners_hear_new_ones(store: RunStore, place: Place) -> None:
    store.create(run())
    heard: list[RunEvent] = []
    stop = store.listen(heard.append)
    (first,) = store.record(event("a"))
    assert store.record(msgspec.structs.replace(event("a"), type="other")) == [first], "the first one stays"
    store.record(event())
    store.record(event())
    stop()
    store.record(event("b"))
    assert [e.seq for e in store.events("r1")] == sorted(e.seq for e in store.events("r1"))
    assert len(store.events("r1")) == 4
    assert [e.key for e in heard] == ["a", "", ""]
    assert [e.key for e in place.open().events("r1", after=first.seq)] == ["", "", "b"]
    assert store.has_event("r1", "b")
    assert not store.has_event("r1", "c")


def test_events_that_come_together_are_all_kept_or_none(store: RunStore) -> None:
    store.create(run())
    heard: list[RunEvent] = []
    store.listen(heard.append)
    kept = store.record(event("a"), event(), event("a"))
    assert kept[0] == kept[2] != kept[1] and heard == kept[:2] == store.events("r1")
    with pytest.raises(BackoutError):
        store.record(event("b"), event("c", id="there is no such run"))
    assert heard == store.events("r1") == kept[:2] and store.record() == []


def test_the_same_key_of_another_run_is_another_event(store: RunStore) -> None:
    store.create(run())
    store.create(run("r2"))
    store.record(event("a"))
    store.record(event("a", id="r2"))
    assert [len(store.events(id)) for id in ("r1", "r2")] == [1, 1]


def test_events_are_found_by_the_beginning_of_their_keys(store: RunStore) -> None:
    for id in ("r1", "r2", "r3"):
        store.create(run(id))
        for key in ("approved:bob", "approval-needed", "approve", "b", "%"):
            store.record(event(f"{key}", id=id))
    found = store.keyed(["r1", "r3", "none"], "approved:")
    assert [(one.run, one.key) for one in found] == [("r1", "approved:bob"), ("r3", "approved:bob")]
    assert [one.key for one in store.keyed(["r2"], "approv")] == ["approved:bob", "approval-needed", "approve"]
    assert store.keyed([], "a") == [] and [one.key for one in store.keyed(["r1"], "%")] == ["%"]


def test_find_by_beginning_and_latest(store: RunStore) -> None:
    for id, seconds in (("20261122-aa", 1), ("20261122-ab", 2), ("20261121-x", 0), ("20261121-xy", 0)):
        store.create(run(id, seconds))
    assert store.find("latest") == "20261121-xy", "the one that came last, whatever the clock said then"
    assert store.find("20261121-x") == "20261121-x", "the exact one, whatever begins so too"
    assert store.find("20261122-aa") == "20261122-aa"
    with pytest.raises(UsageError, match="several"):
        store.find("20261122-a")
    for nothing in ("", "zzz", "%", "_", "20261122-__"):
        with pytest.raises(RunNotFound):
            store.find(nothing)


def test_summaries_newest_first(store: RunStore) -> None:
    for n in range(5):
        store.create(run(f"r{n}", n))
    assert [s.id for s in store.summaries(3)] == ["r4", "r3", "r2"]
    assert len(store.summaries(-1)) == 5
    first = store.summaries()[0]
    assert (first.cause.text, first.target, first.revision, first.actor) == (
        "because of 한글",
        "helm/thanos",
        2,
        "alice",
    )


def test_a_summary_of_several_parts_names_them_all(store: RunStore) -> None:
    parts = (part("a"), part("b", "d", 7), part("c", "d"))
    many = Run(id="many", state="pending", operation=plan("sha256:2", *parts), started=T0)
    store.create(many)
    assert store.get("many") == many
    (found,) = store.summaries()
    assert (found.cluster, found.namespace, found.target, found.revision) == ("c, d", "ns", "helm/thanos", 0)
    assert [aim.cluster for aim in found.aims] == ["c", "d", "d"]


def test_a_run_whose_process_is_gone_is_seen_as_interrupted(store: RunStore) -> None:
    store.create(run())
    store.update("r1", state="running")
    assert store.get("r1").state == "running", "not begun by any engine yet"
    member = store.owners.enter()
    store.owners.claim("r1", member.process)
    assert store.get("r1").state == "running"
    assert (store.owners.known("r1"), store.owners.alive("r1"), store.owners.unfinished("r1")) == (True, True, True)
    member.leave()
    member.leave()
    assert store.get("r1").state == "interrupted"
    assert store.summaries()[0].state == "interrupted"
    assert store.owners.orphans() == ["r1"]
    store.update("r1", state="recovered")
    assert store.get("r1").state == "recovered"
    store.owners.end("r1")
    assert (store.owners.orphans(), store.owners.unfinished("r1"), store.owners.known("r1")) == ([], False, True)


def test_a_claim_needs_proof_of_death(store: RunStore, place: Place) -> None:
    other = place.open()
    first, second = store.owners.enter(), other.owners.enter()
    assert first.process != second.process
    assert describe(first.process)["pid"] == str(os.getpid())
    store.owners.claim("r1", first.process)
    store.owners.claim("r1", first.process)
    with pytest.raises(LockedError, match=f"process {os.getpid()} "):
        other.owners.claim("r1", second.process)
    first.leave()
    other.owners.claim("r1", second.process)
    with pytest.raises(LockedError):
        store.owners.claim("r1", "host-1-boot-rand")
    second.leave()


def test_kill_9_is_proof_of_death(store: RunStore, place: Place) -> None:
    code = (
        "import os, sys; from backout.engine.store.opening import open_store\n"
        "store = open_store(sys.argv[1], create=True); member = store.owners.enter()\n"
        "store.owners.claim('r1', member.process); print('claimed', flush=True)\n"
        "sys.stdin.read() if sys.argv[2] == 'wait' else os.kill(os.getpid(), 9)"
    )
    store.create(run())
    store.update("r1", state="running")
    held = subprocess.Popen(
        [sys.executable, "-c", code, place.url, "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None and held.stdout.readline() == "claimed\n"
    assert store.owners.alive("r1") and store.owners.orphans() == []
    with pytest.raises(LockedError, match=f"process {held.pid} "):
        store.owners.claim("r1", store.owners.enter().process)
    held.kill()
    held.communicate()
    until(lambda: not store.owners.alive("r1"))
    assert store.owners.orphans() == ["r1"]
    assert store.get("r1").state == "interrupted"
    mine = store.owners.enter()
    store.owners.claim("r1", mine.process)
    assert store.owners.alive("r1")
    mine.leave()


def test_what_lost_its_claim_writes_nothing_more_of_the_run(store: RunStore, place: Place) -> None:
    store.create(run())
    store.create(run("r2"))
    first = store.owners.enter()
    store.owners.claim("r1", first.process)
    store.owners.confirm("r1")
    store.owners.confirm("r2")
    store.update("r1", state="running")
    first.leave()
    other = place.open()
    second = other.owners.enter()
    other.owners.claim("r1", second.process)
    attempts: list[Callable[[], object]] = [
        lambda: store.owners.confirm("r1"),
        lambda: store.update("r1", state="interrupted"),
        lambda: store.record(event("late")),
        lambda: store.raise_token("r1", "p", 99),
        lambda: store.note_capture("r1", "p", "/x", ""),
        lambda: store.keep_answer("r1", "s", "1"),
        lambda: store.owners.end("r1"),
    ]
    for attempt in attempts:
        with pytest.raises(LeaseLost, match="goes on with run r1"):
            attempt()
    store.record(event(id="r2"))
    assert other.get("r1").state == "running" and other.owners.alive("r1")
    assert (other.events("r1"), other.token("r1", "p"), other.get("r1").captures) == ([], 0, {})
    assert other.answer("r1", "s") is None
    other.owners.confirm("r1")
    second.leave()


def test_of_many_claims_at_once_one_wins(store: RunStore, place: Place) -> None:
    stores = [place.open() for _ in range(4)]
    members = [mine.owners.enter() for mine in stores]
    go = threading.Barrier(4)

    def claims(number: int) -> bool:
        go.wait()
        try:
            stores[number].owners.claim("r1", members[number].process)
        except LockedError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(claims, range(4)))
    assert won.count(True) == 1
    stores[won.index(True)].owners.confirm("r1")
    for member in members:
        member.leave()


def test_aborts_stay_for_every_process(store: RunStore, place: Place) -> None:
    assert not store.owners.abort_requested("r1")
    store.owners.request_abort("r1", "bob")
    store.owners.request_abort("r1", "eve")
    assert place.open().owners.abort_requested("r1")


def test_tokens_only_rise(store: RunStore, place: Place) -> None:
    store.create(run())
    assert [store.raise_token("r1", "a", n) for n in (5, 3, 9)] == [5, 5, 9]
    assert store.raise_token("r1", "b", 2) == 2, "each part has a lock of its own"
    store.note_capture("r1", "a", "/p", "sha256:f")
    assert [place.open().token("r1", part) for part in ("a", "b", "c")] == [9, 2, 0]
    assert store.get("r1").captures == {"a": CaptureNote("/p", "sha256:f")}


def test_what_a_step_of_a_branch_came_to_is_kept_once_and_goes_with_its_run(store: RunStore, place: Place) -> None:
    store.create(run("r1"))
    store.create(run("r2"))
    assert store.answer("r1", "east: write") is None
    assert store.keep_answer("r1", "east: write", '{"result":1}') == '{"result":1}'
    other = place.open()
    assert other.keep_answer("r1", "east: write", '{"result":2}') == '{"result":1}', "of two, the first stays"
    assert other.answer("r1", "east: write") == '{"result":1}'
    assert other.answer("r2", "east: write") is None and other.answer("r1", "west: write") is None
    store.update("r1", state="recovered", ended=T0)
    store.remove(lambda: [one for one in store.summaries() if one.id == "r1"], lambda gone, captures: None)
    assert store.answer("r1", "east: write") is None


def test_many_writers_lose_nothing(store: RunStore, place: Place) -> None:
    store.create(run())

    def write(name: int) -> None:
        with open_store(place.url, create=True) as mine:
            for n in range(20):
                mine.record(event(f"{name}-{n}"))
                mine.record(event(f"all-{n}"))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.events("r1")
    assert len(kept) == 4 * 20 + 20
    assert len({e.key for e in kept}) == len({e.seq for e in kept}) == 100


def test_runs_go_whole_and_shared_operations_stay(store: RunStore, place: Place) -> None:
    store.create(run("old", hash="sha256:old"))
    store.create(run("new", 1))
    store.create(run("shares", 2))
    for id in ("old", "new", "shares"):
        store.record(event("a", id=id))
    store.note_capture("shares", "p", "/captures/shares", "")
    store.owners.claim("shares", "host-1-boot-rand")
    store.owners.request_abort("shares")
    told: list[tuple[str, list[str]]] = []

    def which() -> list[RunSummary]:
        return [s for s in store.summaries(-1) if s.id in ("old", "shares")]

    gone = store.remove(which, lambda id, paths: told.append((id, list(paths))))
    assert sorted(s.id for s in gone) == ["old", "shares"]
    assert sorted(told) == [("old", []), ("shares", ["/captures/shares"])]
    other = place.open()
    assert [s.id for s in other.summaries(-1)] == ["new"]
    assert (other.events("old"), other.events("shares"), len(other.events("new"))) == ([], [], 1)
    assert other.get("new").operation == plan()
    assert not other.owners.known("shares") and not other.owners.abort_requested("shares")
    assert other.owners.orphans() == []


def test_what_dies_before_the_record_of_one_goes_leaves_all(store: RunStore, place: Place) -> None:
    for n in range(3):
        store.create(run(f"r{n}", n))

    def dies(id: str, paths: Sequence[str]) -> None:
        if id == "r1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.remove(lambda: store.summaries(-1), dies)
    assert len(place.open().summaries(-1)) == 3
    store.create(run("after", 9))
    assert store.find("latest") == "after", "it can still be written to"


def test_what_a_store_tells_people_is_not_what_it_connects_to(store: RunStore) -> None:
    assert store.place and "://" not in store.place
    assert "://" in store.url


def test_which_steps_may_have_changed_something() -> None:
    def step(type: str, id: str, part: str = "p", **data: object) -> RunEvent:
        return RunEvent(run="r1", type=type, at=T0, message=msg("x"), part=part, step=id, data=data)

    events = [
        step("step-started", "looked"),
        step("step-done", "looked", changed=False),
        step("step-started", "wrote"),
        step("step-failed", "wrote", wrote=True),
        step("step-started", "failed"),
        step("step-failed", "failed", wrote=False),
        step("step-started", "again"),
        step("step-done", "again", changed=False, earlierAttempt=True),
        step("step-started", "cut-off"),
        step("step-done", "looked", "q", changed=True),
    ]
    assert changed_steps(events) == {("p", "wrote"), ("p", "again"), ("p", "cut-off"), ("q", "looked")}
    assert changed_steps([]) == set()
