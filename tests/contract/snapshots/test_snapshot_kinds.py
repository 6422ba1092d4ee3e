# SPDX-License-Identifier: Apache-2.0
"""Every namespaced kind that a whole API server serves: taken, broken, and put back as it was."""

from __future__ import annotations

import base64
import copy
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_harness import Cluster as Harness
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from snapshot_world import World, run

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "snapshots"))

from generated import MAPS, served, value

from backout.cluster.port import Object, Resource
from backout.errors import BackoutError, Conflict, Invalid
from backout.kube.sanitise import sanitise
from backout.snapshots.restore import RECREATE, carry_out, require_possible
from kubetwin.apiserver.schema import for_kind

LABELS = {"app": "web"}
POD = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "nginx:1.25"}]}}
ONCE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "once", "image": "nginx:1.25"}]}}
WORKLOAD = {"selector": {"matchLabels": LABELS}, "template": POD}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
DEVICE = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}}
GIGABYTE = {"requests": {"storage": "1Gi"}}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
VALID: dict[str, dict[str, Any]] = {
    "ConfigMap": {"data": {"a": "1"}},
    "Secret": {"data": {"a": base64.b64encode(b"1").decode()}},
    "ServiceAccount": {},
    "Service": {"spec": {"selector": LABELS, "ports": [{"port": 80}]}},
    "LimitRange": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    "ResourceQuota": {"spec": {"hard": {"configmaps": "100"}}},
    "PodTemplate": {"template": POD},
    "ReplicationController": {"spec": {"replicas": 0, "selector": LABELS, "template": POD}},
    "PersistentVolumeClaim": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": GIGABYTE}},
    "Deployment": {"spec": {"replicas": 0, **WORKLOAD}},
    "StatefulSet": {"spec": {"replicas": 0, "serviceName": "web", **WORKLOAD}},
    "DaemonSet": {"spec": {**WORKLOAD, "template": {**POD, "spec": {**POD["spec"], "nodeSelector": {"no": "node"}}}}},
    "CronJob": {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": ONCE}}}},
    "Job": {"spec": {"suspend": True, "template": ONCE}},
    "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 3, "scaleTargetRef": SCALED}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": LABELS}}},
    "Ingress": {"spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "RoleBinding": {"roleRef": ROLE, "subjects": []},
    "ResourceClaim": {"spec": DEVICE},
    "ResourceClaimTemplate": {"spec": {"spec": DEVICE}},
}
ASIDE = ("Job", "PersistentVolumeClaim")
KINDS = [resource for resource in served() if resource.kind != "Widget"]


def test_every_kind_has_an_example() -> None:
    assert {resource.kind for resource in KINDS} == set(VALID)


def named(resource: Resource, name: str, ns: str) -> Object:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": ns},
        **copy.deepcopy(VALID[resource.kind]),
    }


async def grown(world: World, obj: Object, additions: list[tuple[str, Any]]) -> Object:
    """With those of the generated fields that the server takes."""
    for field, content in additions:
        tried = copy.deepcopy(obj)
        tried.get("spec", tried)[field] = content
        try:
            await world.cluster.dry_run_create(tried)
        except Invalid:
            continue
        obj = tried
    return obj


@pytest.mark.parametrize("resource", KINDS, ids=lambda resource: resource.kind)
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_what_is_taken_is_what_is_put_back(cluster: Harness, ns: str, resource: Resource, data: st.DataObject) -> None:
    schema = for_kind(resource.api_version, resource.kind)
    assert schema is not None
    holder = schema.properties["spec"] if "spec" in VALID[resource.kind] else schema
    given_ = {"metadata", "status", "apiVersion", "kind", "spec", "stringData", "replicas", "suspend", "type"}
    names = sorted(set(holder.properties) - given_)
    wanted = data.draw(st.lists(st.sampled_from(names), max_size=5, unique=True)) if names else []
    additions = [(name, data.draw(value(holder.properties[name], 3))) for name in wanted]
    notes = data.draw(MAPS)
    suffix = secrets.token_hex(3)

    async def work(world: World) -> None:
        port = world.cluster
        full, small = f"full-{suffix}", f"small-{suffix}"
        for obj in (await grown(world, named(resource, full, ns), additions), named(resource, small, ns)):
            obj["metadata"]["annotations"] = {f"example.org/{key}".strip("._-"): text for key, text in notes.items()}
            try:
                await port.create(obj)
            except Invalid:
                obj["metadata"].pop("annotations")
                await port.create(obj)
        snapshot = (await world.take()).snapshot
        before = {name: sanitise(await port.get(resource, name, ns)) for name in (full, small)}
        plan = await world.plan(snapshot)
        assert {item.action for item in plan.items} <= {"unchanged", "left-alone"}

        await change(world, resource, full)
        await port.delete(resource, small, ns)
        await gone(world, resource, small)
        plan = await world.plan(snapshot)
        require_possible(plan, (RECREATE,), partial=False)
        items = {str(item.ref.name): item for item in await carry_out(port, plan)}
        if resource.kind in ASIDE:
            assert {items[full].action, items[small].action} == {"left-alone"}
            return
        assert items[small].state == "done"
        for name, wanted in before.items():
            assert sanitise(await port.get(resource, name, ns)) == wanted
        assert {item.action for item in (await world.plan(snapshot)).items} <= {"unchanged", "left-alone"}
        await port.delete(resource, full, ns)

    run(cluster, ns, work)


async def change(world: World, resource: Resource, name: str) -> None:
    """Labels, annotations, and the first field of the kind that takes another value; of what is immutable, nothing."""
    extra = {"metadata": {"labels": {"bad": "change"}, "annotations": {"example.org/bad": "change"}}}
    more: dict[str, Any] = {
        "ConfigMap": {"data": {"added": "x"}},
        "Secret": {"data": {"added": "eA=="}},
        "Service": {"spec": {"selector": {"app": "nobody"}}},
        "Deployment": {"spec": {"paused": True}},
        "StatefulSet": {"spec": {"minReadySeconds": 7}},
        "DaemonSet": {"spec": {"minReadySeconds": 7}},
        "Ingress": {"spec": {"ingressClassName": "other"}},
        "CronJob": {"spec": {"schedule": "1 1 1 1 *"}},
        "NetworkPolicy": {"spec": {"policyTypes": ["Egress"]}},
        "HorizontalPodAutoscaler": {"spec": {"maxReplicas": 9}},
        "ResourceQuota": {"spec": {"hard": {"secrets": "100"}}},
        "ServiceAccount": {"automountServiceAccountToken": False},
        "PodDisruptionBudget": {"spec": {"maxUnavailable": 5}},
        "LimitRange": {"spec": {"limits": []}},
    }.get(resource.kind, {})
    for patch in (extra | more, extra):
        try:
            await world.cluster.patch(resource, name, patch, world.ns)
            return
        except (Invalid, Conflict):
            continue


async def gone(world: World, resource: Resource, name: str) -> None:
    """Finalizers and controllers may take a moment."""
    while True:
        try:
            await world.cluster.get(resource, name, world.ns)
        except BackoutError:
            return
