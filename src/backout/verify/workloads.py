# SPDX-License-Identifier: Apache-2.0
"""``workload-ready`` and ``pods-ready``: controller's counters first, then every pod, since counters can lag.

Rules: the revision asked for is the one in force, ``observedGeneration`` has caught up, every counter equals the wish,
and each pod is of that revision, Ready, and not on its way out. Stricter than `kubectl rollout status`, which accepts a
StatefulSet whose counters are right while a pod of another revision is still there
(kubernetes/kubectl pkg/polymorphichelpers/rollout_status.go).
"""

from __future__ import annotations

from typing import Any

from backout.cluster.port import CONTROLLERREVISIONS, REPLICASETS, Object
from backout.model.message import msg
from backout.model.plan import Check
from backout.verify.measured import Measured, failed, listed, passed, unknown
from backout.verify.pods import (
    controller,
    find_workload,
    namespace_of,
    pods_of,
    ready,
    selected,
    terminating,
    trouble,
    workload_of,
)
from backout.verify.scene import Scene

_HASH_LABEL = {
    "Deployment": "pod-template-hash",
    "StatefulSet": "controller-revision-hash",
    "DaemonSet": "controller-revision-hash",
}


def workload_ready(check: Check, scene: Scene) -> Measured:
    """See the module."""
    wanted = workload_of(check)
    if wanted is None:
        return unknown(msg("the check names no workload"))
    kind, name = wanted
    namespace = namespace_of(check)
    workload = find_workload(scene, kind, name, namespace)
    if workload is None:
        return failed(msg("{kind} {name} does not exist", kind=kind, name=name))
    if wrong := _template(check, workload):
        return wrong
    generation = int(workload["metadata"].get("generation") or 0)
    status: dict[str, Any] = workload.get("status") or {}
    if int(status.get("observedGeneration") or 0) < generation:
        return failed(
            msg("the controller has not seen generation {generation} yet", generation=generation), generation=generation
        )
    current = _current_hash(scene, workload, namespace)
    if not current:
        return failed(msg("the controller has made no revision for the template yet"))
    pinned = check.params.get("hash")
    if pinned and pinned != current:
        return failed(
            msg("the revision in force is {current}", current=current), msg("revision {pinned}", pinned=str(pinned))
        )
    return _pods(scene, workload, namespace, current) or _counters(workload, current)


def _template(check: Check, workload: Object) -> Measured | None:
    """The images that the template must name."""
    images = check.params.get("images")
    if not images:
        return None
    spec = workload["spec"]["template"]["spec"]
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    if isinstance(images, dict):
        found = {entry["name"]: entry.get("image", "") for entry in containers}
        wrong = [f"{name}={found.get(name, '-')}" for name, image in images.items() if found.get(name) != image]
        expected = [f"{name}={image}" for name, image in images.items() if found.get(name) != image]
    else:
        present = {entry.get("image", "") for entry in containers}
        expected = [str(image) for image in images if image not in present]
        wrong = sorted(present)
    if not expected:
        return None
    return failed(msg("its template says {images}", images=listed(wrong)), msg("{images}", images=listed(expected)))


def _current_hash(scene: Scene, workload: Object, namespace: str) -> str:
    """The label value that pods of the revision in force carry."""
    kind, uid = workload["kind"], workload["metadata"]["uid"]
    if kind == "StatefulSet":
        return str((workload.get("status") or {}).get("updateRevision") or "")
    if kind == "DaemonSet":
        owned = [revision for revision in scene.objects(CONTROLLERREVISIONS, namespace) if controller(revision) == uid]
        newest = max(owned, key=lambda revision: int(revision.get("revision") or 0), default=None)
        return str(((newest or {}).get("metadata") or {}).get("labels", {}).get(_HASH_LABEL[kind], ""))
    template = _plain(workload["spec"]["template"])
    for replicas in scene.objects(REPLICASETS, namespace):
        if controller(replicas) == uid and _plain(replicas["spec"]["template"]) == template:
            return str(replicas["metadata"].get("labels", {}).get(_HASH_LABEL[kind], ""))
    return ""


