# SPDX-License-Identifier: Apache-2.0
"""A namespace is captured, broken, compared and put back, against a whole API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from snapshot_world import World, run

from backout.cluster.client import KubernetesCluster
from backout.cluster.port import CONFIGMAPS, SECRETS, SERVICES, Object, Resource
from backout.errors import AccessDenied, ObjectNotFound, RefusedError
from backout.kube.sanitise import sanitise
from backout.model.snapshot import Entry
from backout.model.target import ObjectRef
from backout.snapshots.collect import encode
from backout.snapshots.diff import with_live
from backout.snapshots.repository.saving import plain_draft
from backout.snapshots.restore import carry_out, require_possible

CANARY = "canary-5b0c71-value"


def test_what_was_changed_deleted_and_added_is_found_and_put_back_exactly(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("ConfigMap", "web", data={"a": "1", "text": "x\ny\n"}, metadata={"labels": {"team": "a"}})
        await world.make("ConfigMap", "lost", data={"a": "1"})
        await world.make("Secret", "db", stringData={"password": CANARY})
        snapshot = (await world.take()).snapshot
        assert await world.differences(snapshot) == {}
        web = await port.get(CONFIGMAPS, "web", ns)
        await port.replace(
            {
                **web,
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "data": {"a": "2", "evil": "x", "text": "x\nz\n"},
                "metadata": {**web["metadata"], "labels": {"team": "a", "more": "x"}, "annotations": {"n": "x"}},
            }
        )
        await port.patch(SECRETS, "db", {"stringData": {"password": "other", "added": "x"}}, ns)
        await port.delete(CONFIGMAPS, "lost", ns)
        await world.make("ConfigMap", "new", data={})
        assert await world.differences(snapshot) == {
            "configmap/web": "changed",
            "secret/db": "changed",
            "configmap/lost": "gone",
            "configmap/new": "added",
        }
        done = await world.restore(snapshot)
        assert {name for name, state in done.items() if state == "done"} == {
            "configmap/web",
            "secret/db",
            "configmap/lost",
        }
        web = await port.get(CONFIGMAPS, "web", ns)
        assert web["data"] == {"a": "1", "text": "x\ny\n"}
        assert web["metadata"]["labels"] == {"team": "a"}
        assert "annotations" not in web["metadata"]
        assert set((await port.get(SECRETS, "db", ns))["data"]) == {"password"}
        assert await world.differences(snapshot) == {"configmap/new": "added"}

    run(cluster, ns, work)


def test_what_is_as_it_was_costs_no_write(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        for number in range(15):
            await world.make("ConfigMap", f"c{number}", data={"n": str(number)})
        await world.make("Service", "web", spec={"ports": [{"port": 80}]})
        snapshot = (await world.take()).snapshot
        before = world.cluster.writes
        done = await world.restore(snapshot)
        assert world.cluster.writes == before
        assert set(done.values()) == {"unchanged"}
        assert len(done) == snapshot.objects
        again = await world.take()
        assert again.snapshot.pages == snapshot.pages
        assert again.snapshot.parent == snapshot.id

    run(cluster, ns, work)


def test_a_service_keeps_its_addresses(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        made = await world.make(
            "Service", "web", spec={"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]}
        )
        address, node_port = made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
        snapshot = (await world.take()).snapshot
        await port.patch(SERVICES, "web", {"spec": {"selector": {"app": "nobody"}}}, ns)
        assert (await world.restore(snapshot, "svc/web")) == {"service/web": "done"}
        now = await port.get(SERVICES, "web", ns)
        assert now["spec"]["selector"] == {"app": "web"}
        assert (now["spec"]["clusterIP"], now["spec"]["ports"][0]["nodePort"]) == (address, node_port)

        # deleted: the old addresses are still free
        await port.delete(SERVICES, "web", ns)
        assert (await world.restore(snapshot, "svc/web")) == {"service/web": "done"}
        now = await port.get(SERVICES, "web", ns)
        assert (now["spec"]["clusterIP"], now["spec"]["ports"][0]["nodePort"]) == (address, node_port)

        # deleted, and another one has the address
        await port.delete(SERVICES, "web", ns)
        await world.make("Service", "thief", spec={"clusterIP": address, "ports": [{"port": 80}]})
        plan = await world.plan(snapshot, "service/web")
        assert "new ones" in plan.items[0].notes[0].text
        await carry_out(port, plan)
        now = await port.get(SERVICES, "web", ns)
        assert now["spec"]["clusterIP"] not in ("", address)
        # nothing can give it its address back: it counts as restored
        plan = await world.plan(snapshot, "service/web")
        assert plan.items[0].action in ("unchanged", "update")

    run(cluster, ns, work)


def test_an_immutable_object_is_created_anew_only_after_a_yes(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("ConfigMap", "frozen", data={"a": "1"}, immutable=True)
        snapshot = (await world.take()).snapshot
        await port.delete(CONFIGMAPS, "frozen", ns)
        await world.make("ConfigMap", "frozen", data={"a": "2"}, immutable=True)
        plan = await world.plan(snapshot)
        with pytest.raises(RefusedError, match="configmap/frozen"):
            require_possible(plan, (), partial=False)
        require_possible(plan, ("recreate",), partial=False)
        await carry_out(port, plan)
        now = await port.get(CONFIGMAPS, "frozen", ns)
        assert (now["data"], now["immutable"]) == ({"a": "1"}, True)

    run(cluster, ns, work)


def test_another_writer_stops_the_restore_and_nothing_further_is_begun(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("ConfigMap", "web", data={"a": "1"})
        await world.make("Service", "web", spec={"ports": [{"port": 80}], "selector": {"app": "web"}})
        snapshot = (await world.take()).snapshot
        await port.patch(CONFIGMAPS, "web", {"data": {"a": "2"}}, ns)
        await port.patch(SERVICES, "web", {"spec": {"selector": {"app": "no"}}}, ns)
        plan = await world.plan(snapshot)
        await port.patch(CONFIGMAPS, "web", {"data": {"a": "3"}}, ns)
        items = {str(item.ref): item for item in await carry_out(port, plan)}
        assert items["configmap/web"].state == "failed"
        assert "changed by somebody else" in str(items["configmap/web"].reason)
        assert items["service/web"].state == "not-reached"
        assert (await port.get(CONFIGMAPS, "web", ns))["data"] == {"a": "3"}

    run(cluster, ns, work)


def test_what_controllers_made_and_helms_history_are_left_alone(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        owner = {"apiVersion": "example.org/v1", "kind": "Widget", "name": "w", "uid": "u", "controller": True}
        labels = {"owner": "helm", "name": "app", "version": "1", "status": "deployed"}
        await world.make(
            "Secret",
            "sh.helm.release.v1.app.v1",
            type="helm.sh/release.v1",
            stringData={"release": "x"},
            metadata={"labels": labels},
        )
        await world.make("ConfigMap", "made", data={"a": "1"})
        snapshot = (await world.take()).snapshot
        assert [(r.name, r.revision) for r in snapshot.pointers.releases] == [("app", 1)]
        assert snapshot.pointers.releases[0].address
        await port.delete(SECRETS, "sh.helm.release.v1.app.v1", ns)
        await port.patch(CONFIGMAPS, "made", {"data": {"a": "2"}, "metadata": {"ownerReferences": [owner]}}, ns)
        before = port.writes
        done = await world.restore(snapshot)
        assert done["secret/sh.helm.release.v1.app.v1"] == done["configmap/made"] == "left-alone"
        assert port.writes == before
        done = await world.restore(snapshot, "secret/sh.helm.release.v1.app.v1", include_owned=True)
        assert done == {"secret/sh.helm.release.v1.app.v1": "done"}

    run(cluster, ns, work)


def test_a_kind_that_is_gone_is_named_before_anything_is_written(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        kept = await world.make("ConfigMap", "web", data={"a": "1"})
        async with world.repository.writer() as writer:
            widget = {"apiVersion": "gone.example/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": ns}}
            snapshot = (await world.take()).snapshot
            for obj in (sanitise({"apiVersion": "v1", "kind": "ConfigMap", **kept}), widget):
                content = encode(obj)

                await writer.add(Entry(ref=ObjectRef.of(obj), address=await writer.put(content), size=len(content)))

            snapshot = await writer.save(plain_draft(snapshot))
        await world.cluster.patch(CONFIGMAPS, "web", {"data": {"a": "2"}}, ns)
        plan = await world.plan(snapshot)
        with pytest.raises(RefusedError, match="widget/w"):
            require_possible(plan, (), partial=False)
        require_possible(plan, (), partial=True)
        items = {str(i.ref): i for i in await carry_out(world.cluster, plan)}
        assert items["widget/w"].action == "blocked"
        assert items["configmap/web"].state == "done"

    run(cluster, ns, work)


def test_a_restore_that_is_cut_off_says_how_far_it_came(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        port = world.cluster
        await world.make("ConfigMap", "web", data={"a": "1"})
        await world.make("Service", "web", spec={"ports": [{"port": 80}], "selector": {"app": "web"}})
        snapshot = (await world.take()).snapshot
        await port.delete(CONFIGMAPS, "web", ns)
        await port.delete(SERVICES, "web", ns)
        plan = await world.plan(snapshot)

        async def stuck(obj: Object) -> Object:
            if obj["kind"] == "Service":
                raise asyncio.CancelledError
            return await KubernetesCluster.create(port, obj)

        port.create = stuck  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await carry_out(port, plan)
        states = {str(item.ref): item.state for item in plan.items if item.writes}
        assert states == {"configmap/web": "done", "service/web": "unknown"}

    run(cluster, ns, work)


def test_a_namespace_on_its_way_out_is_named_with_the_object(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        made = await world.make("ConfigMap", "web", data={"a": "1"}, metadata={"finalizers": ["example.org/hold"]})
        snapshot = (await world.take()).snapshot
        namespaces = Resource("v1", "Namespace", "namespaces", namespaced=False)
        await world.cluster.delete(namespaces, ns)
        try:
            with pytest.raises(RefusedError, match=f"{ns} is being deleted, so configmap/web"):
                await world.plan(snapshot, "configmap/web")
        finally:
            await world.cluster.patch(CONFIGMAPS, made["metadata"]["name"], {"metadata": {"finalizers": None}}, ns)
        await asyncio.to_thread(cluster.wait_gone, f"/api/v1/namespaces/{ns}")
        with pytest.raises(RefusedError, match=f"no namespace {ns}, so configmap/web"):
            await world.plan(snapshot, "configmap/web")

    run(cluster, ns, work)


def test_a_name_that_the_snapshot_does_not_hold_is_said(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        snapshot = (await world.take()).snapshot
        with pytest.raises(ObjectNotFound, match="configmap/nope"):
            await world.plan(snapshot, "configmap/nope")

    run(cluster, ns, work)


def test_a_workload_that_is_not_ready_is_no_good_state(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a"}}}]
        labels = {"app": "web"}
        await world.make(
            "Deployment",
            "web",
            "apps/v1",
            spec={
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": "nginx:1.25", "env": env}]},
                },
            },
        )
        taken = await world.take()
        assert taken.snapshot.healthy is False
        assert not taken.snapshot.good
        (pointer,) = taken.snapshot.pointers.workloads
        assert (str(pointer.ref), pointer.ready, pointer.healthy) == ("deployment/web", 0, False)
        skipped = {found.ref.kind for found in taken.snapshot.skipped if not found.ref.name}
        assert {"Pod", "Event", "Lease", "Endpoints", "ReplicaSet"} <= skipped
        assert set(taken.kinds) == {"Deployment", "ServiceAccount"}

    run(cluster, ns, work)


def test_what_may_not_be_listed_is_said_and_not_taken_for_gone(cluster: Harness, ns: str) -> None:
    async def work(world: World) -> None:
        await world.make("ConfigMap", "web", data={"a": "1"})
        await world.make("Secret", "db", stringData={"a": "1"})
        snapshot = (await world.take()).snapshot

        async def denied(resource: Any, *arguments: Any, **more: Any) -> Any:
            if resource == SECRETS:
                raise AccessDenied("You may not list secrets.")
            async for page in KubernetesCluster.pages(world.cluster, resource, *arguments, **more):
                yield page

        world.cluster.pages = denied  # type: ignore[method-assign,assignment]
        again = (await world.take()).snapshot
        assert "you may not list them" in {s.reason.text for s in again.skipped if s.ref.kind == "Secret"}
        assert again.objects == snapshot.objects - 1
        found = await with_live(world.cluster, world.repository, snapshot)
        assert found.differences == ()
        assert [note.args["kind"] for note in found.notes] == ["Secret"]

    run(cluster, ns, work)


def test_no_secret_reaches_outputs_or_files(cluster: Harness, ns: str, tmp_path: Path) -> None:
    cluster.post(
        f"/api/v1/namespaces/{ns}/secrets",
        {
            "metadata": {"name": "db", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": CANARY}},
            "stringData": {"password": CANARY},
        },
    ).ok()
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

    def backout(*arguments: str, code: int = 0) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "backout.cli.main", *context, "-n", ns, "snapshot", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == code, result.stdout + result.stderr
        for text in (result.stdout, result.stderr):
            assert CANARY not in text
            assert "Y2FuYXJ5" not in text  # its start in base64
        return result.stdout

    (made,) = json.loads(backout("create", "--tag", "v1", "-m", "before", "-o", "json"))["items"]
    assert made["tags"] == ["v1"]
    backout("diff", "v1")
    cluster.patch(f"/api/v1/namespaces/{ns}/secrets/db", {"stringData": {"password": CANARY + "2"}}).ok()
    for output in ("text", "json", "yaml"):
        backout("diff", "v1", "-o", output, code=10)
        backout("restore", "v1", "--dry-run", "-o", output)
    done = json.loads(backout("restore", "v1", "secret/db", "--yes", "-o", "json"))
    assert [item["state"] for item in done["items"]] == ["done"]
    backout("diff", "v1")
    backout("diff", "v1", "latest")
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert CANARY.encode() not in content, file
        assert b"Y2FuYXJ5" not in content, file
        assert file.stat().st_mode & 0o077 == 0, file
