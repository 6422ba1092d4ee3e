# SPDX-License-Identifier: Apache-2.0
"""What was changed by hand shortly before it broke, and stays, is told and keeps the verdict unknown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_cluster import SmallCluster

from backout.cluster.port import CONFIGMAPS, CONTROLLERREVISIONS, DEPLOYMENTS, PODS, REPLICASETS, SECRETS, STATEFULSETS
from backout.model.change import Changes, FieldChange, ObjectChange
from backout.model.target import ObjectRef, Target
from backout.verify.verify import verify
from backout.workflows.measures import MEASURES
from backout.workflows.suspects import checks, risks, suspects

NS = "shop"
BROKE = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
WEB = ObjectRef("apps/v1", "Deployment", "web", NS)
TARGET = Target("deployment", "web", NS, "c")
BACK = FieldChange("spec.template.spec.containers[name=a].image", "a:2", "a:1")


def at(seconds: float) -> str:
    return (BROKE + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def going(*refs: ObjectRef, fields: tuple[FieldChange, ...] = (BACK,)) -> Changes:
    return Changes(objects=tuple(ObjectChange(ref=ref, action="update", fields=fields) for ref in refs))


class World:
    """A Deployment that reads a ConfigMap; which its newest ReplicaSet broke, and another one came before."""

    def __init__(self, kind: str = "Deployment", how: str = "env") -> None:
        self.cluster = SmallCluster()
        container: dict[str, Any] = {"name": "a", "image": "a:2"}
        volumes = []
        if how == "env":
            container["envFrom"] = [{"configMapRef": {"name": "settings"}}]
        elif how:
            container["volumeMounts"] = [{"name": "v", "mountPath": "/x"}]
            volumes = [{"name": "v", "secret": {"secretName": "settings"}}]
        spec = {"containers": [container], "volumes": volumes}
        self.template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
        resource = DEPLOYMENTS if kind == "Deployment" else STATEFULSETS
        self.put(
            resource,
            "web",
            spec={"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": self.template},
        )
        self.kind = kind

    def put(self, resource: Any, name: str, born: float = -9000, **body: Any) -> None:
        meta = {"name": name, "namespace": NS, "uid": name, "creationTimestamp": at(born), **body.pop("meta", {})}
        self.cluster.put(
            resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta, **body}
        )

    def generation(self, number: int, born: float) -> None:
        owner = {"apiVersion": "apps/v1", "kind": self.kind, "name": "web", "uid": "web", "controller": True}
        meta: dict[str, Any] = {"ownerReferences": [owner]}
        if self.kind == "Deployment":
            meta["annotations"] = {"deployment.kubernetes.io/revision": str(number)}
            self.put(REPLICASETS, f"web-{number}", born, meta=meta, spec={"template": self.template}, status={})
        else:
            data = {"spec": {"template": self.template}}
            self.put(CONTROLLERREVISIONS, f"web-{number}", born, meta=meta, revision=number, data=data)

    def settings(self, written: float | None, manager: str = "kubectl-edit", kind: Any = CONFIGMAPS) -> None:
        entries = [{"manager": "kubectl-create", "time": at(-9000), "fieldsV1": {"f:data": {"f:a": {}}}}]
        if written is not None:
            entries.append({"manager": manager, "time": at(written), "fieldsV1": {"f:data": {"f:b": {}}}})
        self.put(kind, "settings", meta={"managedFields": entries}, data={"a": "1", "b": "2"})

    def found(self, changes: Changes | None = None, broke: datetime | None = BROKE) -> list[Any]:
        ref = ObjectRef("apps/v1", self.kind, "web", NS)
        return asyncio.run(suspects(self.cluster, TARGET, changes or going(ref), broke, BROKE))  # type: ignore[arg-type]


def rolled(kind: str = "Deployment", how: str = "env", before: float = -50) -> World:
    world = World(kind, how)
    for number, born in ((1, -9000.0), (2, before), (3, 0.0)):
        world.generation(number, born)
    return world


@pytest.mark.parametrize(
    ("written", "manager", "found"),
    [
        pytest.param(-60, "kubectl-edit", True, id="by hand, a minute before"),
        pytest.param(-60, "rotate-bot", True, id="by a program that nobody knows"),
        pytest.param(-60, "helm", False, id="by Helm"),
        pytest.param(-60, "kube-controller-manager", False, id="by the cluster"),
        pytest.param(-700, "kubectl-edit", False, id="long before: it ran with it"),
        pytest.param(5, "kubectl-edit", False, id="after it broke: somebody mends it"),
        pytest.param(None, "", False, id="nobody"),
    ],
)
def test_whose_change_is_another_suspect(written: float | None, manager: str, found: bool) -> None:
    world = rolled()
    world.settings(written, manager)
    assert [str(one.ref) for one in world.found()] == (["configmap/settings"] if found else [])


def test_only_what_is_read_and_in_force_and_stays() -> None:
    world = rolled(before=-80)
    world.settings(-60)
    assert not world.found(), "nothing was started with it"
    world = rolled(how="")
    world.settings(-60)
    assert not world.found(), "nothing reads it"
    world = rolled()
    world.settings(-60)
    settings = ObjectRef("v1", "ConfigMap", "settings", NS)
    assert not world.found(going(WEB, settings)), "it goes back as well"
    assert not world.found(going(WEB, fields=(FieldChange("spec.replicas", 1, 2),))), "the template stays"
    assert not world.found(broke=None), "when it broke is not known"
    world = rolled("StatefulSet", "volume")
    world.settings(-60, kind=SECRETS)
    assert [str(one.ref) for one in world.found()] == ["secret/settings"]
    world = rolled("StatefulSet", "volume")
    assert not world.found(), "it is not there, or may not be read"


def test_pods_that_came_after_it_count_without_a_rollout() -> None:
    world = rolled(before=-8000)
    world.settings(-60)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-2", "uid": "web-2", "controller": True}
    meta = {"labels": {"app": "web"}, "ownerReferences": [owner]}
    world.put(PODS, "web-2-x", -30, meta=meta, spec={"containers": []}, status={"phase": "Running"})
    assert len(world.found()) == 1


def test_it_is_unknown_until_somebody_writes_it() -> None:
    world = rolled()
    world.settings(-60)
    found = world.found()
    (check,) = checks(found, "c")
    (risk,) = risks(found)
    assert "--skip configmap/settings" in risk.message.text and not risk.needs_approval

    def measured() -> str:
        verdict = asyncio.run(verify(world.cluster, [check], 0.0, settle=0.0, also=MEASURES))  # type: ignore[arg-type]
        return verdict.outcome

    assert measured() == "unknown"
    world.settings(-60, manager="backout")
    assert measured() == "recovered"
    world.settings(30)
    assert measured() == "recovered"
    world.cluster.drop(CONFIGMAPS, "settings", NS)
    assert measured() == "recovered"
