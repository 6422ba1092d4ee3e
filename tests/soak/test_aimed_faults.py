# SPDX-License-Identifier: Apache-2.0
"""Faults that strike certain requests of a run, and so often in a row as they like."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from proxy import Applies, FaultProxy, Request
from world import GOOD, World

from backout.tools import pinned
from kubetwin import process
from kubetwin.process import Twin


class Case(NamedTuple):
    """``methods`` of requests for Leases that are struck by ``fault``, so often in a row."""

    methods: tuple[str, ...]
    fault: str
    in_a_row: int
    ends: str
    left: bool = False


CASES = {
    "delete-fails-twice": Case(("DELETE",), "unavailable", 2, "recovered"),
    "delete-is-done-and-nothing-heard": Case(("DELETE",), "reset-after", 100, "recovered"),
    "delete-always-fails": Case(("DELETE",), "reset-before", 100, "recovered", left=True),
    "create-is-done-and-nothing-heard": Case(("POST",), "reset-after", 100, "recovered"),
    "no-write-is-heard-of": Case(("POST", "PUT", "DELETE"), "gateway-timeout-after", 100, "failed"),
}


@pytest.fixture(scope="module")
def tools() -> dict[str, Path]:
    return asyncio.run(pinned())


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    folder = tmp_path_factory.mktemp("twin")
    yield process.up(folder, ("cluster-01",), kubelet={"start_delay": 0.2})
    process.down(folder)


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_is_over_has_no_lock_or_says_so(
    twin: Twin, tools: dict[str, Path], tmp_path: Path, name: str
) -> None:
    case = CASES[name]

    async def played(world: World, proxy: FaultProxy) -> None:
        answer = await world.backout(*world.run_words(), port=proxy.port)
        (run,) = world.runs()
        assert run.state == case.ends and proxy.struck[case.fault], answer
        assert (answer.code == 0) is (case.ends == "recovered")
        assert bool((await world.truth()).leases) is case.left
        assert ("lease-left" in told(answer.out)) is case.left, answer.out
        if not case.left:
            assert world.unfinished() == []
            return
        proxy.rate = 0.0
        looked = await world.backout("diagnose", port=proxy.port)
        assert "may still be locked" in looked.err, looked.err
        hint = shlex.split(looked.err.split("`")[1])
        assert hint[:2] == ["backout", "resume"] and hint[-1] == run.id
        resumed = await world.backout(*hint[1:], "-o", "json", port=proxy.port)
        assert resumed.code == 0 and "lease-returned" in told(resumed.out), resumed
        assert (await world.truth()).leases == () and world.runs() == [run]
        again = await world.backout("resume", run.id, "-o", "json", port=proxy.port)
        assert again.code == 5 and "has ended already" in again.out, again
        assert "may still be locked" not in (await world.backout("diagnose", port=proxy.port)).err

    def aim(request: Request) -> bool:
        return request.method in case.methods and "/leases" in request.path

    world = World(twin.kubeconfig, tools, tmp_path / f"locks-{name}", "workload", 1)
    asyncio.run(through(world, aim, case.fault, case.in_a_row, played))


@pytest.mark.parametrize("in_a_row", [1, 2])
def test_one_revision_is_deployed_though_helm_could_not_mark_the_other(
    twin: Twin, tools: dict[str, Path], tmp_path: Path, in_a_row: int
) -> None:
    """helm goes on, and says success."""

    def aim(request: Request) -> bool:
        return request.method == "PUT" and request.path.endswith("/sh.helm.release.v1.soaked.v2")

    async def played(world: World, proxy: FaultProxy) -> None:
        answer = await world.backout(*world.run_words(), port=proxy.port)
        assert proxy.struck["reset-before"] == in_a_row and answer.code == 0, answer
        found = await world.truth()
        assert (found.statuses, found.content) == (("superseded", "superseded", "deployed"), GOOD)

    world = World(twin.kubeconfig, tools, tmp_path / f"deployed-{in_a_row}", "helm", 1)
    asyncio.run(through(world, aim, "reset-before", in_a_row, played))


async def through(
    world: World, aim: Applies, fault: str, in_a_row: int, play: Callable[[World, FaultProxy], Awaitable[None]]
) -> None:
    await world.prepare()
    proxy = world.proxy(1.0)
    proxy.aim, proxy.only, proxy.in_a_row = aim, frozenset({fault}), in_a_row
    async with proxy.opened(world.identity):
        await play(world, proxy)


def told(out: str) -> list[str]:
    found = json.loads(out)
    (run,) = found.get("items", [found])
    return [event["type"] for event in run["events"]]
