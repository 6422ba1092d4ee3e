# SPDX-License-Identifier: Apache-2.0
"""The mechanism for single objects on a whole cluster: exact, least, idempotent, and taken back by the capture."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cluster_harness import Cluster as Harness
from objects_world import IMAGE, World, reading, run

from backout import errors
from backout.kube.names import RESTARTED_AT
from backout.kube.sanitise import sanitise
from backout.mechanisms import registry
from backout.model.target import OBJECTS as KNOWN
from backout.model.target import Target
from backout.planning.choice import choose

CANARY = "Y2FuYXJ5LTQ0MWUtdmFsdWU="
OBJECTS = registry.get("objects")


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


PODS = {"apiGroups": [""], "resources": ["pods"]}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"}
ACCOUNT = {"kind": "ServiceAccount", "name": "web"}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
JOB = {"spec": {"template": {"spec": {"containers": [{"name": "job", "image": "job:1"}], "restartPolicy": "Never"}}}}
PORT = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PATHS = {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "configmap": ({"data": {"a": "1", "text": "x\ny\n"}}, {"data": {"a": "2", "evil": "x", "text": "x\nz\n"}}),
    "secret": ({"data": {"a": CANARY}, "type": "Opaque"}, {"data": {"a": "eA==", "evil": CANARY}}),
    "service": (
        {"spec": {"selector": {"app": "web"}, "ports": [PORT], "type": "NodePort"}},
        {
            "spec": {
                "selector": {"app": "nobody", "more": "x"},
                "type": "ClusterIP",
                "ports": [{**PORT, "nodePort": None}],
            }
        },
    ),
    "ingress": (
        {"spec": {"rules": [{"host": "a.example", "http": PATHS}]}},
        {"spec": {"rules": [{"host": "b.example", "http": PATHS}]}, "metadata": {"labels": {"more": "x"}}},
    ),
    "serviceaccount": (
        {"imagePullSecrets": [{"name": "registry"}], "automountServiceAccountToken": False},
        {"imagePullSecrets": None, "automountServiceAccountToken": True},
    ),
    "role": ({"rules": [{**PODS, "verbs": ["get", "list"]}]}, {"rules": [{**PODS, "verbs": ["get"]}]}),
    "rolebinding": ({"roleRef": ROLE, "subjects": [ACCOUNT]}, {"subjects": [{**ACCOUNT, "name": "nobody"}]}),
    "networkpolicy": (
        {"spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": [{}]}},
        {"spec": {"podSelector": {"matchLabels": {"app": None}}, "ingress": None}},
    ),
    "resourcequota": ({"spec": {"hard": {"pods": "30"}}}, {"spec": {"hard": {"pods": "1", "secrets": "40"}}}),
    "limitrange": (
        {"spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}},
        {"spec": {"limits": [{"type": "Container", "max": {"memory": "8Mi"}}]}},
    ),
    "horizontalpodautoscaler": (
        {"spec": {"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": SCALED}},
        {"spec": {"maxReplicas": 1, "minReplicas": 1, "scaleTargetRef": {"name": "nobody"}}},
    ),
    "cronjob": ({"spec": {"schedule": "0 3 * * *", "jobTemplate": JOB}}, {"spec": {"schedule": "0 4 * * *"}}),
    "poddisruptionbudget": (
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}},
        {"spec": {"minAvailable": 9}},
    ),
}


async def made(world: World, kind: str) -> str:
    api_version, word = KNOWN[kind]
    await world.make(word, "web", api_version, **KINDS[kind][0])
    return f"{kind}/web"


def test_every_kind_is_tried() -> None:
    assert set(KINDS) == set(KNOWN)


@pytest.mark.parametrize("kind", list(KINDS))
def test_back_exactly_and_forward_again(cluster: Harness, ns: str, tmp_path: Path, kind: str) -> None:
    async def work(world: World) -> None:
        name = await made(world, kind)
        good = sanitise({"kind": "", **await world.get(name)})
        snapshot = await world.snapshot(tags=("v1.0.0",))
        bad = sanitise({"kind": "", **await world.change(name, KINDS[kind][1])})
        history = await world.history(name)
        assert [(r.number, r.goodness, r.current) for r in history] == [(1, "good", False), (2, "unknown", True)]
        assert history[0].names == (snapshot.id, "v1.0.0")
        plan = await world.plan(name)
        assert (plan.mechanism, plan.revision.number) == ("objects", 1)
        assert [step.action for step in plan.steps] == ["objects.restore"]
        assert plan.changes.objects[0].action == "update"
        assert plan.changes.objects[0].fields
        assert "object-restored" in [check.code for check in plan.checks]
        assert all(answer.allowed for answer in await world.port.may(plan.access))
        digest = await world.keep(plan)
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        assert sanitise({"kind": "", **await world.get(name)}) == good
        assert next(r for r in await world.history(name) if r.current).number == 1
        # All of it again: it is there already.
        outcomes, context = await world.carry_out(plan)
        assert not outcomes[0].changed
        assert context.guards == 0
        with pytest.raises(errors.NothingToDo):
            await world.plan(name)
        # And forward again, to what no snapshot holds.
        outcomes = await world.undo(plan, digest)
        assert outcomes[0].changed
        assert sanitise({"kind": "", **await world.get(name)}) == bad
        assert not (await world.undo(plan, digest))[0].changed

    run(cluster, ns, tmp_path, work)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_was_deleted_is_made_anew_and_goes_again(cluster: Harness, ns: str, tmp_path: Path, kind: str) -> None:
    async def work(world: World) -> None:
        name = await made(world, kind)
        good = sanitise({"kind": "", **await world.get(name)})
        await world.snapshot()
        await world.delete(name)
        plan = await world.plan(name)
        assert plan.current is not None
        assert plan.current.digest == "absent"
        assert plan.changes.objects[0].action == "create"
        digest = await world.keep(plan)
        outcomes, context = await world.carry_out(plan)
        assert (outcomes[0].changed, context.guards) == (True, 1)
        assert sanitise({"kind": "", **await world.get(name)}) == good
        assert (await world.undo(plan, digest))[0].changed
        with pytest.raises(errors.ObjectNotFound):
            await world.get(name)
        assert not (await world.undo(plan, digest))[0].changed

    run(cluster, ns, tmp_path, work)


def test_nothing_that_is_told_holds_a_secret(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "secret")
        await world.snapshot()
        await world.change(name, {"data": {"a": None, "b": CANARY}})
        plan = await world.plan(name)
        outcomes, context = await world.carry_out(plan)
        history = await world.history(name)
        between = (await OBJECTS.read(world.port, world.target(name))).between(None, history[0])
        told = msgspec.json.encode([plan, history, between, outcomes]).decode() + "".join(context.messages)
        assert CANARY not in told
        assert "canary-441e" not in told
        assert "secret-elsewhere" in {risk.code for risk in plan.risks}

    run(cluster, ns, tmp_path, work)


def test_a_change_after_the_plan_stops_it(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "configmap")
        await world.snapshot()
        await world.change(name, {"data": {"a": "2"}})
        plan = await world.plan(name)
        await world.change(name, {"data": {"a": "3"}})
        with pytest.raises(errors.PreconditionFailed, match="changed after the plan"):
            await world.carry_out(plan)
        assert (await world.get(name))["data"]["a"] == "3"
        await world.delete(name)
        with pytest.raises(errors.PreconditionFailed, match="deleted after the plan"):
            await world.carry_out(plan)
        await world.make("ConfigMap", "web", data={"a": "2", "text": "x\ny\n"})
        with pytest.raises(errors.PreconditionFailed, match="made again"):
            await world.carry_out(plan)

    run(cluster, ns, tmp_path, work)


def test_an_undo_does_not_overwrite_what_came_after_the_run(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "configmap")
        await world.snapshot()
        await world.change(name, {"data": {"a": "2"}})
        plan = await world.plan(name)
        digest = await world.keep(plan)
        await world.carry_out(plan)
        await world.change(name, {"data": {"a": "4"}})
        with pytest.raises(errors.PreconditionFailed, match="changed after the run"):
            await world.undo(plan, digest)
        assert (await world.get(name))["data"]["a"] == "4"

    run(cluster, ns, tmp_path, work)


def test_what_somebody_else_owns_needs_a_word_or_is_refused(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "configmap")
        await world.snapshot()
        await world.change(name, {"data": {"a": "2"}})
        await world.change(name, {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:/x:y/web"}}})
        (kept,) = [risk for risk in (await world.plan(name)).risks if risk.code == "owner"]
        assert kept.needs_approval and "shop" in kept.message.text
        reference = {"apiVersion": "example.org/v1", "kind": "Shop", "name": "s", "uid": "u", "controller": True}
        await world.change(name, {"metadata": {"annotations": None, "ownerReferences": [reference]}})
        with pytest.raises(errors.RefusedError, match="shop/s"):
            await world.plan(name)

    run(cluster, ns, tmp_path, work)


def test_without_a_snapshot_nothing_is_chosen(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "configmap")
        with pytest.raises(errors.NoGoodRevision, match="No good snapshot"):
            choose(world.target(name), await world.history(name))
        await world.snapshot(healthy=None)
        await world.change(name, {"data": {"a": "2"}})
        with pytest.raises(errors.NoGoodRevision, match="No good snapshot"):
            await world.plan(name)
        plan = await world.plan(name, "1")
        assert "not-proven-good" in {risk.code for risk in plan.risks}
        with pytest.raises(errors.ObjectNotFound):
            await OBJECTS.read(world.port, Target("configmap", "nobody", ns))

    run(cluster, ns, tmp_path, work)


def test_readers_that_read_once_are_restarted_and_others_are_not(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "configmap")
        await world.deployment("reads", reading("env", "web"))
        await world.deployment("other", reading("env", "web", "text"))
        await world.until_ready("reads", 2)
        await world.until_ready("other", 2)
        await world.snapshot()
        await world.change(name, {"data": {"a": "2"}})
        # Only what has started since can have read it.
        await world.start_anew("reads")
        before, others = await world.pods("reads"), await world.pods("other")
        plan = await world.plan(name)
        assert [step.action for step in plan.steps] == ["objects.restore", "workload.restart", "workload.wait-ready"]
        assert {change.ref.kind for change in plan.changes.objects} == {"ConfigMap", "Deployment"}
        assert "restart" in {risk.code for risk in plan.risks}
        digest = await world.keep(plan)
        await world.carry_out(plan)
        after = await world.pods("reads")
        assert len(after) == 2
        assert not set(after) & set(before)
        assert await world.pods("other") == others
        outcomes, context = await world.carry_out(plan)
        assert not any(outcome.changed for outcome in outcomes)
        assert context.guards == 0
        assert await world.pods("reads") == after
        # Back: the content first, then the template, so that its readers read what was there before.
        await world.undo(plan, digest)
        await world.until_ready("reads", 2)
        assert (await world.get(name))["data"]["a"] == "2"
        obj = await world.port.get(await world.port.resource("apps/v1", "Deployment"), "reads", ns)
        assert RESTARTED_AT not in (obj["spec"]["template"]["metadata"].get("annotations") or {})

    run(running, ns, tmp_path, work)


def test_readers_of_what_came_back_by_hand_are_restarted_alone(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "configmap")
        await world.deployment("reads", reading("env", "web"))
        await world.until_ready("reads", 2)
        await world.snapshot()
        await world.change(name, {"data": {"a": "2"}})
        await asyncio.sleep(1.1)  # times of containers have whole seconds
        await world.start_anew("reads")
        await asyncio.sleep(1.1)
        await world.change(name, {"data": {"a": "1"}})
        current = (await world.history(name))[-1]
        assert (current.goodness, current.settled) == ("good", False)
        assert "deployment/reads" in current.reasons[-1].text
        plan = await world.plan(name)
        assert [step.action for step in plan.steps] == ["workload.restart", "workload.wait-ready"]
        assert [change.ref.kind for change in plan.changes.effective] == ["Deployment"]
        before = await world.pods("reads")
        await asyncio.sleep(1.1)
        await world.carry_out(plan)
        assert not set(await world.pods("reads")) & set(before)
        assert (await world.history(name))[-1].settled
        with pytest.raises(errors.NothingToDo):
            await world.plan(name)

    run(running, ns, tmp_path, work)


async def immutable(world: World) -> str:
    await world.make("ConfigMap", "fixed", data={"a": "1"}, immutable=True)
    await world.deployment("reads", reading("volume", "fixed"))
    await world.until_ready("reads", 2)
    await world.snapshot()
    await world.delete("configmap/fixed")
    await world.make("ConfigMap", "fixed", data={"a": "2"}, immutable=True)
    return "configmap/fixed"


def test_an_immutable_object_is_made_anew_while_nobody_reads_it(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await immutable(world)
        before = await world.pods("reads")
        plan = await world.plan(name)
        assert [step.id for step in plan.steps] == [
            "scale-down-deployment-reads",
            "restore",
            "scale-up-deployment-reads",
            "ready-deployment-reads",
        ]
        assert {risk.code for risk in plan.risks if risk.needs_approval} == {"recreate"}
        digest = await world.keep(plan)
        await world.carry_out(plan)
        found = await world.get(name)
        assert (found["data"], found["immutable"]) == ({"a": "1"}, True)
        after = await world.pods("reads")
        assert len(after) == 2
        assert not set(after) & set(before)
        await world.undo(plan, digest)
        assert (await world.get(name))["data"] == {"a": "2"}
        await world.until_ready("reads", 2)

    run(running, ns, tmp_path, work)


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
def test_a_run_that_was_cut_off_before_any_write_ends_the_same(
    running: Harness, ns: str, tmp_path: Path, stop_at: int
) -> None:
    async def work(world: World) -> None:
        name = await immutable(world)
        plan = await world.plan(name)
        # Before: scale down, delete, create, scale up.
        with pytest.raises(asyncio.CancelledError):
            await world.carry_out(plan, stop_at=stop_at)
        outcomes, context = await world.carry_out(plan)
        assert context.guards == 5 - stop_at
        assert (await world.get(name))["data"] == {"a": "1"}
        assert len(await world.pods("reads")) == 2
        assert not outcomes[-1].changed

    run(running, ns, tmp_path, work)


def ring(*numbers: int) -> str:
    return json.dumps([{"endpoints": [f"receive-{number}.receive:10901" for number in numbers]}])


async def receivers(world: World, replicas: int) -> None:
    labels = {"app": "receive"}
    container = {
        "name": "receive",
        "image": IMAGE,
        "args": ["receive", "--receive.hashrings-file=/etc/thanos/ring.json", "--http-address=0.0.0.0:10902"],
        "ports": [{"name": "http", "containerPort": 10902}],
        "volumeMounts": [{"name": "v", "mountPath": "/etc/thanos"}],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "v", "configMap": {"name": "ring"}}],
        },
    }
    await world.make("Service", "receive", spec={"clusterIP": "None", "selector": labels, "ports": [{"port": 10901}]})
    await world.make(
        "StatefulSet",
        "receive",
        "apps/v1",
        spec={
            "replicas": replicas,
            "serviceName": "receive",
            "selector": {"matchLabels": labels},
            "template": template,
        },
    )
    await world.until_ready("receive", replicas, kind="StatefulSet")


def test_receivers_come_before_the_ring_that_names_them(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.make("ConfigMap", "ring", data={"ring.json": ring(0, 1)})
        await receivers(world, 2)
        await world.snapshot()
        await world.change("configmap/ring", {"data": {"ring.json": ring(0)}})
        sets = await world.port.resource("apps/v1", "StatefulSet")
        await world.port.patch(sets, "receive", {"spec": {"replicas": 1}}, ns)
        await world.until_ready("receive", 1, kind="StatefulSet")
        plan = await world.plan("configmap/ring")
        assert [step.action for step in plan.steps][:3] == ["objects.scale", "objects.restore", "objects.await-reload"]
        assert "scaling" in {risk.code for risk in plan.risks}
        digest = await world.keep(plan)
        uids = await world.pods("receive")
        await world.carry_out(plan)
        await world.until_ready("receive", 2, kind="StatefulSet")
        assert uids.items() <= (await world.pods("receive")).items()
        # Backwards: the ring shrinks first, then the receivers go.
        await world.undo(plan, digest)
        assert (await world.get("configmap/ring"))["data"]["ring.json"] == ring(0)
        await world.until_ready("receive", 1, kind="StatefulSet")
        # A ring whose receivers are gone for good is not written.
        await world.port.delete(sets, "receive", ns)
        await world.deployment(
            "receive-2", reading("volume", "ring", args=["receive", "--receive.hashrings-file=/etc/app/ring.json"])
        )
        await world.until_ready("receive-2", 2)
        with pytest.raises(errors.PreconditionFailed, match=r"receive-0\.receive"):
            await world.plan("configmap/ring")

    run(running, ns, tmp_path, work)


def test_a_node_port_that_others_have_now_is_told_and_left(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        name = await made(world, "service")
        port = (await world.get(name))["spec"]["ports"][0]["nodePort"]
        await world.snapshot()
        await world.change(name, KINDS["service"][1])
        await world.make("Service", "thief", spec={"type": "NodePort", "ports": [{**PORT, "nodePort": port}]})
        plan = await world.plan(name)
        assert any("node port" in note.text for note in plan.changes.objects[0].notes)
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        spec = (await world.get(name))["spec"]
        assert (spec["type"], spec["selector"]) == ("NodePort", {"app": "web"})
        assert spec["ports"][0]["nodePort"] != port
        assert not (await world.carry_out(plan))[0][0].changed

    run(cluster, ns, tmp_path, work)


class Refusing:
    """A cluster whose admission refuses objects with that data."""

    def __init__(self, port: Any, data: dict[str, str]) -> None:
        self._port, self._data = port, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def create(self, obj: dict[str, Any]) -> Any:
        if obj["data"] == self._data:
            raise errors.Invalid("admission webhook said no")
        return await self._port.create(obj)


def test_what_can_not_be_created_anew_is_made_as_it_was(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.make("ConfigMap", "fixed", data={"a": "1"}, immutable=True)
        await world.snapshot()
        await world.delete("configmap/fixed")
        await world.make("ConfigMap", "fixed", data={"a": "2"}, immutable=True)
        plan = await world.plan("configmap/fixed")
        refusing = World(Refusing(world.port, {"a": "1"}), ns, world.settings)
        with pytest.raises(errors.PreconditionFailed, match="is as it was before: admission webhook"):
            await refusing.carry_out(plan)
        assert (await world.get("configmap/fixed"))["data"] == {"a": "2"}
        with pytest.raises(errors.PreconditionFailed, match="made again"):
            await world.carry_out(plan)
        await world.carry_out(await world.plan("configmap/fixed"))
        assert (await world.get("configmap/fixed"))["data"] == {"a": "1"}

    run(cluster, ns, tmp_path, work)
