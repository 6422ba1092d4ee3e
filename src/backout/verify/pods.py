# SPDX-License-Identifier: Apache-2.0
"""Which pods a check is about."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import PODS, REPLICASETS, Object
from backout.kube.pod_health import finished_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import controller_uid
from backout.mechanisms.common.measuring import Named, namespace_of
from backout.mechanisms.port import CheckOf
from backout.verify.params import OnPods
from backout.verify.scene import Scene

_KINDS = {kind.lower(): kind for kind in WORKLOAD_RESOURCES}


def workload_of(check: CheckOf[Named]) -> tuple[str, str] | None:
    """Kind and name of the workload that a check is about; None for a whole namespace."""
    kind = _KINDS.get((check.params.kind or check.target.kind).lower())
    name = check.params.name or check.target.name
    return (kind, name) if kind else None


def pods_of(scene: Scene, workload: Object, namespace: str) -> list[Object]:
    """The pods that a workload manages, those that terminate included; not those that are finished (evicted, …)."""
    uid = workload["metadata"]["uid"]
    owners = {uid}
    if workload.get("kind") == "Deployment":
        sets = scene.objects(REPLICASETS, namespace)
        owners = {replicas["metadata"]["uid"] for replicas in sets if controller_uid(replicas) == uid}
    return [pod for pod in scene.objects(PODS, namespace) if controller_uid(pod) in owners and not finished_of(pod)]


def selected(scene: Scene, check: CheckOf[OnPods]) -> list[Object]:
    """The pods that a check is about: of ``workloads``, of the target, or of the namespace; without finished ones."""
    namespace = namespace_of(check)
    wanted = [(_KINDS.get(w.kind.lower(), ""), w.name) for w in check.params.workloads]
    if not wanted and (single := workload_of(check)):
        wanted = [single]
    if not wanted:
        found = scene.objects(PODS, namespace)
    else:
        found = []
        for kind, name in wanted:
            workload = find_workload(scene, kind, name, namespace)
            found += pods_of(scene, workload, namespace) if workload else []
    labels = check.params.labels
    if labels:
        found = [pod for pod in found if matches(labels, pod["metadata"].get("labels") or {})]
    return [pod for pod in found if not finished_of(pod)]


def find_workload(scene: Scene, kind: str, name: str, namespace: str) -> Object | None:
    """The workload, with its kind filled in (lists leave it out)."""
    if kind not in WORKLOAD_RESOURCES:
        return None
    found = scene.get(WORKLOAD_RESOURCES[kind], namespace, name)
    return {**found, "kind": kind, "apiVersion": "apps/v1"} if found else None


def matches(wanted: Any, labels: dict[str, str]) -> bool:
    """Equality selectors, as a mapping or as ``key=value,key=value``."""
    if isinstance(wanted, str):
        wanted = dict(part.split("=", 1) for part in wanted.replace("==", "=").split(",") if "=" in part)
    return all(labels.get(key) == value for key, value in wanted.items())


def terminating(pod: Object) -> bool:
    """Asked to go."""
    return bool(pod["metadata"].get("deletionTimestamp"))
