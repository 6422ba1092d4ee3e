# SPDX-License-Identifier: Apache-2.0
"""Pods of a workload, and what is wrong with a pod."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import DAEMONSETS, DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS, Object, Resource
from backout.model.plan import Check
from backout.verify.scene import Scene

RESOURCES: dict[str, Resource] = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFULSETS, "DaemonSet": DAEMONSETS}
_KINDS = {kind.lower(): kind for kind in RESOURCES}


def workload_of(check: Check) -> tuple[str, str] | None:
    """Kind and name of the workload that a check is about; None for a whole namespace."""
    kind = _KINDS.get(str(check.params.get("kind") or check.target.kind).lower())
    name = str(check.params.get("name") or check.target.name)
    return (kind, name) if kind else None


def namespace_of(check: Check) -> str:
    """The namespace that a check is about."""
    return str(check.params.get("namespace") or check.target.namespace)


def controller(obj: Object) -> str:
    """The uid of the owner that manages the object; empty when none does."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


def pods_of(scene: Scene, workload: Object, namespace: str) -> list[Object]:
    """The pods that a workload manages, those that terminate included."""
    uid = workload["metadata"]["uid"]
    owners = {uid}
    if workload.get("kind") == "Deployment":
        sets = scene.objects(REPLICASETS, namespace)
        owners = {replicas["metadata"]["uid"] for replicas in sets if controller(replicas) == uid}
    return [pod for pod in scene.objects(PODS, namespace) if controller(pod) in owners]


def selected(scene: Scene, check: Check) -> list[Object]:
    """The pods that a check is about: of ``workloads``, of the target, or of the namespace; without finished ones."""
    namespace = namespace_of(check)
    wanted = [(_KINDS.get(str(w["kind"]).lower(), ""), str(w["name"])) for w in check.params.get("workloads") or ()]
    if not wanted and (single := workload_of(check)):
        wanted = [single]
    if not wanted:
        found = scene.objects(PODS, namespace)
    else:
        found = []
        for kind, name in wanted:
            workload = find_workload(scene, kind, name, namespace)
            found += pods_of(scene, workload, namespace) if workload else []
    labels = check.params.get("labels")
    if labels:
        found = [pod for pod in found if matches(labels, pod["metadata"].get("labels") or {})]
    return [pod for pod in found if (pod.get("status") or {}).get("phase") != "Succeeded"]


def find_workload(scene: Scene, kind: str, name: str, namespace: str) -> Object | None:
    """The workload, with its kind filled in (lists leave it out)."""
    if kind not in RESOURCES:
        return None
    found = scene.get(RESOURCES[kind], namespace, name)
    return {**found, "kind": kind, "apiVersion": "apps/v1"} if found else None


def matches(wanted: Any, labels: dict[str, str]) -> bool:
    """Equality selectors, as a mapping or as ``key=value,key=value``."""
    if isinstance(wanted, str):
        wanted = dict(part.split("=", 1) for part in wanted.replace("==", "=").split(",") if "=" in part)
    return all(labels.get(key) == value for key, value in wanted.items())


def terminating(pod: Object) -> bool:
    """Asked to go."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def ready(pod: Object) -> bool:
    """The condition Ready is True: running alone is not ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def trouble(pod: Object) -> str:
    """Why a pod is not ready, in Kubernetes' own word: ``CrashLoopBackOff``, ``Unschedulable``, ``not ready``."""
    status = pod.get("status") or {}
    if terminating(pod):
        return "Terminating"
    for field in ("initContainerStatuses", "containerStatuses"):
        for entry in status.get(field) or ():
            state = entry.get("state") or {}
            reason = (state.get("waiting") or {}).get("reason") or (state.get("terminated") or {}).get("reason")
            if reason and not (field == "initContainerStatuses" and reason in ("Completed", "PodInitializing")):
                return str(reason)
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("reason") or "Unschedulable")
    if status.get("reason"):
        return str(status["reason"])
    return "not ready" if status.get("phase") == "Running" else str(status.get("phase") or "Pending")
