# SPDX-License-Identifier: Apache-2.0
"""Rights, accounts, policies and limits: what goes with them when they go back, and what is asked or refused before."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from objects_world import IMAGE, World, run

from backout import errors
from backout.cluster import kubeconfig
from backout.cluster.client import KubernetesCluster
from backout.cluster.port import DEPLOYMENTS, PODS
from backout.kube.names import LAST_APPLIED
from backout.mechanisms import registry
from backout.mechanisms.objects.content import applied
from backout.model.target import CLUSTER_OBJECTS, Target

RBAC = "rbac.authorization.k8s.io/v1"
OBJECTS = registry.get("objects")
PODS_RULE = {"apiGroups": [""], "resources": ["pods"]}
REMOVABLE = {
    "networkpolicy": ("NetworkPolicy", "networking.k8s.io/v1", {"podSelector": {}, "policyTypes": ["Egress"]}),
    "resourcequota": ("ResourceQuota", "v1", {"hard": {"services": "1"}}),
    "limitrange": ("LimitRange", "v1", {"limits": [{"type": "Container", "max": {"memory": "8Mi"}}]}),
    "poddisruptionbudget": ("PodDisruptionBudget", "policy/v1", {"minAvailable": 1, "selector": {}}),
    "horizontalpodautoscaler": (
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        {"maxReplicas": 1, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    ),
}


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize("kind", list(REMOVABLE))
def test_what_was_added_since_all_was_well_is_taken_away_with_a_yes_and_comes_again(
    cluster: Harness, ns: str, tmp_path: Path, kind: str
) -> None:
    async def work(world: World) -> None:
        await world.snapshot()
        word, api, spec = REMOVABLE[kind]
        await world.make(word, "new", api, spec=spec)
        name = f"{kind}/new"
        was, now = await world.history(name)
        assert (was.number, was.digest, was.goodness, was.current) == (1, "absent", "good", False)
        assert (now.goodness, now.current) == ("unknown", True)
        plan = await world.plan(name)
        assert plan.steps[0].action == "objects.remove"
        assert {risk.code for risk in plan.risks if risk.needs_approval} == {"deletes"}
        assert (plan.changes.objects[0].action, plan.changes.objects[0].destructive) == ("delete", True)
        assert "object-absent" in {check.code for check in plan.checks}
        assert all(answer.allowed for answer in await world.port.may(plan.access))
        digest = await world.keep(plan)
        before = (await world.get(name))["spec"]
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        with pytest.raises(errors.ObjectNotFound):
            await world.get(name)
        outcomes, context = await world.carry_out(plan)
        assert (outcomes[0].changed, context.guards) == (False, 0)
        with pytest.raises(errors.ObjectNotFound):
            await world.plan(name)
        assert (await world.undo(plan, digest))[0].changed
        assert (await world.get(name))["spec"] == before
        assert not (await world.undo(plan, digest))[0].changed

    run(cluster, ns, tmp_path, work)


def test_what_was_changed_after_the_plan_is_not_deleted(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.snapshot()
        word, api, spec = REMOVABLE["networkpolicy"]
        await world.make(word, "new", api, spec=spec)
        plan = await world.plan("networkpolicy/new")
        await world.change("networkpolicy/new", {"spec": {"policyTypes": ["Ingress", "Egress"]}})
        with pytest.raises(errors.PreconditionFailed, match="changed after the plan"):
            await world.carry_out(plan)
        assert (await world.get("networkpolicy/new"))["spec"]["policyTypes"] == ["Ingress", "Egress"]

    run(cluster, ns, tmp_path, work)


def test_an_object_that_holds_something_is_never_deleted_because_it_is_new(
    cluster: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(world: World) -> None:
        await world.snapshot()
        await world.make("ConfigMap", "new", data={"a": "1"})
        await world.make("Role", "new", RBAC, rules=[{**PODS_RULE, "verbs": ["get"]}])
        for name in ("configmap/new", "role/new"):
            with pytest.raises(errors.NoGoodRevision):
                await world.plan(name)

    run(cluster, ns, tmp_path, work)


def test_one_that_later_snapshots_hold_is_no_newcomer(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.snapshot()
        word, api, spec = REMOVABLE["resourcequota"]
        await world.make(word, "new", api, spec=spec)
        await world.snapshot()
        await world.delete("resourcequota/new")
        plan = await world.plan("resourcequota/new")
        assert (plan.steps[0].action, plan.revision.number) == ("objects.restore", 2)
        assert not [risk for risk in plan.risks if risk.needs_approval]
        # Deleted on purpose, and all was well: it does not come back.
        await world.snapshot()
        with pytest.raises(errors.NothingToDo):
            await world.plan("resourcequota/new")

    run(cluster, ns, tmp_path, work)


async def apply(world: World, kind: str, api: str, **fields: Any) -> None:
    """As `kubectl apply` does it first."""
    obj = {"apiVersion": api, "kind": kind, "metadata": {"name": "web", "namespace": world.ns}, **fields}
    await world.make(kind, "web", api, metadata={"annotations": {LAST_APPLIED: json.dumps(obj)}}, **fields)


def test_what_was_changed_since_it_was_applied_goes_back_to_that(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        port = {"port": 80, "targetPort": 8080}
        await apply(world, "Service", "v1", spec={"selector": {"app": "web"}, "ports": [port]})
        await apply(world, "Role", RBAC, rules=[{**PODS_RULE, "verbs": ["get", "list"]}])
        with pytest.raises(errors.NoGoodRevision):
            await world.plan("service/web")
        good = (await world.get("service/web"))["spec"]
        await world.change("service/web", {"spec": {"selector": {"app": "nobody"}}, "metadata": {"labels": {"a": "b"}}})
        plan = await world.plan("service/web")
        assert "applied so last" in plan.why_good[0].text
        assert [field.path for field in plan.changes.objects[0].fields] == ["spec.selector.app"]
        digest = await world.keep(plan)
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        found = await world.get("service/web")
        assert (found["spec"], found["metadata"]["labels"]) == (good, {"a": "b"})
        assert LAST_APPLIED in found["metadata"]["annotations"]
        assert not (await world.carry_out(plan))[0][0].changed
        await world.undo(plan, digest)
        assert (await world.get("service/web"))["spec"]["selector"] == {"app": "nobody"}

    run(cluster, ns, tmp_path, work)


def test_a_schedule_goes_back_and_its_jobs_stay_as_they_are(cluster: Harness, ns: str, tmp_path: Path) -> None:
    def spec(image: str) -> dict[str, Any]:
        pod = {"restartPolicy": "Never", "containers": [{"name": "job", "image": image}]}
        return {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}

    def image_of(obj: dict[str, Any]) -> str:
        return str(obj["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"])

    async def work(world: World) -> None:
        await world.make("CronJob", "nightly", "batch/v1", spec=spec("job:1"))
        await world.snapshot()
        await world.change("cronjob/nightly", {"spec": spec("job:2")})
        plan = await world.plan("cronjob/nightly")
        paths = [field.path for field in plan.changes.objects[0].fields]
        assert paths == ["spec.jobTemplate.spec.template.spec.containers[name=job].image"]
        assert "schedule" in {risk.code for risk in plan.risks} and not any(r.needs_approval for r in plan.risks)
        assert all(answer.allowed for answer in await world.port.may(plan.access))
        digest = await world.keep(plan)
        await world.carry_out(plan)
        assert image_of(await world.get("cronjob/nightly")) == "job:1"
        assert (await world.undo(plan, digest))[0].changed
        assert image_of(await world.get("cronjob/nightly")) == "job:2"

    run(cluster, ns, tmp_path, work)


def test_what_a_person_added_goes_and_what_a_program_added_stays(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await apply(world, "ConfigMap", "v1", data={"a.yaml": "1"})
        path = f"/api/v1/namespaces/{ns}/configmaps/web"
        for manager, data in (("controller", {"state": "x"}), ("kubectl-patch", {"a.yaml": "2", "note": "y"})):
            cluster.patch(path, {"data": data}, query={"fieldManager": manager}).ok()
        plan = await world.plan("configmap/web")
        paths = {field.path for field in plan.changes.objects[0].fields}
        assert paths == {'data["a.yaml"]', "data.note"}
        await world.carry_out(plan)
        assert (await world.get("configmap/web"))["data"] == {"a.yaml": "1", "state": "x"}
        # An addition alone is one as well.
        cluster.patch(path, {"data": {"note": "y"}}, query={"fieldManager": "kubectl-edit"}).ok()
        await world.carry_out(await world.plan("configmap/web"))
        assert (await world.get("configmap/web"))["data"] == {"a.yaml": "1", "state": "x"}

    run(cluster, ns, tmp_path, work)


def test_a_snapshot_that_proves_another_content_good_is_believed_rather(
    cluster: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(world: World) -> None:
        await world.make("Role", "web", RBAC, rules=[{**PODS_RULE, "verbs": ["get", "list"]}])
        await world.snapshot()
        await asyncio.sleep(1.1)  # times of writers have whole seconds
        obj = {"apiVersion": RBAC, "kind": "Role", "metadata": {"name": "web"}, "rules": []}
        await world.change("role/web", {"metadata": {"annotations": {LAST_APPLIED: json.dumps(obj)}}, "rules": []})
        await world.change("role/web", {"rules": [{**PODS_RULE, "verbs": ["get"]}]})
        history = await world.history("role/web")
        assert [one.goodness for one in history] == ["good", "unknown", "unknown"]
        assert (await world.plan("role/web")).revision.number == 1
        assert (await world.plan("role/web", "2")).steps[0].action == "objects.restore"

    run(cluster, ns, tmp_path, work)


@pytest.mark.parametrize(
    "note", ["", "null", "[]", "{", '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}}']
)
def test_a_note_that_says_nothing_of_the_object_is_none(note: str) -> None:
    live = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "x", "annotations": {}}}
    live["metadata"]["annotations"] = {LAST_APPLIED: note}  # type: ignore[index]
    assert applied(live) is None


async def runs_as(world: World, account: str, **spec: Any) -> None:
    pod = {"serviceAccountName": account, "containers": [{"name": "app", "image": IMAGE}], **spec}
    await world.deployment("web", pod)
    await world.until_ready("web", 2)


def test_pods_with_a_token_of_the_former_account_are_made_anew(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        former = await world.make("ServiceAccount", "worker", imagePullSecrets=[{"name": "registry"}])
        await runs_as(world, "worker")
        await world.snapshot()
        await world.delete("serviceaccount/worker")
        before = await world.pods("web")
        plan = await world.plan("serviceaccount/worker")
        assert [step.action for step in plan.steps] == ["objects.restore", "workload.restart", "workload.wait-ready"]
        assert {"new-identity", "restart"} <= {risk.code for risk in plan.risks}
        assert "workload-ready" in {check.code for check in plan.checks}
        await world.carry_out(plan)
        now = await world.get("serviceaccount/worker")
        assert (now["imagePullSecrets"], now["metadata"]["uid"] != former["metadata"]["uid"]) == (
            [{"name": "registry"}],
            True,
        )
        assert not set(await world.pods("web")) & set(before)
        with pytest.raises(errors.NothingToDo):
            await world.plan("serviceaccount/worker")

    run(running, ns, tmp_path, work)


def test_an_account_that_came_back_by_hand_leaves_pods_to_be_made_anew(
    running: Harness, ns: str, tmp_path: Path
) -> None:
    async def work(world: World) -> None:
        await world.make("ServiceAccount", "worker")
        await runs_as(world, "worker")
        await asyncio.sleep(1.1)  # times of objects have whole seconds
        await world.snapshot()
        await world.delete("serviceaccount/worker")
        await asyncio.sleep(1.1)
        await world.make("ServiceAccount", "worker")
        current = (await world.history("serviceaccount/worker"))[-1]
        assert (current.goodness, current.settled) == ("good", False)
        plan = await world.plan("serviceaccount/worker")
        assert [step.action for step in plan.steps] == ["workload.restart", "workload.wait-ready"]

    run(running, ns, tmp_path, work)


def test_a_paused_rollout_is_told_and_stops_no_account(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.make("ServiceAccount", "worker")
        await runs_as(world, "worker")
        await world.snapshot()
        await world.port.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}}, ns)
        await world.delete("serviceaccount/worker")
        plan = await world.plan("serviceaccount/worker")
        assert [step.action for step in plan.steps] == ["objects.restore"]
        assert any("its rollout is paused" in risk.message.text for risk in plan.risks)

    run(running, ns, tmp_path, work)


def test_pods_without_a_token_stay(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.make("ServiceAccount", "worker")
        await runs_as(world, "worker", automountServiceAccountToken=False)
        await world.snapshot()
        await world.delete("serviceaccount/worker")
        plan = await world.plan("serviceaccount/worker")
        assert [step.action for step in plan.steps] == ["objects.restore"]

    run(running, ns, tmp_path, work)


def test_pods_that_were_refused_are_waited_for(running: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.make("ResourceQuota", "limits", spec={"hard": {"pods": "10"}})
        await runs_as(world, "default")
        await world.snapshot()
        await world.change("resourcequota/limits", {"spec": {"hard": {"pods": "1"}}})
        for name in await world.pods("web"):
            await world.port.delete(PODS, name, ns)
        async with asyncio.timeout(60):
            while (await world.port.get(DEPLOYMENTS, "web", ns)).get("status", {}).get("readyReplicas", 0) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        plan = await world.plan("resourcequota/limits")
        actions = ["objects.restore", "objects.ask-again", "workload.wait-ready"]
        assert [step.action for step in plan.steps] == actions
        assert "limits" in {risk.code for risk in plan.risks}
        digest = await world.keep(plan)
        await world.carry_out(plan)
        assert len(await world.pods("web")) == 2
        outcomes, context = await world.carry_out(plan)
        assert (any(outcome.changed for outcome in outcomes), context.guards) == (False, 0)
        await world.undo(plan, digest)
        assert (
            "backout.dev/asked-again" not in (await world.port.get(DEPLOYMENTS, "web", ns))["metadata"]["annotations"]
        )

    run(running, ns, tmp_path, work)


def test_rights_that_reach_far_need_a_yes(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        account = {"kind": "ServiceAccount", "name": "worker", "namespace": ns}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        await world.make("RoleBinding", "all", RBAC, roleRef=reference, subjects=[account])
        await world.make("Role", "some", RBAC, rules=[{**PODS_RULE, "verbs": ["get", "list"]}])
        await world.make("Role", "wide", RBAC, rules=[{**PODS_RULE, "verbs": ["*"]}])
        await world.snapshot()
        for name in ("rolebinding/all", "role/some", "role/wide"):
            await world.delete(name)
        asked = {}
        for name in ("rolebinding/all", "role/some", "role/wide"):
            risks = (await world.plan(name)).risks
            assert "rights" in {risk.code for risk in risks}
            asked[name] = {risk.code for risk in risks if risk.needs_approval}
        assert asked == {"rolebinding/all": {"powerful-rights"}, "role/some": set(), "role/wide": {"powerful-rights"}}

    run(cluster, ns, tmp_path, work)


def test_doctor_asks_for_rights_on_the_kinds_that_are_there(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        assert await OBJECTS.held_access(world.port, ns) == []
        await world.make("Role", "some", RBAC, rules=[{**PODS_RULE, "verbs": ["get"]}])
        await world.make("ServiceAccount", "worker")
        asked = set(await OBJECTS.held_access(world.port, ns))
        assert {one.resource for one in asked} == {"roles", "serviceaccounts"}
        await world.snapshot()
        for name in ("role/some", "serviceaccount/worker"):
            await world.delete(name)
            plan = await world.plan(name)
            restoring = {one for one in plan.access if one.resource in ("roles", "serviceaccounts")}
            assert restoring and restoring <= asked

    run(cluster, ns, tmp_path, work)


def test_a_binding_to_another_role_is_made_anew(cluster: Harness, ns: str, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"}
        subjects = [{"kind": "ServiceAccount", "name": "worker", "namespace": ns}]
        for role in ("some", "other"):
            await world.make("Role", role, RBAC, rules=[{**PODS_RULE, "verbs": ["get"]}])
        await world.make("RoleBinding", "bind", RBAC, roleRef=reference, subjects=subjects)
        await world.snapshot()
        await world.delete("rolebinding/bind")
        await world.make("RoleBinding", "bind", RBAC, roleRef={**reference, "name": "other"}, subjects=subjects)
        plan = await world.plan("rolebinding/bind")
        assert {risk.code for risk in plan.risks if risk.needs_approval} == {"recreate"}
        digest = await world.keep(plan)
        await world.carry_out(plan)
        assert (await world.get("rolebinding/bind"))["roleRef"]["name"] == "some"
        await world.undo(plan, digest)
        assert (await world.get("rolebinding/bind"))["roleRef"]["name"] == "other"

    run(cluster, ns, tmp_path, work)


def test_rights_that_the_user_lacks_are_refused_before_with_what_to_do(
    cluster: Harness, ns: str, tmp_path: Path
) -> None:
    """The API server lets nobody give rights that they do not have."""

    async def work(world: World) -> None:
        everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
        roles = [{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]}]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"}
        subjects = [{"kind": "ServiceAccount", "name": "worker", "namespace": ns}]
        await world.make("Role", "some", RBAC, rules=[{**PODS_RULE, "verbs": ["delete", "list"]}])
        await world.make("RoleBinding", "bind", RBAC, roleRef=reference, subjects=subjects)
        # What the user has: everything to read, and Roles to write, but neither escalate nor bind.
        await world.make("Role", "jane", RBAC, rules=[*everything, *_without(roles, ("escalate", "bind"))])
        jane = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
        await world.make("RoleBinding", "jane", RBAC, roleRef={**reference, "name": "jane"}, subjects=[jane])
        await world.snapshot()
        await world.change("role/some", {"rules": [{**PODS_RULE, "verbs": ["list"]}]})
        where = kubeconfig.connection(str(cluster.kubeconfig), cluster.context or "")
        where = dataclasses.replace(where, impersonate=(("Impersonate-User", "jane"),))
        async with KubernetesCluster(where) as port:
            hers = World(_Known(port, world.port), ns, world.settings)
            with pytest.raises(errors.RefusedError) as caught:
                await hers.plan("role/some")
            assert "rights that you do not have" in caught.value.message
            assert "escalate roles" in errors.fill(caught.value.expected, caught.value.arguments)
            assert "administers the namespace" in caught.value.hint
            await world.delete("rolebinding/bind")
            await world.change("role/some", {"rules": [{**PODS_RULE, "verbs": ["delete", "list"]}]})
            with pytest.raises(errors.RefusedError) as caught:
                await hers.plan("rolebinding/bind")
            assert "bind roles" in errors.fill(caught.value.expected, caught.value.arguments)
        # Whoever may do that finds the way.
        assert (await world.plan("rolebinding/bind")).steps

    run(cluster, ns, tmp_path, work)


def _without(rules: list[dict[str, Any]], verbs: tuple[str, ...]) -> list[dict[str, Any]]:
    usual = ["get", "list", "watch", "create", "update", "patch", "delete"]
    return [{**rule, "verbs": [verb for verb in usual if verb not in verbs]} for rule in rules]


class _Known:
    """A user who may not look at kube-system still knows which cluster it is."""

    def __init__(self, port: Any, other: Any) -> None:
        self._port, self._other = port, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other if name == "identity" else self._port, name)


@pytest.mark.parametrize("kind", list(CLUSTER_OBJECTS))
def test_what_belongs_to_the_whole_cluster_is_refused_with_what_to_do(kind: str) -> None:
    assert registry.of_kind(kind).name == "objects"
    with pytest.raises(errors.RefusedError) as caught:
        asyncio.run(OBJECTS.read(None, Target(kind, "some", "shop")))  # type: ignore[arg-type]
    assert "belongs to the whole cluster" in caught.value.message
    assert "helm rollback" in caught.value.hint and "kubectl apply" in caught.value.hint
