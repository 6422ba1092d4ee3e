# SPDX-License-Identifier: Apache-2.0
"""Health of resources and of applications. Pure.

Facts: argo-cd gitops-engine/pkg/health/*.go (built-in kinds), controller/health.go (``setApplicationHealth``: missing resources
do not count unless all are missing), resource_customizations/{argoproj.io/Rollout,batch/CronJob,
apiextensions.k8s.io/CustomResourceDefinition}/health.lua. Kinds without a rule have no health.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from kubetwin.client import Obj
from kubetwin.gitops.documents import group_of
from kubetwin.meta import annotations_of, condition, deleting, name_of, pod_ready, status_of

Health = tuple[str, str]
"""Status and message."""
ORDER = ("Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown")
HOOK_FINALIZER = "argocd.argoproj.io/hook-finalizer"
_IGNORE_RESTARTS = "argocd.argoproj.io/ignore-restart-policy"


def worse(current: str, new: str) -> bool:
    """Whether ``new`` is worse than ``current``; a status that is not known counts as healthy, as there."""
    rank = {name: place for place, name in enumerate(ORDER)}
    return rank.get(new, 0) > rank.get(current, 0)


def resource_health(obj: Obj, *, hook: bool = False) -> Health | None:
    """The health of a live object; None for kinds that have none."""
    if deleting(obj) and HOOK_FINALIZER not in (obj["metadata"].get("finalizers") or ()):
        return "Progressing", "Pending deletion"
    if obj.get("kind") == "Pod" and not group_of(obj):
        return _pod(obj, hook)
    rule = _RULES.get((group_of(obj), str(obj.get("kind"))))
    return rule(obj) if rule is not None else None


def _replicas(obj: Obj) -> int:
    value = (obj.get("spec") or {}).get("replicas")
    return 1 if value is None else int(value)


def _count(obj: Obj, name: str) -> int:
    return int(status_of(obj).get(name) or 0)


def _observed(obj: Obj) -> bool:
    return int(obj["metadata"].get("generation") or 0) <= _count(obj, "observedGeneration")


def _deployment(obj: Obj) -> Health:
    if (obj.get("spec") or {}).get("paused"):
        return "Suspended", "Deployment is paused"
    waiting = "Waiting for rollout to finish: "
    if not _observed(obj):
        return "Progressing", waiting + "observed deployment generation less than desired generation"
    progressing = condition(obj, "Progressing") or {}
    updated, total, available = (_count(obj, n) for n in ("updatedReplicas", "replicas", "availableReplicas"))
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return "Degraded", f'Deployment "{name_of(obj)}" exceeded its progress deadline'
    if updated < _replicas(obj):
        return "Progressing", f"{waiting}{updated} out of {_replicas(obj)} new replicas have been updated..."
    if total > updated:
        return "Progressing", f"{waiting}{total - updated} old replicas are pending termination..."
    if available < updated:
        return "Progressing", f"{waiting}{available} of {updated} updated replicas are available..."
    return "Healthy", ""


def _stateful_set(obj: Obj) -> Health:
    status = status_of(obj)
    if not _count(obj, "observedGeneration") or not _observed(obj):
        return "Progressing", "Waiting for statefulset spec update to be observed..."
    ready, updated = _count(obj, "readyReplicas"), _count(obj, "updatedReplicas")
    if ready < _replicas(obj):
        return "Progressing", f"Waiting for {_replicas(obj) - ready} pods to be ready..."
    strategy = (obj.get("spec") or {}).get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "RollingUpdate" and rolling is not None:
        wanted = _replicas(obj) - int(rolling.get("partition") or 0)
        if rolling.get("partition") is not None and updated < wanted:
            text = f"{updated} out of {wanted} new pods have been updated..."
            return "Progressing", f"Waiting for partitioned roll out to finish: {text}"
        return "Healthy", f"partitioned roll out complete: {updated} new pods have been updated..."
    if strategy.get("type") == "OnDelete":
        return "Healthy", f"statefulset has {ready} ready pods"
    current, update = status.get("currentRevision", ""), status.get("updateRevision", "")
    if current != update:
        text = f"waiting for statefulset rolling update to complete {updated} pods at revision {update}..."
        return "Progressing", text
    pods = _count(obj, "currentReplicas")
    return "Healthy", f"statefulset rolling update complete {pods} pods at revision {current}..."


def _daemon_set(obj: Obj) -> Health:
    waiting = f'Waiting for daemon set "{name_of(obj)}" rollout to finish: '
    if not _observed(obj):
        text = "observed daemon set generation less than desired generation"
        return "Progressing", f"Waiting for rollout to finish: {text}"
    wanted, updated = _count(obj, "desiredNumberScheduled"), _count(obj, "updatedNumberScheduled")
    if ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete":
        return "Healthy", f"daemon set {updated} out of {wanted} new pods have been updated"
    if updated < wanted:
        return "Progressing", f"{waiting}{updated} out of {wanted} new pods have been updated..."
    available = _count(obj, "numberAvailable")
    if available < wanted:
        return "Progressing", f"{waiting}{available} of {wanted} updated pods are available..."
    return "Healthy", ""


def _replica_set(obj: Obj) -> Health:
    if not _observed(obj):
        text = "observed replica set generation less than desired generation"
        return "Progressing", f"Waiting for rollout to finish: {text}"
    failure = condition(obj, "ReplicaFailure") or {}
    if failure.get("status") == "True":
        return "Degraded", str(failure.get("message", ""))
    available = _count(obj, "availableReplicas")
    if available < _replicas(obj):
        text = f"{available} out of {_replicas(obj)} new replicas are available..."
        return "Progressing", f"Waiting for rollout to finish: {text}"
    return "Healthy", ""


def _job(obj: Obj) -> Health:
    conditions = {each["type"]: each for each in status_of(obj).get("conditions") or ()}
    if failed := conditions.get("Failed"):
        return "Degraded", str(failed.get("message", ""))
    for kind in ("Suspended", "Complete"):
        if found := conditions.get(kind):
            suspended = kind == "Suspended" and found.get("status") == "True"
            return "Suspended" if suspended else "Healthy", str(found.get("message", ""))
    return "Progressing", ""


def _pod(obj: Obj, hook: bool) -> Health:
    status = status_of(obj)
    annotations = obj["metadata"].get("annotations") or {}
    lasting = (obj.get("spec") or {}).get("restartPolicy", "Always") == "Always" or (
        annotations.get(_IGNORE_RESTARTS) == "true" and not hook
    )
    containers = status.get("containerStatuses") or ()
    message = str(status.get("message") or "")
    if lasting:
        waiting = [(each.get("state") or {}).get("waiting") or {} for each in containers]
        stuck = [
            str(each.get("message") or "")
            for each in waiting
            if str(each.get("reason", "")).startswith("Err")
            or str(each.get("reason", "")).endswith(("Error", "BackOff"))
        ]
        if stuck:
            return "Degraded", ", ".join(stuck)
    match status.get("phase"):
        case "Pending":
            return "Progressing", message
        case "Succeeded":
            return "Healthy", message
        case "Failed":
            return "Degraded", message or _failure([*(status.get("initContainerStatuses") or ()), *containers])
        case "Running":
            if lasting and pod_ready(obj):
                return "Healthy", message
            if lasting and any((each.get("lastState") or {}).get("terminated") for each in containers):
                return "Degraded", message
            return "Progressing", message
    return "Unknown", message


def _failure(containers: list[Obj]) -> str:
    for each in containers:
        ended = (each.get("state") or {}).get("terminated") or {}
        if ended.get("message"):
            return str(ended["message"])
        if ended.get("reason") == "OOMKilled":
            return "OOMKilled"
        if ended.get("exitCode"):
            return f'container "{each.get("name")}" failed with exit code {ended["exitCode"]}'
    return ""


def _claim(obj: Obj) -> Health:
    found = {"Lost": "Degraded", "Pending": "Progressing", "Bound": "Healthy"}
    return found.get(str(status_of(obj).get("phase")), "Unknown"), ""


def _service(obj: Obj) -> Health:
    if (obj.get("spec") or {}).get("type") != "LoadBalancer":
        return "Healthy", ""
    return _ingress(obj)


def _ingress(obj: Obj) -> Health:
    addresses = (status_of(obj).get("loadBalancer") or {}).get("ingress")
    return ("Healthy" if addresses else "Progressing"), ""


def _autoscaler(obj: Obj) -> Health:
    conditions = status_of(obj).get("conditions") or ()
    if str(obj.get("apiVersion")) == "autoscaling/v1":
        # That version has them in an annotation.
        conditions = json.loads(annotations_of(obj).get("autoscaling.alpha.kubernetes.io/conditions") or "[]")
    bad = {
        ("AbleToScale", "FailedGetScale"),
        ("AbleToScale", "FailedUpdateScale"),
        ("ScalingActive", "FailedGetResourceMetric"),
        ("ScalingActive", "FailedGetObjectMetric"),
        ("ScalingActive", "FailedGetPodsMetric"),
        ("ScalingActive", "FailedGetExternalMetric"),
        ("ScalingActive", "FailedComputeMetricsReplicas"),
        ("ScalingActive", "InvalidSelector"),
    }
    for each in conditions:
        if (each.get("type"), each.get("reason")) in bad:
            return "Degraded", str(each.get("message", ""))
    for each in conditions:
        if each.get("type") in ("AbleToScale", "ScalingLimited") and each.get("status") == "True":
            return "Healthy", str(each.get("message", ""))
    return "Progressing", "Waiting to Autoscale"


def application_health(obj: Obj) -> Health:
    """An application of applications is as healthy as they are, where argocd-cm says so (gone from the defaults in 1.8)."""
    found = status_of(obj).get("health") or {}
    return str(found.get("status") or "Progressing"), str(found.get("message") or "")


def _rollout(obj: Obj) -> Health:
    status = status_of(obj)
    if str(status.get("observedGeneration") or "") != str(obj["metadata"].get("generation")):
        return "Progressing", "Waiting for rollout spec update to be observed"
    phase = str(status.get("phase") or "Progressing")
    return ("Suspended" if phase == "Paused" else phase), str(status.get("message") or "")


def _cron_job(obj: Obj) -> Health:
    if (obj.get("spec") or {}).get("suspend"):
        return "Healthy", "CronJob is Suspended"
    status = status_of(obj)
    scheduled, successful = status.get("lastScheduleTime"), status.get("lastSuccessfulTime")
    if not scheduled:
        return "Healthy", "CronJob has not been scheduled yet"
    if not successful:
        return "Healthy", "The CronJob never completed successfully. It may not be healthy"
    if status.get("active"):
        return "Healthy", "The job is running. Its last execution may not have been successful"
    if successful < scheduled:
        return "Degraded", "CronJob has not completed its last execution successfully"
    return "Healthy", "CronJob has completed its last execution successfully"


def _definition(obj: Obj) -> Health:
    conditions = {each["type"]: each for each in status_of(obj).get("conditions") or ()}
    refused, established = conditions.get("NamesAccepted") or {}, conditions.get("Established") or {}
    if not conditions:
        return "Progressing", "Status conditions not found"
    if refused.get("status") == "False":
        return "Degraded", f"CRD names have not been accepted: {refused.get('message', '')}"
    if established.get("status") == "True":
        return "Healthy", "CRD is healthy"
    if established.get("reason") == "Installing":
        return "Progressing", "CRD is being installed"
    return "Degraded", "CRD is not established"


_RULES: dict[tuple[str, str], Callable[[Obj], Health]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Service"): _service,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("argoproj.io", "Rollout"): _rollout,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
