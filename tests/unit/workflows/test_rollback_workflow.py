# SPDX-License-Identifier: Apache-2.0
"""The order of a rollback, its refusals and its ends, with the engine in memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import NAMES, SmallCluster, healthy, part, plan, prepared, sealed, services

from backout.cluster.port import DEPLOYMENTS, PODS
from backout.engine.inline import InlineEngine, Memory
from backout.engine.store.naming import new_process_id
from backout.errors import (
    AccessDenied,
    CaptureError,
    ClusterUnreachable,
    Conflict,
    Interrupted,
    LeaseLost,
    LockedError,
    NothingToDo,
    NotVerifiedError,
    PartlyDoneError,
    PlanChanged,
    RefusedError,
    ServerError,
    TimedOut,
    UnexpectedError,
    WrongCluster,
    fill,
)
from backout.mechanisms.port import StepContext, StepOutcome
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.part import Access, Check, Compensation, Step
from backout.model.run import Run
from backout.model.scope import ClusterIdentity
from backout.workflows.runner import begin, go_on, new_run, workflows
from backout.workflows.services import Services
from backout.workflows.undo import undo_operation

Fault = Callable[[StepContext, Step], Awaitable[None]]


class World:
    """One run after another on one cluster."""

    def __init__(self, folder: Path, wanted: Operation | None = None) -> None:
        self.folder = folder
        self.cluster = SmallCluster(*healthy())
        self.memory = Memory()
        prepared(folder, wanted)
        self.services, self.files = services(folder, self.cluster)
        self.before: dict[str, Fault] = {}
        self.after: dict[str, Fault] = {}
        self.services.effect_of = self.effect_of
        self.engine: InlineEngine | None = None

    def effect_of(self, action: str) -> Any:
        effect = self.files.effect(action)

        async def wrapped(context: StepContext, step: Step) -> StepOutcome:
            if fault := self.before.get(step.params["name"]):
                await fault(context, step)
            outcome = await effect(context, step)
            if fault := self.after.get(step.params["name"]):
                await fault(context, step)
            return outcome

        return wrapped

    def life(self, work: Callable[[InlineEngine, Services], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            self.engine = InlineEngine(workflows(self.services), self.memory)
            try:
                async with asyncio.timeout(600):
                    return await work(self.engine, self.services)
            finally:
                await self.engine.close()

        return asyncio.run(main())

    def run(self, run: str = "r1") -> Run:
        return self.life(lambda engine, outside: begin(engine, outside.store, run))  # type: ignore[no-any-return]

    def resume(self, run: str = "r1") -> Run:
        return self.life(lambda engine, outside: go_on(engine, outside.store, run))  # type: ignore[no-any-return]

    def kept(self) -> Run:
        return self.services.store.get("r1")

    def types(self) -> list[str]:
        return [event.type for event in self.services.store.events("r1")]

    def untouched(self) -> bool:
        return all(self.files.writes(name) == ["old"] for name in NAMES)


def raises(*errors: BaseException) -> Fault:
    left = list(errors)

    async def fault(context: StepContext, step: Step) -> None:
        if left:
            raise left.pop(0)

    return fault


def test_the_whole_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    run = world.run()
    assert run.state == "recovered"
    assert run.verdict is not None
    assert run.failure is None
    assert [t for t in world.types() if t != "step-progress"] == [
        "run-started",
        "lease-acquired",
        "captured",
        *(["step-started", "step-done"] * 3),
        "soak",
        "check",
        "check",
        "verdict",
        "run-ended",
    ]
    assert Path(run.captures["deployment/web"].path).exists()
    assert world.cluster.leases == {}


def test_a_plan_that_was_edited_after_approval(tmp_path: Path) -> None:
    edited = msgspec.structs.replace(plan(), parts=(part(soak=99.0),))
    world = World(tmp_path, edited)
    with pytest.raises(PlanChanged):
        world.run()
    assert world.kept().state == "failed"
    assert world.untouched()


def test_another_cluster_behind_the_context(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster.who = ClusterIdentity("uid-2", "ca-1", "https://elsewhere")
    with pytest.raises(WrongCluster) as caught:
        world.run()
    assert caught.value.exit_code == 5
    assert world.untouched()
    failure = world.kept().failure
    assert failure is not None
    assert (failure.code, failure.found and failure.found.text) == ("wrong-cluster", "uid uid-2 at https://elsewhere")


def test_a_missing_right_is_found_before_the_first_write(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster.may_not = {"deployments"}
    with pytest.raises(AccessDenied, match=r"patch deployments\.apps in monitoring"):
        world.run()
    assert world.untouched()
    assert world.kept().state == "failed"


def test_a_target_that_another_run_holds(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster.leases["deployment/web"] = "run-x"
    with pytest.raises(LockedError, match="run-x"):
        world.run()
    assert world.untouched()
    assert world.cluster.leases == {"deployment/web": "run-x"}


def test_a_capture_that_can_not_be_kept(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    world = World(tmp_path)
    with pytest.raises(CaptureError):
        world.run()
    assert world.untouched()


def test_a_capture_that_may_not_be_read(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster._denied["Secret"] = AccessDenied("You may not read Secrets.")
    with pytest.raises(AccessDenied):
        world.run()
    assert world.untouched()


def test_a_step_that_is_not_done_in_time_is_looked_at_again(tmp_path: Path) -> None:
    """A timeout says nothing final: what was late may be there by now."""
    world = World(tmp_path)
    world.before["two"] = raises(TimedOut("Late."), TimedOut("Later."))
    for words in ("Late.", "Later."):
        with pytest.raises(TimedOut):
            world.resume() if words == "Later." else world.run()
        run = world.kept()
        assert run.state == "interrupted" and run.failure is not None
        assert (run.failure.exit_code, run.failure.message.text) == (9, words)
        assert world.types()[-2:] == ["step-failed", "run-ended"] and world.cluster.leases == {}
    assert world.resume().state == "recovered"
    assert [world.files.writes(name) for name in NAMES] == [["old", "new"]] * 3, "what was done is not done again"


def test_rights_that_go_away_after_a_write_are_no_refusal(tmp_path: Path) -> None:
    """A refusal says that nothing was written."""
    for name, exit_code in (("one", 5), ("two", 8)):
        world = World(tmp_path / name)
        world.before[name] = raises(AccessDenied("You may not."))
        with pytest.raises(AccessDenied):
            world.run()
        run = world.kept()
        assert run.state == "interrupted" and run.failure is not None and run.failure.exit_code == exit_code
        assert "You may not." in run.failure.message.text
        assert world.resume().state == "recovered"


@pytest.mark.parametrize("fails", [False, True])
def test_a_lock_that_can_not_be_let_go_is_told_and_whoever_resumes_lets_it_go(tmp_path: Path, fails: bool) -> None:
    world = World(tmp_path)
    world.cluster.left = ServerError("503.")
    if fails:
        world.before["two"] = raises(Conflict("Changed."))
    run = world.run()
    assert run.state == ("failed" if fails else "recovered")
    told = [event for event in world.services.store.events("r1") if event.type == "lease-left"]
    assert len(told) == 1 and "503." in str(told[0].message) and world.cluster.leases
    written = [world.files.writes(name) for name in NAMES]
    for answer, last in ((ServerError("504."), "lease-left"), (None, "lease-returned")):
        world.cluster.left, world.services.life = answer, new_process_id()
        if fails and answer is None:
            with pytest.raises(PartlyDoneError):
                world.run()
        else:
            assert world.run().state == run.state
        assert world.types()[-1] == last
    assert world.cluster.leases == {} and [world.files.writes(name) for name in NAMES] == written
    assert world.kept().ended == run.ended


def test_a_lock_of_which_nothing_was_heard_is_let_go(tmp_path: Path) -> None:
    """Its taking ended in an error, and it is there all the same."""
    world = World(tmp_path)
    world.cluster.faults = {"lease": [ClusterUnreachable("The answer was lost.")]}
    world.cluster.leases["deployment/web"] = "r1"
    with pytest.raises(ClusterUnreachable):
        world.run()
    assert world.untouched() and world.cluster.leases == {} and world.kept().state == "failed"


def test_a_step_that_fails_after_others_changed_something(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.before["two"] = raises(Conflict("Changed."))
    with pytest.raises(PartlyDoneError) as caught:
        world.run()
    run = world.kept()
    assert (run.state, run.failure and run.failure.exit_code) == ("failed", 8)
    assert world.types()[-2:] == ["step-failed", "run-ended"]
    assert world.cluster.leases == {}
    found = fill(caught.value.found, caught.value.arguments)
    assert found == "done: Write one; not done: Write two; Write three"


def test_the_first_step_that_fails_before_a_write_is_a_plain_refusal(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.before["one"] = raises(Conflict("Changed."))
    with pytest.raises(Conflict):
        world.run()
    assert world.untouched()


def test_the_first_step_that_fails_after_its_write_is_partly_done(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.after["one"] = raises(Conflict("Changed.", found="{state}", state="half of it", hint="Look at it."))
    with pytest.raises(PartlyDoneError) as caught:
        world.run()
    found, hint = caught.value.arguments["state"], caught.value.arguments["advice"]
    assert found["text"].startswith("half of it; not done: ") and "nothing" not in found["text"]
    assert hint["text"].startswith("Look at it. `backout diagnose`")


def test_a_cluster_that_goes_away_is_waited_for_then_resumed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.before["two"] = raises(*(ClusterUnreachable("No answer.") for _ in range(4)))
    with pytest.raises(ClusterUnreachable):
        world.run()
    run = world.kept()
    assert (run.state, run.failure and run.failure.code) == ("interrupted", "cluster-unreachable")
    assert world.cluster.leases == {}
    run = world.resume()
    assert (run.state, run.failure) == ("recovered", None)
    assert [world.files.writes(name) for name in NAMES] == [["old", "new"]] * 3
    assert "resumed" in world.types()


@pytest.mark.parametrize(("when", "writes"), [("before", [2, 1, 1]), ("after", [2, 2, 1])])
def test_a_fault_of_ours_in_a_step_parks_the_run_and_resume_finishes_it(
    tmp_path: Path, when: str, writes: list[int]
) -> None:
    world = World(tmp_path)
    getattr(world, when)["two"] = raises(KeyError("canary-4711"))
    with pytest.raises(UnexpectedError) as caught:
        world.run()
    assert caught.value.exit_code == 1
    assert "`backout resume`" in caught.value.hint
    assert [len(world.files.writes(name)) for name in NAMES] == writes
    run = world.kept()
    assert (run.state, run.failure and run.failure.exit_code) == ("interrupted", 1), "no result of the run"
    last = world.services.store.events("r1")[-1]
    assert "KeyError" in last.message.text and "`backout resume r1`" in last.message.text
    assert world.cluster.leases == {}
    run = world.resume()
    assert (run.state, run.failure) == ("recovered", None)
    assert [world.files.writes(name) for name in NAMES] == [["old", "new"]] * 3
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"canary-4711" not in file.read_bytes(), file


@pytest.mark.parametrize("question", ["identity", "may", "lease"])
def test_a_fault_of_ours_before_the_first_write_parks_the_run_too(
    tmp_path: Path, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.cluster.faults[question] = [ZeroDivisionError()]
    with pytest.raises(UnexpectedError):
        world.run()
    assert world.kept().state == "interrupted"
    assert world.untouched()
    assert world.cluster.leases == {}
    assert world.resume().state == "recovered"


def test_a_fault_of_ours_in_measuring_is_no_verdict(tmp_path: Path) -> None:
    target = part().target
    asked = Check(
        code="object-present",
        target=target,
        title=msg("it is there"),
        params={"api_version": "v1", "kind": "Secret", "name": "s", "namespace": "monitoring"},
    )
    world = World(tmp_path, plan(checks=(*part().checks, asked)))
    world.cluster.faults["get"] = [ZeroDivisionError()]
    with pytest.raises(UnexpectedError):
        world.run()
    run = world.kept()
    assert (run.state, run.verdict) == ("interrupted", None)
    assert world.resume().state == "recovered"
    assert [world.files.writes(name) for name in NAMES] == [["old", "new"]] * 3, "nothing is done twice"


@pytest.mark.parametrize(("fault", "left"), [("identity", [1, 1, 1]), ("two", [2, 1, 1])])
def test_a_parked_run_that_fails_again_and_again_can_be_given_up(tmp_path: Path, fault: str, left: list[int]) -> None:
    world = World(tmp_path)
    again = [KeyError("x") for _ in range(9)]
    if fault == "identity":
        world.cluster.faults["identity"] = list(again)
    else:
        world.before["two"] = raises(*again)
    for go in (world.run, world.resume):
        with pytest.raises(UnexpectedError):
            go()
    world.services.store.owners.request_abort("r1", "alice")
    assert world.resume().state == "aborted"
    assert [len(world.files.writes(name)) for name in NAMES] == left
    assert world.cluster.leases == {}
    store = world.services.store
    if left == [1, 1, 1]:
        with pytest.raises(NothingToDo):
            undo_operation(world.kept(), store.events("r1"), datetime.now(UTC), world.services.captures)
    else:
        made = undo_operation(world.kept(), store.events("r1"), datetime.now(UTC), world.services.captures)
        assert [step.id for step in made.parts[0].steps] == ["undo-step-one"]


def test_a_lost_lease_stops_the_run_before_the_next_write(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def lose(context: StepContext, step: Step) -> None:
        world.cluster.lost = True

    world.before["two"] = lose
    with pytest.raises(LeaseLost):
        world.run()
    assert [len(world.files.writes(name)) for name in NAMES] == [2, 1, 1]
    world.cluster.lost = False
    world.before.clear()
    assert world.resume().state == "recovered"


def test_a_later_token_of_the_same_run_stops_this_process(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def overtaken(context: StepContext, step: Step) -> None:
        world.services.store.raise_token("r1", "deployment/web", 10**9)

    world.before["two"] = overtaken
    with pytest.raises(LeaseLost, match="Another process"):
        world.run()
    assert [len(world.files.writes(name)) for name in NAMES] == [2, 1, 1]


def test_interrupt_stops_at_a_boundary_and_releases(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def stop(context: StepContext, step: Step) -> None:
        assert world.engine is not None
        world.engine.interrupt()

    world.before["two"] = stop
    with pytest.raises(Interrupted):
        world.run()
    assert [len(world.files.writes(name)) for name in NAMES] == [2, 2, 1]
    assert world.kept().state == "interrupted"
    assert world.cluster.leases == {}
    assert "`backout resume r1`" in world.services.store.events("r1")[-1].message.text
    world.before.clear()
    assert world.resume().state == "recovered"
    assert [world.files.writes(name) for name in NAMES] == [["old", "new"]] * 3


def test_abort_ends_before_the_next_step(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def abort(context: StepContext, step: Step) -> None:
        assert world.engine is not None
        await world.engine.abort("r1")

    world.before["one"] = abort
    assert world.run().state == "aborted"
    assert [len(world.files.writes(name)) for name in NAMES] == [2, 1, 1]
    with pytest.raises(RefusedError, match="ended already"):
        world.resume()


def sick() -> Any:
    pod = next(obj for resource, obj in healthy() if resource is PODS)
    pod["status"]["conditions"] = []
    return pod


def test_steps_that_work_and_pods_that_do_not_are_not_a_success(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster.put(PODS, sick())
    with pytest.raises(NotVerifiedError) as caught:
        world.run()
    assert caught.value.exit_code == 7
    run = world.kept()
    assert (run.state, run.verdict and run.verdict.outcome) == ("not-recovered", "not-recovered")


def test_what_could_not_be_measured_is_unknown(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cluster._denied["Pod"] = AccessDenied("You may not list pods.")
    with pytest.raises(NotVerifiedError, match="could not be proven"):
        world.run()
    assert world.kept().state == "unknown"


def test_a_plan_without_checks_is_never_a_success(tmp_path: Path) -> None:
    world = World(tmp_path, plan(checks=()))
    with pytest.raises(NotVerifiedError):
        world.run()
    assert world.kept().state == "unknown"


def test_undo_takes_back_in_reverse_and_is_verified_in_its_own_way(tmp_path: Path, monkeypatch: Any) -> None:
    world = World(tmp_path)
    (tmp_path / "files" / "two").write_text("new\n")  # was so already: not ours to take back
    world.run()
    store = world.services.store
    made = undo_operation(world.kept(), store.events("r1"), datetime.now(UTC), world.services.captures)
    assert [step.id for step in made.parts[0].steps] == ["undo-step-three", "undo-step-one"]
    assert [check.code for check in made.parts[0].checks] == ["revision-restored"]
    assert made.parts[0].checks[0].params["digest"] == "bad"
    assert (made.parts[0].revision.number, made.undo_of) == (2, "r1")
    risk = made.parts[0].risks[0].message.text
    assert ("which was broken" in risk) is bool(world.kept().operation.parts[0].problems), (
        "only what was found broken was"
    )

    class History:
        async def read(self, cluster: Any, target: Any) -> Any:
            digest = "bad" if world.files.read("one") == "old" else "good"
            found = msgspec.structs.replace(made.parts[0].revision, digest=digest, current=True, number=3)
            return SimpleNamespace(revisions=(found,))

    monkeypatch.setattr("backout.mechanisms.registry.of_kind", lambda kind: History())
    second = new_run(store, made, "bob")
    assert world.run(second.id).state == "recovered"
    assert [world.files.read(name) for name in NAMES] == ["old", "new", "old"]
    assert world.kept().undone_by == second.id
    with pytest.raises(RefusedError, match="taken back already"):
        undo_operation(world.kept(), store.events("r1"), datetime.now(UTC), world.services.captures)


def test_undo_that_does_not_bring_the_former_content_back_is_not_a_success(tmp_path: Path, monkeypatch: Any) -> None:
    world = World(tmp_path)
    world.run()
    store = world.services.store
    made = undo_operation(world.kept(), store.events("r1"), datetime.now(UTC), world.services.captures)

    class History:
        async def read(self, cluster: Any, target: Any) -> Any:
            found = msgspec.structs.replace(made.parts[0].revision, digest="something else", current=True)
            return SimpleNamespace(revisions=(found,))

    monkeypatch.setattr("backout.mechanisms.registry.of_kind", lambda kind: History())
    with pytest.raises(NotVerifiedError):
        world.run(new_run(store, made, "bob").id)
    assert world.kept().undone_by == ""


def test_a_run_that_changed_nothing_has_nothing_to_undo(tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in NAMES:
        (tmp_path / "files" / name).write_text("new\n")
    assert world.run().state == "recovered"
    with pytest.raises(NothingToDo):
        undo_operation(world.kept(), world.services.store.events("r1"), datetime.now(UTC), world.services.captures)


def test_undo_asks_for_the_rights_of_what_it_does_itself(tmp_path: Path) -> None:
    needed = Access("create", "", "services", "monitoring")
    wanted = part()
    taken = [
        msgspec.structs.replace(step, compensation=msgspec.structs.replace(step.compensation, access=(needed,)))
        for step in wanted.steps
        if step.compensation is not None
    ]
    world = World(tmp_path, sealed(msgspec.structs.replace(wanted, steps=tuple(taken))))
    world.run()
    made = undo_operation(world.kept(), world.services.store.events("r1"), datetime.now(UTC), world.services.captures)
    assert needed in made.parts[0].access
    assert Access("create", "coordination.k8s.io", "leases", "monitoring") in made.parts[0].access
    assert not {right for right in wanted.access if right.verb == "patch"} & set(made.parts[0].access)
    step = made.parts[0].steps[0]
    assert step.compensation is not None and step.compensation.access == world.kept().operation.parts[0].access


def test_undo_of_what_no_revision_holds_is_measured_by_the_capture(tmp_path: Path) -> None:
    wanted = part()
    live = {
        "api_version": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "namespace": "monitoring",
        "uid": "u",
        "parts": ["spec.replicas"],
    }
    lost = {"api_version": "v1", "kind": "ConfigMap", "name": "lost", "namespace": "monitoring"}
    back = Compensation(
        "helm.restore-live", {"release": "web", "driver": "secret", "expect": "d", "objects": [live], "remove": [lost]}
    )
    world = World(
        tmp_path,
        sealed(msgspec.structs.replace(wanted, steps=(msgspec.structs.replace(wanted.steps[0], compensation=back),))),
    )
    found = next(obj for resource, obj in healthy() if resource is DEPLOYMENTS)
    world.cluster.put(DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", **found})
    run = world.run()
    store, captures = world.services.store, world.services.captures
    digest = run.captures["deployment/web"].digest
    made = undo_operation(run, store.events("r1"), datetime.now(UTC), captures)
    assert made.parts[0].steps[0].params["capture"] == {"run": "r1", "digest": digest}
    (measured,) = [check.params["objects"] for check in made.parts[0].checks if check.code == "live-restored"]
    assert list(measured[0]["parts"]) == ["spec.replicas"]
    assert [check.params["name"] for check in made.parts[0].checks if check.code == "object-absent"] == ["lost"]
    Path(run.captures["deployment/web"].path).unlink()
    with pytest.raises(CaptureError):
        undo_operation(run, store.events("r1"), datetime.now(UTC), captures)
