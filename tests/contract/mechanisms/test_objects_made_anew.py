# SPDX-License-Identifier: Apache-2.0
"""Objects that were deleted and made again between snapshots: a Service has other addresses, and the same past."""

from __future__ import annotations

from pathlib import Path

from cluster_harness import Cluster as Harness
from objects_world import World, run

NAME = "service/web"
GOOD = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
BAD = {"spec": {"selector": {"app": "nobody"}}}


def test_a_service_with_another_address_is_the_same_revision(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        first = await world.make("Service", "web", spec=GOOD)
        await world.snapshot()
        await world.change(NAME, BAD)
        await world.snapshot(healthy=False)
        await world.delete(NAME)
        # Nobody gets the old address.
        await world.make("Service", "other", spec={"clusterIP": first["spec"]["clusterIP"], "ports": [{"port": 80}]})
        second = await world.make("Service", "web", spec=GOOD)
        await world.snapshot()
        await world.change(NAME, BAD)
        plan = await world.plan(NAME)
        assert (plan.revision.number, plan.current and plan.current.number) == (3, 4)
        captured = await world.keep(plan)
        # As a run does before its first write.
        await world.snapshot(healthy=False)
        await world.carry_out(plan)
        now = await world.history(NAME)
        assert now[-1].digest == plan.revision.digest
        await world.undo(plan, captured)
        now = await world.history(NAME)
        assert plan.current is not None
        assert now[-1].digest == plan.current.digest
        # Deleted, it comes back with the address that it had last.
        await world.delete(NAME)
        await world.carry_out(await world.plan(NAME))
        assert (await world.get(NAME))["spec"]["clusterIP"] == second["spec"]["clusterIP"]

    run(cluster, ns, tmp_path, work)
