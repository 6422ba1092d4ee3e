# SPDX-License-Identifier: Apache-2.0
"""Pods: what they start with, and what their status keeps (pkg/registry/core/pod)."""

from __future__ import annotations

from kubetwin.apiserver.store import Object
from kubetwin.apiserver.strategies.context import Context
from kubetwin.apiserver.validation.resources import qos_class


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
