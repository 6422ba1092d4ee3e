# SPDX-License-Identifier: Apache-2.0
"""The table of pods: STATUS and RESTARTS are computed by the server from container states, not stored anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kubetwin.apiserver.tables.columns import (
    AGE,
    CREATED,
    NAME,
    Cell,
    Column,
    Printer,
    column,
    containers,
    part,
    printer,
)
from kubetwin.apiserver.tables.text import Obj, labels_text, parse_time, since


def _condition(obj: Obj, kind: str) -> Obj | None:
    for condition in obj.get("status", {}).get("conditions") or ():
        if condition.get("type") == kind:
            return condition  # type: ignore[no-any-return]
    return None


def _is_true(obj: Obj, kind: str) -> bool:
    condition = _condition(obj, kind)
    return condition is not None and condition.get("status") == "True"


def _ended(terminated: Obj) -> str:
    """Why a container ended: its reason, else its signal, else its exit code."""
    if reason := terminated.get("reason"):
        return str(reason)
    if signal := terminated.get("signal"):
        return f"Signal:{signal}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


class _Summary:
    """What one walk over the container statuses finds."""

    def __init__(self, pod: Obj) -> None:
        self.spec: Obj = pod.get("spec", {})
        self.status: Obj = pod.get("status", {})
        self.ready = 0
        self.total = len(self.spec.get("containers") or ())
        self.restarts = 0
        self.last_restart = ""
        self.reason: str = self.status.get("reason") or self.status.get("phase") or ""
        for condition in self.status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
                self.reason = "SchedulingGated"
        sidecars = {c["name"] for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
        self.total += len(sidecars)
        initializing, sidecar_restarts, sidecar_last = self._init_containers(sidecars)
        if not initializing or _is_true(pod, "Initialized"):
            self.restarts, self.last_restart = sidecar_restarts, sidecar_last
            self._containers(_is_true(pod, "Ready"))
        if pod["metadata"].get("deletionTimestamp"):
            if self.status.get("reason") == "NodeLost":
                self.reason = "Unknown"
            elif self.status.get("phase") not in ("Succeeded", "Failed"):
                self.reason = "Terminating"

    def _init_containers(self, sidecars: set[str]) -> tuple[bool, int, str]:
        restarts, last = 0, ""
        for index, container in enumerate(self.status.get("initContainerStatuses") or ()):
            is_sidecar = container["name"] in sidecars
            self.restarts += container.get("restartCount", 0)
            self.last_restart = _later(self.last_restart, container)
            if is_sidecar:
                restarts += container.get("restartCount", 0)
                last = _later(last, container)
            state = container.get("state") or {}
            terminated, waiting = state.get("terminated"), state.get("waiting")
            if terminated is not None and not terminated.get("exitCode"):
                continue
            if is_sidecar and container.get("started"):
                self.ready += bool(container.get("ready"))
                continue
            if terminated is not None:
                self.reason = f"Init:{_ended(terminated)}"
            elif waiting and waiting.get("reason") not in (None, "", "PodInitializing"):
                self.reason = f"Init:{waiting['reason']}"
            else:
                self.reason = f"Init:{index}/{len(self.spec.get('initContainers') or ())}"
            return True, restarts, last
        return False, restarts, last

    def _containers(self, pod_ready: bool) -> None:
        running, error = False, ""
        statuses: Sequence[Obj] = self.status.get("containerStatuses") or ()
        for container in reversed(statuses):
            self.restarts += container.get("restartCount", 0)
            self.last_restart = _later(self.last_restart, container)
            state = container.get("state") or {}
            terminated, waiting = state.get("terminated"), state.get("waiting")
            if waiting is not None and waiting.get("reason"):
                self.reason = waiting["reason"]
            elif terminated is not None:
                self.reason = _ended(terminated)
                if terminated.get("exitCode"):
                    error = self.reason
            elif container.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed":
            if running and pod_ready:
                self.reason = "Running"
            elif error:
                self.reason = error
            elif running:
                self.reason = "NotReady"


def _later(known: str, container: Obj) -> str:
    """The later of a finish time already known and that of the container's last run."""
    terminated = (container.get("lastState") or {}).get("terminated")
    finished = terminated.get("finishedAt") if terminated else None
    if not finished:
        return known
    if not known:
        return str(finished)
    first, second = parse_time(known), parse_time(finished)
    return str(finished) if first is None or (second is not None and second > first) else known


def _gates(pod: Obj) -> str:
    gates = pod["spec"].get("readinessGates") if "spec" in pod else None
    if not gates:
        return "<none>"
    return f"{sum(_is_true(pod, gate['conditionType']) for gate in gates)}/{len(gates)}"


def pod_row(pod: Obj, now: datetime) -> list[Cell]:
    """The cells of a pod."""
    found = _Summary(pod)
    restarts = str(found.restarts)
    if found.restarts and found.last_restart:
        restarts = f"{found.restarts} ({since(found.last_restart, now)} ago)"
    addresses = found.status.get("podIPs") or ({"ip": found.status.get("podIP")},)
    return [
        pod["metadata"]["name"],
        f"{found.ready}/{found.total}",
        found.reason,
        restarts,
        since(CREATED(pod), now),
        addresses[0].get("ip") or "<none>",
        found.spec.get("nodeName") or "<none>",
        found.status.get("nominatedNodeName") or "<none>",
        _gates(pod),
    ]


def _pod_conditions(pod: Obj) -> list[dict[str, Any]]:
    phase = pod.get("status", {}).get("phase")
    messages = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}
    if phase not in messages:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": messages[phase]}]


_template_labels = part("template.metadata.labels")

PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "pods"): printer(
        "v1/Pod",
        NAME,
        Column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        Column("Status", "The aggregate status of the containers in this pod."),
        Column(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container"
            " in this pod has restarted.",
        ),
        AGE,
        Column("IP", "@status.podIP", priority=1),
        Column("Node", "@spec.nodeName", priority=1),
        Column("Nominated Node", "@status.nominatedNodeName", priority=1),
        Column("Readiness Gates", "@spec.readinessGates", priority=1),
        row=pod_row,
        conditions=_pod_conditions,
    ),
    ("", "podtemplates"): printer(
        "v1/PodTemplate",
        NAME,
        *containers("template.spec.containers", wide=False),
        column("Pod Labels", "The labels for the pod template.", lambda obj: labels_text(_template_labels(obj))),
    ),
}
