# SPDX-License-Identifier: Apache-2.0
"""Whether objects have become what was asked for, as Flux waits for it. Pure.

Facts: fluxcd/cli-utils pkg/kstatus/status/core.go and generic.go. Statuses: Current, InProgress, Failed, Terminating.
"""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.gitops.documents import group_of
from kubetwin.meta import condition, deleting, status_of


def kstatus(obj: Obj) -> tuple[str, str]:
    """Status and message of a live object."""
    if deleting(obj):
        return "Terminating", "Resource scheduled for deletion"
    status = status_of(obj)
    observed = status.get("observedGeneration")
    if observed is not None and observed != obj["metadata"].get("generation"):
        return (
            "InProgress",
            f"{obj['kind']} generation is {obj['metadata'].get('generation')}, but latest observed is {observed}",
        )
    for kind, found in (("Stalled", "Failed"), ("Reconciling", "InProgress")):
        told = condition(obj, kind)
        if told is not None and told.get("status") == "True":
            return found, str(told.get("message", ""))
    rule = _RULES.get((group_of(obj), str(obj["kind"])))
    if rule is not None:
        return rule(obj)
    ready = condition(obj, "Ready")
    if ready is not None and ready.get("status") != "True":
        return "InProgress", str(ready.get("message", ""))
    return "Current", "Resource is current"


def _n(obj: Obj, name: str) -> int:
    return int(status_of(obj).get(name) or 0)


def _wanted(obj: Obj) -> int:
    value = (obj.get("spec") or {}).get("replicas")
    return 1 if value is None else int(value)


def _deployment(obj: Obj) -> tuple[str, str]:
    progressing, available = condition(obj, "Progressing") or {}, condition(obj, "Available") or {}
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return "Failed", "Progress deadline exceeded"
    if status_of(obj).get("observedGeneration") is None:
        return "InProgress", "Deployment not observed"
    wanted, updated, total = _wanted(obj), _n(obj, "updatedReplicas"), _n(obj, "replicas")
    if total < wanted:
        return "InProgress", f"Replicas: {total}/{wanted}"
    if updated < wanted:
        return "InProgress", f"Updated: {updated}/{wanted}"
    if total > updated:
        return "InProgress", f"Pending termination: {total - updated}"
    if _n(obj, "availableReplicas") < wanted:
        return "InProgress", f"Available: {_n(obj, 'availableReplicas')}/{wanted}"
    if available.get("status") != "True":
        return "InProgress", "Deployment not Available"
    return "Current", f"Deployment is available. Replicas: {wanted}"


def _stateful_set(obj: Obj) -> tuple[str, str]:
    strategy = (obj.get("spec") or {}).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "Current", "StatefulSet is using the ondelete update strategy"
    if status_of(obj).get("observedGeneration") is None:
        return "InProgress", "StatefulSet not observed"
    wanted = _wanted(obj)
    for name, text in (("replicas", "Replicas"), ("readyReplicas", "Ready")):
        if _n(obj, name) < wanted:
            return "InProgress", f"{text}: {_n(obj, name)}/{wanted}"
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    if partition is not None:
        if _n(obj, "updatedReplicas") < wanted - int(partition):
            return "InProgress", f"updated: {_n(obj, 'updatedReplicas')}/{wanted - int(partition)}"
        return "Current", f"Partition rollout complete. updated: {_n(obj, 'updatedReplicas')}"
    if status_of(obj).get("currentRevision") != status_of(obj).get("updateRevision"):
        return "InProgress", "Waiting for updated revision to match current"
    return "Current", f"All replicas scheduled as expected. Replicas: {wanted}"


def _daemon_set(obj: Obj) -> tuple[str, str]:
    if status_of(obj).get("observedGeneration") is None:
        return "InProgress", "DaemonSet not observed"
    wanted = _n(obj, "desiredNumberScheduled")
    for name in ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"):
        if _n(obj, name) < wanted:
            return "InProgress", f"{name}: {_n(obj, name)}/{wanted}"
    return "Current", f"All replicas scheduled as expected. Replicas: {wanted}"


def _job(obj: Obj) -> tuple[str, str]:
    for kind, found in (("Failed", "Failed"), ("Complete", "Current")):
        told = condition(obj, kind)
        if told is not None and told.get("status") == "True":
            return found, str(told.get("message", ""))
    return ("Current", "Job in progress") if status_of(obj).get("startTime") else ("InProgress", "Job not started")


def _pod(obj: Obj) -> tuple[str, str]:
    phase = status_of(obj).get("phase")
    if phase == "Succeeded":
        return "Current", "Pod has completed successfully"
    if phase == "Failed":
        return "Failed", "Pod has completed, but not successfully"
    if (condition(obj, "Ready") or {}).get("status") == "True":
        return "Current", "Pod is Ready"
    for each in status_of(obj).get("containerStatuses") or ():
        if ((each.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff":
            return "Failed", f"Containers in CrashLoop state: {each.get('name')}"
    return "InProgress", "Pod is not Ready"


def _claim(obj: Obj) -> tuple[str, str]:
    bound = status_of(obj).get("phase") == "Bound"
    return ("Current", "PVC is Bound") if bound else ("InProgress", "PVC is not Bound")


def _service(obj: Obj) -> tuple[str, str]:
    spec = obj.get("spec") or {}
    if spec.get("type") == "LoadBalancer" and not (status_of(obj).get("loadBalancer") or {}).get("ingress"):
        return "InProgress", "Service type is LoadBalancer, but it has no address"
    return "Current", "Service is ready"


def _definition(obj: Obj) -> tuple[str, str]:
    if (condition(obj, "Established") or {}).get("status") == "True":
        return "Current", "CRD is established"
    return "InProgress", "Install in progress"


_RULES = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}
