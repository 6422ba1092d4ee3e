# SPDX-License-Identifier: Apache-2.0
"""Which changes of a workload are known: by its templates, by its release, and by hand against the last good state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from a_namespace import NOW, NS, Scene, reading, writer
from a_release import record

from backout.cluster.port import PODS, Cluster
from backout.diagnosis.attribution.changes import SCALED, Change, changes_of
from backout.diagnosis.evidence.collect import read_state
from backout.diagnosis.evidence.history import object_of, read_history
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.message import msg
from backout.model.target import Target
from backout.ownership.owner import Owner
from backout.snapshots import source

KEPT = ("Deployment", "ConfigMap")
SPEC = reading("env", "settings")
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def found(scene: Scene, owner: Owner | None = None) -> list[Change]:
    """All that is known to have changed the workload."""

    async def look() -> list[Change]:
        cluster = cast(Cluster, scene.cluster)
        namespace = Namespace(cluster, NS)
        try:
            state = await read_state(cluster, NS, NOW)
            nobody = Owner(kind="none", message=msg("Nobody."))
            key = (NS, "Deployment", "web")
            obj = await object_of(namespace, state, key)
            assert obj is not None
            history = await read_history(namespace, state, key, owner or nobody, obj)
            assert history is not None
            return await changes_of(history, namespace)
        finally:
            await namespace.close()

    with source.using(scene.settings):
        return asyncio.run(look())


def edit(scene: Scene, change: Edit, *writers: dict[str, Any]) -> None:
    web = scene.objects["Deployment", "web"]
    spec = {**web["spec"]}
    change(spec)
    scene.put("Deployment", "web", *writers, spec=spec, status=web["status"])


def template(scene: Scene, image: str, number: int, seconds: float, *writers: dict[str, Any], **meta: Any) -> None:
    """Another template, and its ReplicaSet."""
    pod = {**SPEC, "containers": [{**SPEC["containers"][0], "image": image}]}
    labels = {"app": "web"}
    body = {"metadata": {"labels": labels, **meta}, "spec": pod}
    edit(scene, lambda spec: spec.update(template=body), *writers)
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "Deployment-web", "controller": True}
    notes = {"deployment.kubernetes.io/revision": str(number)}
    scene.put(
        "ReplicaSet",
        f"web-{number}",
        born=seconds,
        meta={"ownerReferences": [owner], "annotations": notes},
        spec={"replicas": 1, "template": body},
        status={},
    )


def test_what_was_made_and_never_changed(scene: Scene) -> None:
    scene.workload("web", SPEC)
    (change,) = found(scene)
    assert change.made and change.actor == "kubectl-create" and change.revision == 1


def test_the_good_snapshot_knows_what_was_made(scene: Scene) -> None:
    scene.workload("web", SPEC)
    scene.snapshot(kinds=KEPT)
    assert found(scene) == []


@pytest.mark.parametrize(
    ("change", "writers", "actor", "path"),
    [
        (
            lambda spec: spec.update(minReadySeconds=99),
            (writer("kubectl-edit", 90, "spec/minReadySeconds"),),
            "kubectl-edit",
            "spec.minReadySeconds",
        ),
        # Nobody is left who owns it: the scale subresource drops a zero.
        (lambda spec: spec.update(replicas=0), (), SCALED, "spec.replicas"),
        (lambda spec: spec.update(replicas=0), (writer("bot", 90, "spec/replicas"),), "bot", "spec.replicas"),
        # What controllers write is nobody's change.
        (lambda spec: spec.update(replicas=7), (writer("kube-controller-manager", 90, "spec/replicas"),), None, ""),
        (lambda spec: None, (writer("kubectl-edit", 90, "metadata/labels/team"),), None, ""),
    ],
)
def test_what_was_changed_by_hand_since_all_was_well(
    scene: Scene, change: Edit, writers: tuple[dict[str, Any], ...], actor: str | None, path: str
) -> None:
    scene.workload("web", SPEC)
    scene.snapshot(kinds=KEPT)
    edit(scene, change, *writers)
    told = [(one.actor, [field.path for field in one.fields]) for one in found(scene)]
    assert told == ([(actor, [path])] if actor is not None else [])
    assert all(one.by_hand and one.mechanism == "workload" for one in found(scene))


def test_each_template_is_a_change_of_its_own_with_its_writer(scene: Scene) -> None:
    scene.workload("web", SPEC)
    template(scene, "registry.example/app:2", 2, 600, writer("ci", 600, "spec/template/spec/containers"))
    template(scene, "registry.example/app:3", 3, 90, writer("kubectl-set", 90, "spec/template/spec/containers"))
    second, third = found(scene)
    assert [(c.previous, c.revision, c.generation) for c in (second, third)] == [(1, 2, "web-2"), (2, 3, "web-3")]
    assert third.actor == "kubectl-set" and third.before is not None and third.before.text == "revision 2"
    assert [(f.before, f.after) for f in third.fields if f.path.endswith(".image")] == [
        ("registry.example/app:2", "registry.example/app:3")
    ]


def test_a_literal_that_was_added_beside_an_object_that_is_gone(scene: Scene) -> None:
    scene.config("settings")
    scene.workload("web", SPEC)
    template(scene, "registry.example/app:1", 2, 90, writer("kubectl-set", 90, "spec/template/spec/containers"))
    web = scene.objects["Deployment", "web"]["spec"]["template"]["spec"]
    web["containers"][0]["env"] = [*web["containers"][0]["env"], {"name": "FOO", "value": "bar"}]
    scene.put(
        "Deployment",
        "web",
        *scene.objects["Deployment", "web"]["metadata"]["managedFields"],
        **{key: scene.objects["Deployment", "web"][key] for key in ("spec", "status")},
    )
    why = {"reason": "CreateContainerConfigError", "message": 'configmap "settings" not found'}
    scene.pod("web-0", ("Deployment", "web"), web, {"app": "web"}, well=False, waiting=why)
    pod = scene.objects["Pod", "web-0"]
    pod["metadata"]["ownerReferences"][0]["name"] = "web-2"
    scene.cluster.put(PODS, pod)
    replica_set = scene.objects["ReplicaSet", "web-2"]
    scene.put(
        "ReplicaSet",
        "web-2",
        born=90,
        meta={key: replica_set["metadata"][key] for key in ("ownerReferences", "annotations")},
        spec=replica_set["spec"],
        status={},
    )
    scene.drop("ConfigMap", "settings")
    problems = scene.problems()
    assert set(problems) == {"configmap/settings"}
    assert "does not exist any more" in problems["configmap/settings"].cause.text


def test_a_template_that_nobody_rolled_out_yet_is_a_change(scene: Scene) -> None:
    scene.workload("web", SPEC)
    pod = {**SPEC, "containers": [{**SPEC["containers"][0], "image": "registry.example/app:2"}]}
    body = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
    edit(
        scene,
        lambda spec: spec.update(template=body, paused=True),
        writer("kubectl-set", 90, "spec/template/spec/containers"),
    )
    held = next(one for one in found(scene) if not one.made)
    assert (held.revision, held.previous, held.generation, held.actor) == (2, 1, "", "kubectl-set")


@pytest.mark.parametrize(("oldest", "known"), [(3, True), (1, False)])
def test_what_a_revision_brought_that_helm_has_pruned(scene: Scene, oldest: int, known: bool) -> None:
    scene.workload("web", SPEC)
    template(scene, "web:2", 2, 300, writer("helm", 300, "spec/template/spec/containers"))
    manifest = json.dumps({**scene.objects["Deployment", "web"], "status": None})
    record(scene, oldest, manifest, status="superseded", seconds=200)
    record(scene, oldest + 1, manifest, status="deployed", seconds=100)
    stack = Owner(kind="helm", target=Target("helm", "stack", NS, "here"), message=msg("Helm."))
    changes = [change for change in found(scene, stack) if change.generation == "web-2"]
    told = [change.summary.text for change in changes if "does not keep any more" in change.summary.text]
    assert bool(told) is known
    if known:
        assert [(field.before, field.after) for field in changes[0].fields] == [("registry.example/app:1", "web:2")]
        assert (changes[0].actor, str(changes[0].target), changes[0].revision) == ("helm", "helm/stack", None)


def test_edits_by_one_writer_are_told_apart_by_the_templates_that_they_brought(scene: Scene) -> None:
    scene.workload("web", SPEC)
    record(
        scene, 1, json.dumps({**scene.objects["Deployment", "web"], "status": None}), status="deployed", seconds=7200
    )
    template(scene, "registry.example/app:1", 2, 300, annotations={"team": "a"})
    template(scene, "web:3", 3, 90, writer("api", 90, "spec/template"), annotations={"team": "a"})
    stack = Owner(kind="helm", target=Target("helm", "stack", NS, "here"), message=msg("Helm."))
    told = [
        (one.actor, [field.path.rpartition(".")[2] for field in one.fields], int((NOW - one.at).total_seconds()))
        for one in found(scene, stack)
        if one.by_hand and one.at is not None
    ]
    assert told == [("api", ["team"], 300), ("api", ["image"], 90)]
