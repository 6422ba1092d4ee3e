# SPDX-License-Identifier: Apache-2.0
"""Objects of a Helm release that somebody changed or deleted past it: just that goes back, whatever was named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helm_world import RELEASE
from helm_world import World as Helm
from objects_world import World

from backout import errors
from backout.cluster.client import KubernetesCluster
from backout.kube.names import HELM_RELEASE, MANAGED_BY
from backout.model.diagnosis import Problem
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.settings import SnapshotSettings
from backout.snapshots import source
from backout.workflows.prepare import make_operation

OBJECTS = """apiVersion: v1
kind: ServiceAccount
metadata: {name: worker}
imagePullSecrets: [{name: registry}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads}
rules: [{apiGroups: [""], resources: [pods], verbs: {{ .Values.verbs | default "[get, list]" }}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}
subjects: [{kind: ServiceAccount, name: worker, namespace: {{ .Release.Namespace }}}]
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: front}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front}
spec:
  rules: [{host: front.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: front}
spec: {podSelector: {matchLabels: {app: front}}, ingress: [{ports: [{port: 8080}]}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: front}
spec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: front}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: front}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: front}}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: hunter2-hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {mode: plain}
"""
PORT = {"name": "http", "port": 80, "protocol": "TCP"}
CHANGES: dict[str, dict[str, Any]] = {
    "role/reads": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "rolebinding/reads": {"subjects": None},
    "serviceaccount/worker": {"imagePullSecrets": None},
    "service/front": {"spec": {"selector": {"app": "nobody", "more": "x"}, "ports": [{**PORT, "targetPort": 9999}]}},
    "ingress/front": {"spec": {"ingressClassName": "nobody"}},
    "networkpolicy/front": {"spec": {"podSelector": {"matchLabels": {"app": None}}, "ingress": None}},
    "horizontalpodautoscaler/front": {"spec": {"maxReplicas": 1}},
    "poddisruptionbudget/front": {"spec": {"maxUnavailable": 0}},
    "secret/keys": {"data": {"token": "eA=="}},
    "configmap/conf": {"data": {"mode": "broken"}},
}


def use(helm: Helm, folder: Path, work: Callable[[World], Awaitable[None]]) -> None:
    settings = SnapshotSettings(repository=str(folder / "repository"))

    async def with_port(port: KubernetesCluster) -> None:
        await work(World(port, helm.namespace, settings))

    with source.using(settings):
        helm.use(with_port)


@pytest.fixture
def release(world: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helm:
    monkeypatch.setenv("BACKOUT_DATA", str(tmp_path / "data"))
    (world.chart / "templates" / "all.yaml").write_text(OBJECTS)
    world.install()
    return world


def forced(release: Helm) -> list[str]:
    return ["--force-conflicts"] if release.waiting != "--wait" else []


async def operation(world: World, text: str) -> Operation:
    return await make_operation(world.port, world.target(text), made_at=datetime.now(UTC))


def meant(obj: dict[str, Any]) -> dict[str, Any]:
    fields = ("rules", "subjects", "roleRef", "imagePullSecrets", "spec", "data")
    return {field: obj[field] for field in fields if field in obj}


@pytest.mark.parametrize("name", list(CHANGES))
def test_just_that_object_goes_back_without_a_snapshot(release: Helm, tmp_path: Path, name: str) -> None:
    async def work(world: World) -> None:
        good = meant(await world.get(name))
        await world.change(name, CHANGES[name])
        bad = meant(await world.get(name))
        assert bad != good
        for asked in (name, f"helm/{RELEASE}"):
            found = await operation(world, asked)
            assert [str(part.target) for part in found.parts] == [name]
        plan = found.parts[0]
        assert b"hunter2" not in msgspec.json.encode(found)
        assert plan.steps[0].action == "objects.restore"
        assert plan.why_good and "revision 1 of helm/shop" in plan.why_good[0].text
        assert "it past that" in plan.cause.text
        changed = {field.path.split(".")[0].split("[")[0] for field in plan.changes.objects[0].fields}
        assert changed == {path.split(".")[0] for path in CHANGES[name]}
        digest = await world.keep(plan)
        outcomes, _ = await world.carry_out(plan)
        assert outcomes[0].changed
        assert meant(await world.get(name)) == good
        outcomes, context = await world.carry_out(plan)
        assert (outcomes[0].changed, context.guards) == (False, 0)
        for asked in (name, f"helm/{RELEASE}"):
            with pytest.raises((errors.NothingToDo, errors.NoGoodRevision)):
                await operation(world, asked)
        assert (await world.undo(plan, digest))[0].changed
        assert meant(await world.get(name)) == bad

    use(release, tmp_path, work)


def test_edits_are_left_alone_where_the_release_itself_is_blamed(release: Helm, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.change("configmap/conf", {"data": {"mode": "meant"}})
        target = world.target(f"helm/{RELEASE}")
        blamed = Problem(
            target=target, mechanism="helm", symptoms=(), cause=msg("It broke."), confidence="likely", bad_revision=None
        )
        with pytest.raises((errors.NothingToDo, errors.NoGoodRevision)):
            await make_operation(world.port, target, made_at=datetime.now(UTC), problems=(blamed,))
        # Where the object is blamed, and is the release's, it goes back alone.
        await world.change("role/reads", CHANGES["role/reads"])
        other = msgspec.structs.replace(
            blamed, target=world.target("role/reads"), mechanism="objects", owners=(target,)
        )
        found = await make_operation(world.port, target, made_at=datetime.now(UTC), problems=(other,))
        assert [str(part.target) for part in found.parts] == ["role/reads"]

    use(release, tmp_path, work)


def test_what_was_deleted_is_made_as_helm_makes_it(release: Helm, tmp_path: Path) -> None:
    async def work(world: World) -> None:
        good = {name: await world.get(name) for name in CHANGES}
        for name in CHANGES:
            await world.delete(name)
        found = await operation(world, f"helm/{RELEASE}")
        assert {str(part.target) for part in found.parts} == set(CHANGES)
        # What others need comes first.
        kinds = [part.target.kind for part in found.parts]
        assert kinds.index("serviceaccount") < kinds.index("role") < kinds.index("rolebinding")
        assert any(risk.code == "field-manager" for part in found.parts for risk in part.risks) == bool(forced(release))
        for part in found.parts:
            await world.carry_out(msgspec.json.decode(msgspec.json.encode(part), type=type(part)))
        for name, former in good.items():
            now = await world.get(name)
            assert meant({**now, "spec": None}) == meant({**former, "spec": None})
            assert now["metadata"]["annotations"][HELM_RELEASE] == RELEASE
            assert now["metadata"]["labels"][MANAGED_BY] == "Helm"

    use(release, tmp_path, work)
    # Helm takes them for its own; where it minds who wrote a field last, it has to be told so, as the plan says.
    release.upgrade(*forced(release), verbs="[get]")
    use(release, tmp_path, _of_revision_two)


async def _of_revision_two(world: World) -> None:
    assert (await world.get("role/reads"))["rules"][0]["verbs"] == ["get"]


def test_the_newest_of_snapshot_and_release_says_what_it_should_be(release: Helm, tmp_path: Path) -> None:
    async def first(world: World) -> None:
        await world.snapshot()

    async def work(world: World) -> None:
        await world.change("role/reads", {"rules": []})
        plan = await world.plan("role/reads")
        assert "revision 2 of helm/shop" in plan.why_good[0].text
        await world.carry_out(plan)
        assert (await world.get("role/reads"))["rules"][0]["verbs"] == ["get", "list", "watch"]
        # A hand edit that was well for long enough to be in a good snapshot is what it should be.
        await world.change("role/reads", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]}]})
        await world.snapshot()
        await world.change("role/reads", {"rules": []})
        plan = await world.plan("role/reads")
        assert plan.why_good[0].text.startswith("Snapshot ")

    use(release, tmp_path, first)
    release.upgrade(verbs="[get\\, list\\, watch]")
    use(release, tmp_path, work)


def test_a_release_that_went_on_after_the_plan_stops_it(release: Helm, tmp_path: Path) -> None:
    plans = []

    async def plan(world: World) -> None:
        await world.change("role/reads", CHANGES["role/reads"])
        plans.append(await world.plan("role/reads"))

    async def late(world: World) -> None:
        with pytest.raises(errors.PreconditionFailed, match="went on after the plan"):
            await world.carry_out(plans[0])

    use(release, tmp_path, plan)
    release.upgrade("--description", "again", *forced(release))
    use(release, tmp_path, late)


def test_what_programs_add_to_open_kinds_stays(release: Helm, tmp_path: Path) -> None:
    """Charts ship Secrets that are empty but for a few keys, and programs fill in others."""

    async def work(world: World) -> None:
        await world.change("secret/keys", {"data": {"generated": "eA=="}})
        await world.change("serviceaccount/worker", {"imagePullSecrets": [{"name": "registry"}, {"name": "dockercfg"}]})
        with pytest.raises((errors.NothingToDo, errors.NoGoodRevision)):
            await operation(world, f"helm/{RELEASE}")
        await world.change("secret/keys", {"data": {"token": "eA=="}})
        plan = await world.plan("secret/keys")
        await world.carry_out(plan)
        found = await world.get("secret/keys")
        assert found["data"] == {"token": "aHVudGVyMi1odW50ZXIy", "generated": "eA=="}

    use(release, tmp_path, work)


def test_an_added_object_of_a_release_is_not_deleted(release: Helm, tmp_path: Path) -> None:
    async def first(world: World) -> None:
        await world.snapshot()

    async def work(world: World) -> None:
        with pytest.raises(errors.RefusedError, match="helm/shop"):
            await world.plan("networkpolicy/more")

    use(release, tmp_path, first)
    more = OBJECTS + "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: more}\n"
    (release.chart / "templates" / "all.yaml").write_text(more + "spec: {podSelector: {}}\n")
    release.upgrade()
    use(release, tmp_path, work)
