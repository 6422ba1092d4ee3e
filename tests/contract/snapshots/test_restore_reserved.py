# SPDX-License-Identifier: Apache-2.0
"""A restore and everybody else who writes: runs, other restores, and autoscalers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from snapshot_world import World, run

from backout.cluster.lease import hold, lease_name
from backout.cluster.port import CONFIGMAPS, DEPLOYMENTS, LEASES, Object
from backout.errors import LeaseLost, LockedError, ObjectNotFound
from backout.model.snapshot import Snapshot
from backout.snapshots.reservation import MANY, Guard, reserved, targets
from backout.snapshots.restore import carry_out


async def broken(world: World, count: int = 1) -> Snapshot:
    """A namespace whose ConfigMaps changed after the snapshot."""
    for number in range(count):
        await world.make("ConfigMap", f"c{number}", data={"a": "1"})
    snapshot = (await world.take()).snapshot
    for number in range(count):
        await world.cluster.patch(CONFIGMAPS, f"c{number}", {"data": {"a": "2"}}, world.ns)
    return snapshot


async def leases(world: World) -> list[str]:
    return sorted(lease["metadata"]["name"] for lease in await world.cluster.list_all(LEASES, world.ns))


@pytest.mark.parametrize("held", ["configmap/c0", "namespace/NS"])
def test_what_somebody_works_on_is_not_restored(cluster: Harness, ns: str, held: str) -> None:
    async def work(world: World) -> None:
        plan = await world.plan(await broken(world))
        about = {"actor": "jane@laptop", "about": "back to revision 3"}
        target = held.replace("NS", ns)
        async with hold(world.cluster, target, ns, holder="run-1", about=about, renew=0.2):
            with pytest.raises(LockedError) as caught:
                async with reserved(world.cluster, plan, actor="bob@laptop"):
                    raise AssertionError("two hold it")
            assert caught.value.exit_code == 6
            for word in (target, "jane@laptop", "run run-1", "back to revision 3"):
                assert word in caught.value.message
            assert await leases(world) == [lease_name(target)]
        async with reserved(world.cluster, plan, actor="bob@laptop") as guard:
            with pytest.raises(LockedError, match=r"bob@laptop \(restore of snapshot .*objects to write: 1"):
                async with reserved(world.cluster, plan, actor="jane@laptop"):
                    raise AssertionError("two hold it")
            items = await carry_out(world.cluster, plan, guard=guard)
        assert [item.state for item in items if item.writes] == ["done"]
        assert await leases(world) == []

    run(cluster, ns, work)


def test_when_a_lease_is_lost_in_the_middle_nothing_more_is_written(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        plan = await world.plan(await broken(world, 20))
        writes = 0

        async def replace(obj: Object) -> Object:
            nonlocal writes
            answer = await type(world.cluster).replace(world.cluster, obj)
            if obj["kind"] == "ConfigMap":
                writes += 1
                if writes == 3:
                    await world.cluster.delete(LEASES, lease_name(f"namespace/{ns}"), ns)
            return answer

        world.cluster.replace = replace  # type: ignore[method-assign]
        async with reserved(world.cluster, plan, actor="bob") as guard:
            items = [item for item in await carry_out(world.cluster, plan, guard=guard) if item.writes]
        states = [item.state for item in items]
        assert set(states) == {"done", "not-reached"}
        assert states.count("done") == writes < 20
        assert "is lost: it was deleted" in " ".join(item.reason.text for item in items if item.reason)

    run(cluster, ns, work)


def test_a_restore_that_is_cut_off_lets_go(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        plan = await world.plan(await broken(world))
        inside = asyncio.Event()

        async def stuck() -> None:
            inside.set()
            await asyncio.Event().wait()

        async def restore() -> None:
            async with reserved(world.cluster, plan, actor="bob"):
                await carry_out(world.cluster, plan, guard=stuck)

        task = asyncio.create_task(restore())
        await inside.wait()
        assert len(await leases(world)) == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await leases(world) == []
        assert [item.state for item in plan.items if item.writes] == ["not-reached"]

    run(cluster, ns, work)


HELD = """
import asyncio, sys
from types import SimpleNamespace
from backout.cluster.client import connect
from backout.snapshots.reservation import reserved
async def main():
    snapshot = SimpleNamespace(short="0badcafe", namespace=sys.argv[2])
    async with connect(sys.argv[1], sys.argv[3]) as cluster:
        async with reserved(cluster, SimpleNamespace(snapshot=snapshot, items=()), actor="jane"):
            print("held", flush=True)
            await asyncio.Event().wait()
