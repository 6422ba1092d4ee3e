# SPDX-License-Identifier: Apache-2.0
"""Pods: initial status and quality of service (pkg/registry/core/pod, pkg/apis/core/v1/helper/qos)."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies.context import Context

_COMPUTE = ("cpu", "memory")


def create(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Pending", "qosClass": qos_class(obj["spec"])}
    if obj["spec"].get("schedulingGates"):
        obj["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": None,
                "lastTransitionTime": context.now,
            }
        ]


def update(new: Object, old: Object, subresource: str, context: Context) -> None:
    if subresource == "status":
        status = new.setdefault("status", {})
        quality = (old.get("status") or {}).get("qosClass")
        if quality:
            status["qosClass"] = quality
        # A node may not be told to run a pod again, nor a pod lose the statuses of its containers by omission.
        if new["spec"].get("nodeName") and "hostIPs" not in status and (old.get("status") or {}).get("hostIPs"):
            status["hostIPs"] = old["status"]["hostIPs"]


def _amounts(container: dict[str, Any], kind: str) -> dict[str, str]:
    listed = (container.get("resources") or {}).get(kind) or {}
    return {name: str(value) for name, value in listed.items() if name in _COMPUTE and str(value) not in ("0", "")}


def qos_class(spec: dict[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    guaranteed, any_set = True, False
    for container in containers:
        requests, limits = _amounts(container, "requests"), _amounts(container, "limits")
        any_set = any_set or bool(requests or limits)
        if set(limits) != set(_COMPUTE) or any(requests.get(n, limits[n]) != limits[n] for n in _COMPUTE):
            guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"