def _plain(template: dict[str, Any]) -> dict[str, Any]:
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != "pod-template-hash"}
    return {**template, "metadata": {"labels": labels, "annotations": meta.get("annotations") or {}}}


def _desired(workload: Object) -> int:
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    replicas = workload["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _pods(scene: Scene, workload: Object, namespace: str, current: str) -> Measured | None:
    label = _HASH_LABEL[workload["kind"]]
    pods = pods_of(scene, workload, namespace)
    desired = _desired(workload)
    going = sorted(pod["metadata"]["name"] for pod in pods if terminating(pod))
    staying = [pod for pod in pods if not terminating(pod)]
    old = sorted(
        pod["metadata"]["name"] for pod in staying if (pod["metadata"].get("labels") or {}).get(label) != current
    )
    sick = sorted(f"{pod['metadata']['name']} ({trouble(pod)})" for pod in staying if not ready(pod))
    healthy = sum(1 for pod in staying if ready(pod))
    if old:
        return failed(
            msg(
                "{count} of {desired} pods are of another revision: {pods}{why}",
                count=len(old),
                desired=desired,
                pods=listed(old),
                why=_held_back(workload),
            ),
            msg("all of revision {current}", current=current),
            pods=old,
        )
    if sick:
        return failed(
            msg("{ready} of {desired} pods ready: {pods}", ready=healthy, desired=desired, pods=listed(sick)), pods=sick
        )
    if going:
        return failed(msg("{count} pods are still terminating: {pods}", count=len(going), pods=listed(going)))
    if len(staying) != desired:
        return failed(msg("{count} pods exist, {desired} are wanted", count=len(staying), desired=desired))
    return None


def _held_back(workload: Object) -> str:
    """Why old pods stay by design: a partition, OnDelete."""
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return " (updateStrategy OnDelete)"
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    return f" (partition {partition})" if partition else ""


def _counters(workload: Object, current: str) -> Measured:
    status: dict[str, Any] = workload.get("status") or {}
    desired = _desired(workload)
    names: tuple[str, ...]
    if workload["kind"] == "DaemonSet":
        names = ("updatedNumberScheduled", "numberReady", "numberAvailable")
    else:
        names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    counters = {name: int(status.get(name) or 0) for name in names}
    wrong = [f"{name}={value}" for name, value in counters.items() if value != desired]
    if wrong:
        return failed(
            msg("the controller counts {counters}", counters=", ".join(wrong)),
            msg("{desired} each", desired=desired),
            counters=counters,
        )
    if workload["spec"].get("paused"):
        return passed(
            msg(
                "{ready} of {desired} pods ready, revision {current}; its rollout is paused",
                ready=desired,
                desired=desired,
                current=current,
            ),
            revision=current,
            ready=desired,
            desired=desired,
        )
    return passed(
        msg("{ready} of {desired} pods ready, revision {current}", ready=desired, desired=desired, current=current),
        revision=current,
        ready=desired,
        desired=desired,
    )


def pods_ready(check: Check, scene: Scene) -> Measured:
    """Every selected pod is Ready; none is a failure, since nothing was proven."""
    pods = [pod for pod in selected(scene, check) if not terminating(pod)]
    sick = sorted(f"{pod['metadata']['name']} ({trouble(pod)})" for pod in pods if not ready(pod))
    if sick:
        return failed(
            msg(
                "{ready} of {desired} pods ready: {pods}",
                ready=len(pods) - len(sick),
                desired=len(pods),
                pods=listed(sick),
            ),
            pods=sick,
        )
    if not pods:
        return failed(msg("there are no such pods"))
    return passed(msg("{ready} of {desired} pods ready", ready=len(pods), desired=len(pods)), ready=len(pods))