asyncio.run(main())
"""


def test_a_restore_that_was_killed_is_taken_over_when_its_lease_ran_out(
    cluster: Harness, ns: str, tmp_path: Path
) -> None:
    """Through the command line: first refused while the other lives, then done once the killed one's Lease is old."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(cluster.kubeconfig),
        "BACKOUT_DATA": str(tmp_path / "data"),
        "BACKOUT_STATE": str(tmp_path / "state.db"),
    }
    context = ["--context", cluster.context] if cluster.context else []

    def backout(*arguments: str, code: int = 0) -> Any:
        result = subprocess.run(
            [sys.executable, "-m", "backout.cli.main", *context, "-n", ns, "snapshot", *arguments, "-o", "json"],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == code, result.stdout + result.stderr
        return json.loads(result.stdout)

    maps = f"/api/v1/namespaces/{ns}/configmaps"
    cluster.post(maps, {"metadata": {"name": "web"}, "data": {"a": "1"}}).ok()
    backout("create", "--tag", "v1")
    cluster.patch(f"{maps}/web", {"data": {"a": "2"}}).ok()
    arguments = [sys.executable, "-c", HELD, str(cluster.kubeconfig), ns, cluster.context or ""]
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            backout("restore", "v1", "--dry-run")
            error = backout("restore", "v1", "--yes", code=6)["error"]
            assert error["code"] == "locked"
            assert f"namespace/{ns} is being worked on by jane (restore of snapshot 0badcafe)" in error["message"]
            assert error["hint"] == "Wait until it ends."
            assert cluster.get(f"{maps}/web").ok()["data"] == {"a": "2"}
        finally:
            other.send_signal(signal.SIGKILL)
    done = backout("restore", "v1", "--yes")
    assert [item["state"] for item in done["items"] if "state" in item] == ["done"]
    assert cluster.get(f"{maps}/web").ok()["data"] == {"a": "1"}
    assert cluster.get(f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases").ok()["items"] == []


def test_of_many_objects_the_namespace_and_the_releases_are_reserved(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        few = targets(await world.plan(await broken(world, 2)))
        assert few == [f"namespace/{ns}", "configmap/c0", "configmap/c1"]
        await world.cluster.delete(CONFIGMAPS, "c0", ns)
        await world.cluster.delete(CONFIGMAPS, "c1", ns)
        assert targets(await world.plan(await broken(world, MANY + 1))) == [f"namespace/{ns}"]

    run(cluster, ns, work)


def test_those_who_ask_at_once_share_one_look() -> None:
    class Held:
        token = 1
        looks = 0
        lost = False

        async def confirm(self) -> None:
            self.looks += 1
            await asyncio.sleep(0)
            if self.lost:
                raise LeaseLost("lost")

    async def main() -> None:
        held = Held()
        guard = Guard([held])
        await asyncio.gather(*(guard() for _ in range(8)))
        # The first looks alone; the others came while it did, and one look after it is for all of them.
        assert held.looks == 2
        await guard()
        assert held.looks == 3
        held.lost = True
        for outcome in await asyncio.gather(*(guard() for _ in range(4)), return_exceptions=True):
            assert isinstance(outcome, LeaseLost)

    asyncio.run(main())


def deployment(replicas: int, image: str = "nginx:1.25") -> Object:
    labels = {"app": "web"}
    container = {"name": "web", "image": image}
    return {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }


async def autoscaled(world: World, owner: str = "", target: str = "web") -> None:
    references = [{"apiVersion": "keda.sh/v1alpha1", "kind": owner, "name": "so", "uid": "u"}] if owner else []
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    await world.make(
        "HorizontalPodAutoscaler",
        "web",
        "autoscaling/v2",
        metadata={"ownerReferences": references},
        spec={"minReplicas": 1, "maxReplicas": 9, "scaleTargetRef": scaled},
    )


@pytest.mark.parametrize(
    ("owner", "target", "now", "after"),
    [
        ("", "web", 4, 4),
        ("ScaledObject", "web", 4, 4),
        ("", "web", 0, 2),
        ("ScaledObject", "web", 0, 0),
        ("", "other", 4, 2),
    ],
)
def test_the_number_of_replicas_is_the_autoscalers(
    cluster: Harness, ns: str, owner: str, target: str, now: int, after: int
) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("Deployment", "web", "apps/v1", spec=deployment(2))
        await autoscaled(world, owner, target)
        snapshot = (await world.take()).snapshot
        await port.patch(DEPLOYMENTS, "web", {"spec": {"replicas": now}}, ns)
        plan = await world.plan(snapshot, "deploy/web")
        kept = after == now
        assert plan.items[0].action == ("unchanged" if kept else "update")
        texts = [note.text for note in plan.items[0].notes]
        assert texts == ([f"its number of replicas belongs to horizontalpodautoscaler/web, and stays {now}"] * kept)
        # something else changed as well: that goes back, the number stays
        patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:9"}]
        await port.patch(DEPLOYMENTS, "web", patch, ns, type="json")
        assert await world.restore(snapshot, "deploy/web") == {"deployment/web": "done"}
        found = (await port.get(DEPLOYMENTS, "web", ns))["spec"]
        assert found["replicas"] == after
        assert found["template"]["spec"]["containers"][0]["image"] == "nginx:1.25"

    run(cluster, ns, work)


def test_a_status_that_moves_on_between_plan_and_write_is_no_conflict(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("Deployment", "web", "apps/v1", spec=deployment(2))
        snapshot = (await world.take()).snapshot
        await port.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, ns)
        plan = await world.plan(snapshot, "deploy/web")
        assert plan.items[0].action == "update"
        status = {"status": {"conditions": [{"type": "Odd", "status": "True", "reason": "x", "message": "y"}]}}
        await port.patch(DEPLOYMENTS, "web", status, ns, subresource="status", type="merge")
        assert [item.state for item in await carry_out(port, plan)] == ["done"]
        assert (await port.get(DEPLOYMENTS, "web", ns))["spec"]["replicas"] == 2
        plan = await world.plan(snapshot, "deploy/web")
        await port.patch(DEPLOYMENTS, "web", {"metadata": {"labels": {"by": "somebody"}}}, ns)
        assert [item.action for item in plan.items] == ["unchanged"]

    run(cluster, ns, work)


def test_an_autoscaler_that_may_not_be_seen_is_said(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        await world.make("Deployment", "web", "apps/v1", spec=deployment(2))
        snapshot = (await world.take()).snapshot
        await world.cluster.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, ns)

        from backout.errors import AccessDenied

        async def denied(*arguments: Any, **more: Any) -> Any:
            raise AccessDenied("You may not list them.")

        world.cluster.list_as = denied  # type: ignore[method-assign]
        plan = await world.plan(snapshot, "deploy/web")
        assert plan.items[0].action == "update"
        assert "may not list HorizontalPodAutoscalers" in plan.items[0].notes[0].text

    run(cluster, ns, work)


def test_an_object_that_is_gone_is_created_with_the_number_of_the_snapshot(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("Deployment", "web", "apps/v1", spec=deployment(2))
        await autoscaled(world)
        snapshot = (await world.take()).snapshot
        await port.delete(DEPLOYMENTS, "web", ns)
        while True:
            try:
                await port.get(DEPLOYMENTS, "web", ns)
            except ObjectNotFound:
                break
        assert (await world.restore(snapshot, "deploy/web")) == {"deployment/web": "done"}
        assert (await port.get(DEPLOYMENTS, "web", ns))["spec"]["replicas"] == 2

    run(cluster, ns, work)
