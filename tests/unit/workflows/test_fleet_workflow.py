# SPDX-License-Identifier: Apache-2.0
"""Operations over many clusters: waves, their gates, the budget of failures, and what becomes of each part."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from fleet_world import fleet, of, restored
from rollback_world import SmallCluster, healthy, prepared, sealed, services

from backout.app.fleet import taking_back
from backout.cluster.port import PODS
from backout.engine.inline import InlineEngine, Memory
from backout.engine.store.naming import new_process_id
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.errors import (
    BackoutError,
    CaptureError,
    ClusterUnreachable,
    Conflict,
    NotFoundError,
    NotVerifiedError,
    PartlyDoneError,
    PartsLeft,
    PlanChanged,
    ServerError,
    StateError,
    TokenExpired,
    UnknownContext,
    WrongCluster,
    fill,
)
from backout.mechanisms.port import StepContext, StepOutcome
from backout.model.operation import Operation
from backout.model.outcomes import outcomes
from backout.model.part import Part, Step
from backout.model.run import Run
from backout.model.scope import ClusterIdentity
from backout.report import render
from backout.scopes.clusters import ClusterScopes
from backout.snapshots.capture import CaptureStore
from backout.workflows.fleet_end import ask_to_stop
from backout.workflows.runner import begin, go_on, new_run, workflows
from backout.workflows.undo import kept_elsewhere, undo_operation


class Clusters:
    """Any number of small clusters and one run on them, over lives."""

    def __init__(self, folder: Path, operation: Operation) -> None:
        self.clusters = {name: SmallCluster(*healthy()) for name in operation.clusters}
        for name, cluster in self.clusters.items():
            cluster.who = ClusterIdentity(f"uid-{name}", "ca")
        self.memory = Memory()
        prepared(folder, operation)
        self.services, self.files = services(folder)
        self.services.scopes = ClusterScopes(lambda scope: self.clusters[scope.cluster])  # type: ignore[return-value]
        self.services.reach = self._reach
        self.services.effect_of = self._effect_of
        self.faults: dict[str, list[Exception]] = {}
        self.unreachable: dict[str, Exception] = {}
        self.gates: dict[str, Callable[[], Any]] = {}
        self.order: list[str] = []
        self.at_once = 0
        self.most = 0

    @asynccontextmanager
    async def _reach(self, part: Part) -> Any:
        if error := self.unreachable.get(part.scope.cluster):
            raise error
        yield self.services.scopes.open(part.scope)

    def _effect_of(self, action: str) -> Any:
        async def effect(context: StepContext, step: Step) -> StepOutcome:
            name = step.params["name"]
            if left := self.faults.get(name):
                raise left.pop(0)
            self.order.append(name)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            if name in self.gates:
                await self.gates[name]()
            try:
                return await self.files.effect(action)(context, step)
            finally:
                self.at_once -= 1

        return effect

    def sicken(self, cluster: str) -> None:
        sick = next(obj for resource, obj in healthy() if resource is PODS)
        sick["status"]["conditions"] = []
        self.clusters[cluster].put(PODS, sick)

    def run(self, run: str = "r1", *, resume: bool = False) -> Run:
        async def main() -> Run:
            engine = InlineEngine(workflows(self.services), self.memory)
            try:
                async with asyncio.timeout(120):
                    return await (go_on if resume else begin)(engine, self.services.store, run)
            finally:
                await engine.close()

        return asyncio.run(main())

    def fails(self, kind: type[BackoutError], *, resume: bool = False) -> BackoutError:
        with pytest.raises(BackoutError) as caught:
            self.run(resume=resume)
        assert type(caught.value) is kind, caught.value
        return caught.value

    def kept(self) -> Run:
        return self.services.store.get("r1")

    def states(self, run: str = "r1") -> dict[str, str]:
        found = outcomes(self.services.store.get(run).operation, self.services.store.events(run), under_way=False)
        return {one.part.partition("/")[0]: one.state for one in found}

    def told(self, *types: str) -> list[tuple[str, str]]:
        return [(e.type, e.part) for e in self.services.store.events("r1") if e.type in types]

    @property
    def leases(self) -> list[str]:
        return [name for cluster in self.clusters.values() for name in cluster.leases]


A, B, C, D = "a", "b", "c", "d"


def test_of_a_run_that_is_over_only_the_lock_that_was_left_is_let_go(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B)]))
    world.clusters[B].left = ServerError("503.")
    run = world.run()
    assert (run.state, world.told("lease-left")) == ("recovered", [("lease-left", "b/web")])
    assert world.leases == ["deployment/web"]
    for unreachable, left in ((ClusterUnreachable("No route."), True), (None, False)):
        world.unreachable = {B: unreachable, A: AssertionError()} if unreachable else {A: AssertionError()}
        world.clusters[B].left, world.services.life = None, new_process_id()
        assert world.run().state == "recovered" and bool(world.leases) is left
    assert world.told("lease-returned") == [("lease-returned", "b/web")]
    assert world.kept().ended == run.ended and world.order == [A, B]


def test_a_canary_is_verified_before_the_next_wave_begins(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B), of(C)]))
    run = world.run()
    assert (run.state, world.order[0], sorted(world.order)) == ("recovered", A, [A, B, C])
    marks = world.told("wave-started", "part-ended", "step-started")
    assert marks[:4] == [("wave-started", ""), ("step-started", "a/web"), ("part-ended", "a/web"), ("wave-started", "")]
    assert world.states() == dict.fromkeys((A, B, C), "recovered") and world.leases == []
    assert run.verdict is not None and run.verdict.outcome == "recovered"
    assert {check.part for check in run.verdict.checks} == {"a/web", "b/web", "c/web"}
    text = render(run, world.services.store.events("r1"), "en")
    assert text.startswith("# 3 of 3 parts are verified") and text.count("# Recovered: deployment/web") == 3


@pytest.mark.parametrize("parallel", [1, 2])
def test_no_more_clusters_than_allowed_are_worked_on_at_once(tmp_path: Path, parallel: int) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B), of(C), of(D)], parallel=parallel))
    met: list[asyncio.Event] = []

    async def meet() -> None:
        # Two at a time wait for each other: with one, nobody would ever come.
        met.append(asyncio.Event())
        if len(met) % 2:
            await met[-1].wait()
        else:
            met[-2].set()

    if parallel == 2:
        world.gates = dict.fromkeys((A, B, C, D), meet)
    assert world.run().state == "recovered"
    assert world.most == parallel


def test_needs_hold_over_clusters_and_the_parts_of_one_cluster_go_one_by_one(tmp_path: Path) -> None:
    parts = [of(A, "b/web"), of(B), of(C, name="one"), of(C, "c/one", name="two")]
    world = Clusters(tmp_path, fleet(parts))
    assert world.run().state == "recovered"
    assert world.order.index(B) < world.order.index(A) and world.order.index("one") < world.order.index("two")


def test_what_needs_a_part_that_failed_is_not_begun(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B, "a/web"), of(C)], on_failure="continue"))
    world.faults[A] = [Conflict("Changed.")]
    error = world.fails(PartlyDoneError)
    assert world.states() == {A: "refused", B: "not-started", C: "recovered"}
    assert "a: Changed." in fill(error.found, error.arguments)


@pytest.mark.parametrize("allowed", [0, 1])
def test_waves_stop_within_the_budget_of_failures_and_nothing_claims_success(tmp_path: Path, allowed: int) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], [of(C)], max_failures=allowed))
    world.sicken(A)
    error = world.fails(PartlyDoneError if not allowed else NotVerifiedError)
    run = world.kept()
    assert world.states() == {A: "not-recovered", B: "recovered", C: "recovered" if allowed else "not-started"}
    assert (run.state, run.failure and run.failure.exit_code) == (("not-recovered", 7) if allowed else ("failed", 8))
    assert f"{1 + allowed} of 3 parts are verified" in error.message
    assert run.verdict is not None and run.verdict.outcome != "recovered" and world.leases == []


def test_a_wave_of_which_nothing_is_verified_never_opens_the_next(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B)], max_failures=5))
    world.sicken(A)
    world.fails(PartlyDoneError)
    assert world.states() == {A: "not-recovered", B: "not-started"}


@pytest.mark.parametrize("most", [0, 5])
@pytest.mark.parametrize(("how", "state"), [("sick", "not-recovered"), ("elsewhere", "unknown")])
def test_what_does_not_hold_through_the_soak_of_the_gate_keeps_it_shut(
    tmp_path: Path, most: int, how: str, state: str
) -> None:
    """Nor what can't be asked: a cluster that nobody reaches, or another one behind its name, is not known to hold. A budget of failures
    is for others of the wave: of one of which nothing holds, the next is not opened."""
    world = Clusters(tmp_path, fleet([of(A)], [of(B)], soak=0.2, max_failures=most))
    store, seen = world.services.store, []

    def fall_ill(event: Any) -> None:
        if event.type == "gate" and not seen:
            seen.append(event)
            if how == "sick":
                world.sicken(A)
            else:
                world.clusters[A].who = ClusterIdentity("uid-other", "ca")

    store.listen(fall_ill)
    world.fails(PartlyDoneError)
    assert world.states() == {A: state, B: "not-started"}


@pytest.mark.parametrize("policy", ["stop", "continue"])
def test_a_cluster_without_an_answer_parks_its_own_part_and_resume_does_the_rest_only(
    tmp_path: Path, policy: str
) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], [of(C)], on_failure=policy))
    world.faults[B] = [ClusterUnreachable("No answer.")] * 3
    error = world.fails(PartsLeft)
    stays = policy == "stop"
    assert world.states() == {A: "recovered", B: "parked", C: "not-started" if stays else "recovered"}
    run = world.kept()
    assert (run.state, error.exit_code, world.leases) == ("interrupted", 8, [])
    assert "b: No answer." in fill(error.found, error.arguments) and "1 not known (b)" in error.message
    text = render(run, world.services.store.events("r1"), "en")
    assert text.count("# Recovered: deployment/web") == (1 if stays else 2)
    assert "| b | deployment/web → 1 | 1 | not known | – | No answer. |" in text
    assert "# Interrupted: the rollback of deployment/web" in text
    world.faults.clear()
    assert world.run(resume=True).state == "recovered"
    assert world.states() == dict.fromkeys((A, B, C), "recovered")
    assert [world.files.writes(name) for name in (A, B, C)] == [["new"]] * 3, "nothing that was done is done again"


def test_what_was_begun_comes_to_its_end_by_a_resume_whatever_became_of_the_others(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B), of(C)], [of(D)]))
    world.faults |= {B: [ClusterUnreachable("No answer.")] * 3, C: [Conflict("Changed.")]}
    world.fails(PartsLeft)
    assert world.states() == {A: "recovered", B: "parked", C: "refused", D: "not-started"}
    error = world.fails(PartlyDoneError, resume=True)
    assert world.states() == {A: "recovered", B: "recovered", C: "refused", D: "not-started"}
    assert "2 of 4 parts are verified; 1 not touched (c); 1 not begun (d)" in error.message


@pytest.mark.parametrize("error", [ClusterUnreachable("No answer."), TokenExpired("Expired.")])
def test_no_answer_before_the_first_write_parks_and_says_that_nothing_was_written(
    tmp_path: Path, error: BackoutError
) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B)]))
    world.unreachable[A] = error
    assert world.fails(type(error)).exit_code == error.exit_code
    assert world.states() == {A: "parked", B: "not-started"} and world.kept().state == "interrupted"
    world.unreachable.clear()
    assert world.run(resume=True).state == "recovered"


@pytest.mark.parametrize("trouble", ["identity", "context"])
def test_a_name_that_leads_elsewhere_is_refused_for_its_part_alone(tmp_path: Path, trouble: str) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], max_failures=1))
    if trouble == "identity":
        world.clusters[B].who = ClusterIdentity("another", "ca")
    else:
        world.unreachable[B] = UnknownContext("There is no context b.")
    world.fails(PartlyDoneError)
    assert world.states() == {A: "recovered", B: "refused"}
    assert world.files.writes(B) == []


def test_a_name_that_leads_elsewhere_by_the_time_of_a_resume_writes_nothing_there(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], on_failure="continue"))
    world.faults[B] = [ClusterUnreachable("No answer.")] * 3
    world.fails(PartsLeft)
    world.faults.clear()
    world.clusters[B].who = ClusterIdentity("another", "ca")
    with pytest.raises(BackoutError):
        world.run(resume=True)
    assert world.files.writes(B) == [] and world.states()[A] == "recovered" and world.states()[B] != "recovered"


def test_nothing_was_written_says_so_and_is_a_refusal(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B)]))
    world.clusters[A].who = ClusterIdentity("another", "ca")
    error = world.fails(WrongCluster)
    assert (error.exit_code, world.kept().state, world.order) == (5, "failed", [])


def test_a_part_that_takes_longer_than_it_may_is_parked(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], deadline=2.0))

    async def never() -> None:
        await asyncio.Event().wait()

    world.gates[B] = never
    world.fails(PartsLeft)
    assert world.states() == {A: "recovered", B: "parked"} and world.leases == []
    world.gates.clear()
    assert world.run(resume=True).state == "recovered"


def test_an_abort_lets_the_step_end_and_begins_no_other(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], [of(C)], parallel=1))

    async def ask() -> None:
        world.services.store.owners.request_abort("r1", "bob")

    world.gates[A] = ask
    run = world.run()
    assert (run.state, world.states()) == ("aborted", {A: "aborted", B: "not-started", C: "not-started"})
    assert world.files.writes(A) == ["new"] and world.leases == []


def test_one_cluster_is_aborted_and_the_others_go_on(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], [of(C)], parallel=1))
    store = world.services.store
    with pytest.raises(NotFoundError):
        ask_to_stop(store, world.kept(), ("z",), "bob", world.services.now())

    async def ask() -> None:
        ask_to_stop(store, world.kept(), (A, B), "bob", world.services.now())

    world.gates[A] = ask
    error = world.fails(PartlyDoneError)
    # What was written stays; the wave has nothing verified, so that the next one is not opened.
    assert world.states() == {A: "aborted", B: "not-started", C: "not-started"}
    assert (world.files.writes(A), world.leases, error.exit_code) == (["new"], [], 8)


def test_a_cluster_that_is_aborted_does_not_stop_its_wave(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A), of(B)], [of(C)]))
    ask_to_stop(world.services.store, world.kept(), (B,), "bob", world.services.now())
    world.fails(PartlyDoneError)
    assert world.states() == {A: "recovered", B: "not-started", C: "recovered"} and world.files.writes(B) == []


def test_the_policy_takes_back_what_was_done_by_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B), of(C)], on_failure="undo", parallel=1))
    world.faults[B] = [Conflict("Changed.")]
    world.fails(PartlyDoneError)
    store = world.services.store
    other = next(e.data["run"] for e in store.events("r1") if e.type == "undo-follows")
    undo = store.get(other)
    assert (undo.state, undo.undo_of, [part.id for part in undo.operation.parts]) == ("pending", "r1", ["a/web"])
    _restored(monkeypatch, undo.operation)
    assert world.run(other).state == "recovered"
    assert world.files.read(A) == "old" and world.kept().undone_by == other and world.kept().state == "failed"


def test_what_takes_back_is_told_of_before_it_is_made_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B), of(C)], on_failure="undo", parallel=1))
    world.faults[B] = [Conflict("Changed.")]
    store = world.services.store
    with monkeypatch.context() as gone:
        gone.setattr(SqliteRunStore, "create", lambda *_: (_ for _ in ()).throw(StateError("The database is gone.")))
        world.fails(StateError)
    assert taking_back(store, world.kept()) is None and world.kept().state == "interrupted"
    told = next(e.data["run"] for e in store.events("r1") if e.type == "undo-follows")
    world.fails(PartlyDoneError)
    made = taking_back(store, world.kept())
    assert made is not None and (made.id, made.state) == (told, "pending")


def test_one_cluster_is_taken_back_and_then_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Clusters(tmp_path, fleet([of(A)], [of(B), of(C)]))
    world.run()
    store, captures = world.services.store, world.services.captures
    one = undo_operation(world.kept(), store.events("r1"), world.services.now(), captures, (B,))
    assert [part.id for part in one.parts] == ["b/web"]
    _restored(monkeypatch, one)
    assert world.run(new_run(store, one, "bob").id).state == "recovered"
    assert ([world.files.read(name) for name in (A, B, C)], world.kept().undone_by) == (["new", "old", "new"], "")
    rest = undo_operation(world.kept(), store.events("r1"), world.services.now(), captures)
    assert [part.id for part in rest.parts] == ["c/web", "a/web"]
    assert rest.fleet is not None and [wave.parts for wave in rest.fleet.waves] == [("c/web",), ("a/web",)]
    second = new_run(store, rest, "bob")
    assert world.run(second.id).state == "recovered"
    assert world.kept().undone_by == second.id
    with pytest.raises(BackoutError, match="taken back already"):
        undo_operation(world.kept(), store.events("r1"), world.services.now(), captures)


def test_a_capture_that_another_host_keeps_is_told_with_that_host(tmp_path: Path) -> None:
    world = Clusters(tmp_path, fleet([of(A)]))
    world.run()
    run = world.kept()
    (part,) = run.operation.parts
    with pytest.raises(CaptureError) as caught:
        CaptureStore(tmp_path / "elsewhere").load("r1.1")
    events = world.services.store.events("r1", part=part.id)
    told = kept_elsewhere(caught.value, "r1", part, events)
    host = next(event.data["by"] for event in events if event.type == "part-started").partition(":")[0]
    assert fill(told.hint, told.arguments).startswith(
        f"it was kept on {host}: take that part back there (backout undo r1 --cluster a)"
    )
    assert told.message == caught.value.message
    assert kept_elsewhere(caught.value, "r1", part, []) is caught.value


def _restored(monkeypatch: pytest.MonkeyPatch, made: Operation) -> None:
    monkeypatch.setattr("backout.mechanisms.workload.mechanism.WorkloadMechanism.read", restored(made))


def test_waves_that_do_not_have_each_part_once_are_no_plan() -> None:
    good = fleet([of(A)], [of(B)])
    assert good.fleet is not None
    for waves in (good.fleet.waves[:1], (*good.fleet.waves, good.fleet.waves[0])):
        with pytest.raises(PlanChanged):
            sealed(*good.parts, fleet=msgspec.structs.replace(good.fleet, waves=waves))
    with pytest.raises(PlanChanged, match="later wave"):
        fleet([of(A, "b/web")], [of(B)])
