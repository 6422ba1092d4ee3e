# SPDX-License-Identifier: Apache-2.0
"""Whatever the objects are: what was taken is what is put back, and what is as it was costs no write."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from generated import changes, objects, served, statuses
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from memory_cluster import MemoryCluster
from repository_world import new

from backout.cluster.port import Object, Resource
from backout.kube.sanitise import sanitise
from backout.model.snapshot import Snapshot
from backout.snapshots.collect import About, take
from backout.snapshots.diff import with_live
from backout.snapshots.repository import Repository
from backout.snapshots.restore import RECREATE, carry_out, require_possible
from backout.snapshots.restore_plan import RestorePlan, plan_restore
from backout.snapshots.selection import Selection

KINDS = served()
ASIDE = ("Job", "PersistentVolumeClaim")
"""Kinds that stand for more than their text: kept in snapshots, and not put back."""


def test_every_namespaced_kind_is_among_them() -> None:
    kinds = {resource.kind for resource in KINDS}
    assert len(kinds) >= 22
    assert {"ConfigMap", "Secret", "Service", "Ingress", "StatefulSet", "ResourceClaimTemplate", "Widget"} <= kinds


async def whole_plan(cluster: Any, repository: Repository, snapshot: Snapshot) -> RestorePlan:
    return await plan_restore(cluster, repository, snapshot, Selection())


def actions(plan: RestorePlan) -> set[str]:
    return {item.action for item in plan.items if item.ref.kind not in ASIDE}


@pytest.mark.parametrize("resource", KINDS, ids=lambda resource: resource.kind)
@settings(
    # Shrinking such objects takes minutes, and the first one that fails says enough.
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_what_is_taken_is_what_is_put_back(resource: Resource, data: st.DataObject) -> None:
    names = ["a", "b", "c"]
    originals = {name: data.draw(objects(resource, name)) for name in names}
    fates = {name: data.draw(st.sampled_from(["change", "delete", "renew", "keep"])) for name in names}
    status = data.draw(statuses(resource))

    async def main() -> None:
        cluster: Any = MemoryCluster([resource])
        for obj in originals.values():
            await cluster.create(obj)
        cluster.run_controllers(status)
        repository = await new()
        snapshot = (await take(cluster, repository, "n", About(healthy=True))).snapshot
        assert snapshot.objects == len(originals)
        before = {name: sanitise(await cluster.get(resource, name)) for name in names}

        # As it was: nothing to do, nothing written, nothing different, whatever controllers did meanwhile.
        cluster.run_controllers({"later": True})
        cluster.writes = 0
        plan = await whole_plan(cluster, repository, snapshot)
        assert actions(plan) <= {"unchanged"}
        await carry_out(cluster, plan)
        assert cluster.writes == 0
        assert (await with_live(cluster, repository, snapshot)).differences == ()

        for name, fate in fates.items():
            await meet(cluster, resource, name, fate, data)
        added = data.draw(objects(resource, "z"))
        await cluster.create(added)
        extra = sanitise(await cluster.get(resource, "z"))

        plan = await whole_plan(cluster, repository, snapshot)
        assert "blocked" not in actions(plan)
        require_possible(plan, (RECREATE,), partial=False)
        items = await carry_out(cluster, plan)
        assert {item.state for item in items if item.writes} <= {"done"}

        after = await whole_plan(cluster, repository, snapshot)
        assert actions(after) <= {"unchanged"}, [str(i.ref) for i in after.items if i.writes]
        if resource.kind in ASIDE:
            return
        for name in names:
            now = sanitise(await cluster.get(resource, name))
            if resource.kind == "Service":
                now, wanted = _addressless(now), _addressless(before[name])
            else:
                wanted = before[name]
            assert now == wanted
        assert sanitise(await cluster.get(resource, "z")) == extra
        left = {str(d.ref): d.change for d in (await with_live(cluster, repository, snapshot)).differences}
        assert set(left.values()) <= {"added"} or resource.kind == "Service"

    asyncio.run(main())


async def meet(cluster: Any, resource: Resource, name: str, fate: str, data: st.DataObject) -> None:
    """The bad change."""
    if fate == "keep":
        return
    live = await cluster.get(resource, name)
    bad = data.draw(changes(resource, sanitise(live)))
    if fate == "change":
        # Whether an update can do that is not asked here.
        cluster.objects[resource.group, resource.kind, name].update(
            {key: value for key, value in bad.items() if key != "metadata"}
        )
        for part in ("labels", "annotations"):
            cluster.objects[resource.group, resource.kind, name]["metadata"][part] = bad["metadata"].get(part) or {}
        if resource.kind == "Service":
            cluster.address(cluster.objects[resource.group, resource.kind, name])
        return
    await cluster.delete(resource, name)
    if fate == "renew":
        await cluster.create(bad)


def _addressless(service: Object) -> Object:
    """Addresses stay as they are now: see `desired.update`."""
    spec = dict(service.get("spec") or {})
    for field in ("clusterIP", "clusterIPs", "healthCheckNodePort"):
        spec.pop(field, None)
    return {**service, "spec": spec}
