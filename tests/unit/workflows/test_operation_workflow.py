# SPDX-License-Identifier: Apache-2.0
"""Operations of several parts: made ready as a whole, carried out in order, stopped on failure, taken back in reverse."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "crash"))

from rollback_world import NAMES, NS, SmallCluster, healthy, part, prepared, sealed, services

from backout.cluster.port import PODS
from backout.engine.inline import InlineEngine, Memory
from backout.errors import (
    AccessDenied,
    BackoutError,
    ClusterUnreachable,
    Conflict,
    NotVerifiedError,
    PartlyDoneError,
    UnexpectedError,
    WrongCluster,
    fill,
)
from backout.mechanisms.port import StepContext, StepOutcome
from backout.model.operation import Operation
from backout.model.part import Part, Step
from backout.model.run import Run
from backout.model.scope import ClusterIdentity, ClusterScope
from backout.report import render
from backout.scopes.clusters import ClusterScopes
from backout.workflows.runner import begin, go_on, new_run, workflows
from backout.workflows.undo import undo_operation

EAST, WEST = "east", "west"


def of(cluster: str, *needs: str, **more: Any) -> Part:
    """A part on one of two clusters, which writes a file of its own."""
    plain = part()
    name = {EAST: "one", WEST: "two"}[cluster]
    steps = tuple(
        msgspec.structs.replace(step, id="write", target=msgspec.structs.replace(step.target, cluster=cluster))
        for step in plain.steps
        if step.params["name"] == name
    )
    scope = ClusterScope(cluster=cluster, namespace=NS, identity=ClusterIdentity(f"uid-{cluster}", "ca"))
    return part(id=cluster, needs=needs, scope=scope, steps=steps, **more)


class Two:
    """Two clusters and one run on both."""

    def __init__(self, folder: Path, operation: Operation) -> None:
        self.clusters = {name: SmallCluster(*healthy()) for name in (EAST, WEST)}
        for name, cluster in self.clusters.items():
            cluster.who = ClusterIdentity(f"uid-{name}", "ca")
        self.memory = Memory()
        prepared(folder, operation)
        self.services, self.files = services(folder)
        self.services.scopes = ClusterScopes(lambda scope: self.clusters[scope.cluster])  # type: ignore[return-value]
        self.services.effect_of = self.effect_of
        self.faults: dict[str, list[Exception]] = {}
        self.order: list[str] = []

    def effect_of(self, action: str) -> Any:
        async def effect(context: StepContext, step: Step) -> StepOutcome:
            if left := self.faults.get(step.params["name"]):
                raise left.pop(0)
            self.order.append(step.params["name"])
            return await self.files.effect(action)(context, step)

        return effect

    def life(self, run: str, *, resume: bool = False) -> Run:
        async def main() -> Run:
            engine = InlineEngine(workflows(self.services), self.memory)
            try:
                async with asyncio.timeout(60):
                    return await (go_on if resume else begin)(engine, self.services.store, run)
            finally:
                await engine.close()

        return asyncio.run(main())

    def run(self, run: str = "r1", *, resume: bool = False) -> Run:
        return self.life(run, resume=resume)

    def kept(self) -> Run:
        return self.services.store.get("r1")

    def undo(self) -> Operation:
        store = self.services.store
        return undo_operation(self.kept(), store.events("r1"), datetime.now(UTC), self.services.captures)

    @property
    def leases(self) -> list[dict[str, str]]:
        return [cluster.leases for cluster in self.clusters.values()]

    def written(self) -> list[str]:
        return [self.files.read(name) for name in NAMES[:2]]


def test_parts_go_in_the_order_of_their_needs_and_everything_is_ready_before_the_first_write(tmp_path: Path) -> None:
    world = Two(tmp_path, sealed(of(EAST, WEST), of(WEST)))
    run = world.run()
    assert (run.state, world.order, world.written()) == ("recovered", ["two", "one"], ["new", "new"])
    told = [(e.type, e.part) for e in world.services.store.events("r1") if e.type not in ("step-progress", "check")]
    assert told == [
        ("run-started", ""),
        ("lease-acquired", WEST),
        ("captured", WEST),
        ("lease-acquired", EAST),
        ("captured", EAST),
        *((type, WEST) for type in ("step-started", "step-done", "soak", "verdict")),
        *((type, EAST) for type in ("step-started", "step-done", "soak", "verdict")),
        ("run-ended", ""),
    ]
    assert run.verdict is not None and [check.part for check in run.verdict.checks] == [WEST, WEST, EAST, EAST]
    assert world.leases == [{}, {}]
    assert set(run.captures) == {EAST, WEST}
    for number, id in enumerate((EAST, WEST), 1):
        assert Path(run.captures[id].path).name == f"r1.{number}.capture"
        held = world.services.captures.load(f"r1.{number}", run.captures[id].digest)
        assert held.cluster == id
    text = render(run, world.services.store.events("r1"), "en")
    assert text.count("# Recovered: deployment/web is back at revision 1") == 2
    assert text.index("cluster east") < text.index("cluster west")


@pytest.mark.parametrize("trouble", ["identity", "access"])
def test_what_stands_in_the_way_of_one_part_keeps_all_from_being_written(tmp_path: Path, trouble: str) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST)))
    expected: type[BackoutError] = WrongCluster
    if trouble == "identity":
        world.clusters[WEST].who = ClusterIdentity("another", "ca")
    else:
        world.clusters[WEST].may_not = {"deployments"}
        expected = AccessDenied
    with pytest.raises(expected):
        world.run()
    assert (world.kept().state, world.written(), world.leases) == ("failed", ["old", "old"], [{}, {}])


def test_a_part_that_fails_stops_the_rest_and_says_what_is_done(tmp_path: Path) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST)))
    world.faults["two"] = [Conflict("Changed.")]
    with pytest.raises(PartlyDoneError) as caught:
        world.run()
    assert fill(caught.value.found, caught.value.arguments) == "done: Write one; not done: Write two"
    run = world.kept()
    assert (run.state, run.verdict and run.verdict.outcome) == ("failed", "unknown"), "half of it is no recovery"
    assert (world.written(), world.leases) == (["new", "old"], [{}, {}])
    text = render(run, world.services.store.events("r1"), "en")
    assert "# Recovered: deployment/web" in text and "# Refused: deployment/web was not touched" in text


def test_a_part_that_is_not_healthy_stops_the_rest(tmp_path: Path) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST)))
    sick = next(obj for resource, obj in healthy() if resource is PODS)
    sick["status"]["conditions"] = []
    world.clusters[EAST].put(PODS, sick)
    with pytest.raises(PartlyDoneError, match="not healthy"):
        world.run()
    run = world.kept()
    assert (run.state, run.failure and run.failure.exit_code, world.order) == ("not-recovered", 8, ["one"])


def test_the_last_part_that_is_not_healthy_is_no_half_work(tmp_path: Path) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST)))
    sick = next(obj for resource, obj in healthy() if resource is PODS)
    sick["status"]["conditions"] = []
    world.clusters[WEST].put(PODS, sick)
    with pytest.raises(NotVerifiedError):
        world.run()
    run = world.kept()
    assert (run.state, run.verdict and run.verdict.outcome) == ("not-recovered", "not-recovered")


@pytest.mark.parametrize("error", [KeyError("x"), ClusterUnreachable("No answer.")])
def test_resume_goes_on_in_the_part_where_it_stopped(tmp_path: Path, error: Exception) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST)))
    world.faults["two"] = [error] * 3
    with pytest.raises((UnexpectedError, ClusterUnreachable)):
        world.run()
    assert (world.kept().state, world.leases) == ("interrupted", [{}, {}])
    world.faults.clear()
    assert world.run(resume=True).state == "recovered"
    assert [world.files.writes(name) for name in NAMES[:2]] == [["old", "new"]] * 2
    checks = [e.part for e in world.services.store.events("r1") if e.type == "verdict"]
    assert checks == [EAST, WEST], "what was verified is not measured again"


def test_undo_goes_backwards_through_parts_that_changed_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST, EAST)))
    world.run()
    made = world.undo()
    assert [(part.id, part.needs) for part in made.parts] == [(WEST, ()), (EAST, (WEST,))]
    assert [part.scope.cluster for part in made.parts] == [WEST, EAST]
    assert made.undo_of == "r1"

    async def restored(self: Any, cluster: Any, target: Any, *_: Any) -> Any:
        from types import SimpleNamespace

        former = msgspec.structs.replace(made.parts[0].revision, digest="bad", current=True)
        return SimpleNamespace(revisions=(former,))

    monkeypatch.setattr("backout.mechanisms.workload.mechanism.WorkloadMechanism.read", restored)
    second = new_run(world.services.store, made, "bob")
    world.order.clear()
    assert world.run(second.id).state == "recovered"
    assert (world.order, world.written()) == (["two", "one"], ["old", "old"])
    assert world.kept().undone_by == second.id


def test_undo_leaves_alone_what_was_not_begun(tmp_path: Path) -> None:
    world = Two(tmp_path, sealed(of(EAST), of(WEST, EAST)))
    world.faults["two"] = [Conflict("Changed.")]
    with pytest.raises(PartlyDoneError):
        world.run()
    assert [(part.id, part.needs) for part in world.undo().parts] == [(EAST, ())]
