# SPDX-License-Identifier: Apache-2.0
"""Validation of what ``/status`` is told. Sources: the ``Validate…StatusUpdate`` functions of pkg/apis/*/validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from kubetwin.apiserver.validation import names
from kubetwin.apiserver.validation.errors import NEGATIVE, Errors

Object = dict[str, Any]
Validator = Callable[[Errors, Object, Object], None]

_LESS = "cannot be decremented"
_IP_MODES = ("Proxy", "VIP")
_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")
_TERMINAL_JOB = ("Failed", "Complete", "FailureTarget")


def _counts(*fields: str, of_all: Iterable[str] = (), ready: str = "") -> Validator:
    """``fields`` may not be negative, nor those ``of_all`` more than ``replicas``; ``ready`` is how the message names
    the number that ``availableReplicas`` may not exceed."""

    def check(errors: Errors, new: Object, old: Object) -> None:
        for field in fields:
            if new.get(field, 0) is not None and new.get(field, 0) < 0:
                errors.invalid(f"status.{field}", new[field], NEGATIVE)
        for field in of_all:
            if new.get(field, 0) > new.get("replicas", 0):
                errors.invalid(f"status.{field}", new.get(field, 0), "cannot be greater than status.replicas")
        if ready and new.get("availableReplicas", 0) > new.get("readyReplicas", 0):
            errors.invalid("status.availableReplicas", new["availableReplicas"], f"cannot be greater than {ready}")
        before = old.get("collisionCount")
        if "collisionCount" in fields and before is not None and (new.get("collisionCount") or 0) < before:
            errors.invalid("status.collisionCount", new.get("collisionCount") or 0, _LESS)

    return check


def _is_true(status: Object, kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or ())


def _job(errors: Errors, new: Object, old: Object) -> None:
    _JOB_COUNTS(errors, new, old)
    for kind in _TERMINAL_JOB:
        if _is_true(old, kind) and not _is_true(new, kind):
            errors.unfit("status.conditions", f"cannot disable the terminal {kind}=True condition")
    for field in ("failed", "succeeded"):
        if new.get(field, 0) < old.get(field, 0):
            errors.invalid(f"status.{field}", new.get(field, 0), f"cannot decrease the {field} counter")


def namespace(errors: Errors, new: Object, old: Object) -> None:
    """The phase follows the deletion."""
    deleted = "deletionTimestamp" in new["metadata"]
    phase, wanted = (new.get("status") or {}).get("phase", ""), "Terminating" if deleted else "Active"
    if phase != wanted:
        text = f"may only be '{wanted}' if `deletionTimestamp` is {'not ' if deleted else ''}empty"
        errors.invalid("status.Phase", phase, text)


def service(errors: Errors, new: Object, old: Object) -> None:
    """Only a LoadBalancer has addresses in its status."""
    found = ((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    path = "status.loadBalancer.ingress"
    if found and (new.get("spec") or {}).get("type") != "LoadBalancer":
        errors.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for index, item in enumerate(found):
        where, mode = f"{path}[{index}]", item.get("ipMode")
        _balancer(errors, item, where)
        if mode is None and item.get("ip"):
            errors.required(f"{where}.ipMode", "must be specified when `ip` is set")
        elif mode is not None and not item.get("ip"):
            errors.forbidden(f"{where}.ipMode", "may not be specified when `ip` is not set")
        elif mode is not None and mode not in _IP_MODES:
            errors.not_supported(f"{where}.ipMode", mode, _IP_MODES)


def ingress(errors: Errors, new: Object, old: Object) -> None:
    """The addresses of an Ingress."""
    for index, item in enumerate(((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()):
        _balancer(errors, item, f"status.loadBalancer.ingress[{index}]")


def _balancer(errors: Errors, item: Object, path: str) -> None:
    if (ip := item.get("ip")) and not _is_address(ip):
        errors.invalid(f"{path}.ip", ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    if host := item.get("hostname"):
        errors.invalid_all(f"{path}.hostname", host, names.dns_subdomain(host))
        if _is_address(host):
            errors.invalid(f"{path}.hostname", host, "must be a DNS name, not an IP address")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def pod(errors: Errors, new: Object, old: Object) -> None:
    """Conditions have proper names, and what has ended for good does not run again."""
    status, before, spec = new.get("status") or {}, old.get("status") or {}, old.get("spec") or {}
    for index, item in enumerate(status.get("conditions") or ()):
        path = f"status.conditions[{index}]"
        if item.get("observedGeneration", 0) < 0:
            errors.invalid(f"{path}.observedGeneration", item["observedGeneration"], "must be a non-negative integer")
        if item.get("type") not in _SYSTEM_CONDITIONS:
            errors.invalid_all(f"{path}.Type", item.get("type", ""), names.qualified_name(item.get("type", "")))
    if status.get("observedGeneration", 0) < 0:
        errors.invalid("status.observedGeneration", status["observedGeneration"], "must be a non-negative integer")
    if before.get("qosClass") != status.get("qosClass"):
        errors.invalid("status.qosClass", status.get("qosClass", ""), "field is immutable")
    _ended(errors, status, before, "containerStatuses", spec.get("containers") or (), spec)
    _ended(errors, status, before, "initContainerStatuses", spec.get("initContainers") or (), spec)


def _ended(errors: Errors, new: Object, old: Object, field: str, containers: Iterable[Object], spec: Object) -> None:
    policies = {item["name"]: item.get("restartPolicy") or spec.get("restartPolicy", "Always") for item in containers}
    now = {item["name"]: item for item in new.get(field) or ()}
    for index, item in enumerate(old.get(field) or ()):
        ended, policy = (item.get("state") or {}).get("terminated"), policies.get(item["name"])
        later = now.get(item["name"])
        if ended is None or later is None or "terminated" in (later.get("state") or {}):
            continue
        initial = field.startswith("init") and policy == "Always" and spec.get("restartPolicy") != "Always"
        if policy == "Never" or (policy == "OnFailure" and ended.get("exitCode", 0) == 0 and not initial):
            errors.forbidden(f"status.{field}[{index}].state", "may not be transitioned to non-terminated state")


_JOB_COUNTS = _counts("active", "succeeded", "failed", "ready", "terminating")
_ALL = ("updatedReplicas", "readyReplicas", "availableReplicas")

COUNTED: dict[tuple[str, str], Validator] = {
    ("apps", "Deployment"): _counts(
        "observedGeneration",
        "replicas",
        *_ALL,
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
        of_all=_ALL,
        ready="readyReplicas",
    ),
    ("apps", "ReplicaSet"): _counts(
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
        of_all=("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
        ready="readyReplicas",
    ),
    ("", "ReplicationController"): _counts(
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        of_all=("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
        ready="readyReplicas",
    ),
    ("apps", "StatefulSet"): _counts(
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
        of_all=("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
        ready="status.readyReplicas",
    ),
    ("apps", "DaemonSet"): _counts(
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ),
    ("batch", "Job"): _job,
    ("autoscaling", "HorizontalPodAutoscaler"): _counts("currentReplicas", "desiredReplicas"),
    ("policy", "PodDisruptionBudget"): _counts(
        "disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"
    ),
}
"""Validators of statuses alone."""
WHOLE: dict[tuple[str, str], Validator] = {
    ("", "Namespace"): namespace,
    ("", "Pod"): pod,
    ("", "Service"): service,
    ("networking.k8s.io", "Ingress"): ingress,
}
"""Validators of statuses that need the rest of the object."""


def check(errors: Errors, kind: tuple[str, str], new: Object, old: Object) -> None:
    """What is wrong with the new status of an object."""
    if counted := COUNTED.get(kind):
        counted(errors, new.get("status") or {}, old.get("status") or {})
    if whole := WHOLE.get(kind):
        whole(errors, new, old)
