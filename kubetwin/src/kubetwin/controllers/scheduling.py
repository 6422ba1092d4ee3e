# SPDX-License-Identifier: Apache-2.0
"""Does a pod fit a node? Used by scheduler and DaemonSet controller (reasons: pkg/scheduler/framework/plugins)."""

from __future__ import annotations

from typing import Any

from kubetwin import quantity
from kubetwin.client import Obj
from kubetwin.meta import equality_selector, labels_of, name_of, node_selector_term, status_of

UNSCHEDULABLE = "node(s) were unschedulable"
TAINTED = "node(s) had untolerated taint(s)"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"


def requests(pod: Obj) -> dict[str, int]:
    """What a pod asks for: CPU in thousandths, all else in units; init containers count by their maximum."""
    spec = pod["spec"]
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(total, _container_requests(container))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        wanted = _container_requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, wanted)
            _add(total, wanted)
            wanted = dict(sidecars)
        else:
            _add(wanted, sidecars)
        for key, value in wanted.items():
            peak[key] = max(peak.get(key, 0), value)
    for key, value in peak.items():
        total[key] = max(total.get(key, 0), value)
    for key, text in (spec.get("overhead") or {}).items():
        _add(total, {key: amount(key, text)})
    return total


def amount(resource: str, text: Any) -> int:
    return quantity.milli(text) if resource == "cpu" else quantity.units(text)


def _container_requests(container: Obj) -> dict[str, int]:
    wanted = (container.get("resources") or {}).get("requests") or {}
    return {key: amount(key, text) for key, text in wanted.items()}


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def allocatable(node: Obj) -> dict[str, int]:
    return {key: amount(key, text) for key, text in (status_of(node).get("allocatable") or {}).items()}


def shortages(wanted: dict[str, int], used: dict[str, int], pods: int, node: dict[str, int]) -> list[str]:
    """Reasons as the scheduler's NodeResourcesFit plugin gives them."""
    reasons: list[str] = []
    if pods + 1 > node.get("pods", 0):
        reasons.append("Too many pods")
    for key, value in wanted.items():
        if value and value > node.get(key, 0) - used.get(key, 0):
            reasons.append(f"Insufficient {key}")
    return reasons


def tolerates(tolerations: list[Obj], taint: Obj) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        if toleration.get("key") and toleration["key"] != taint["key"]:
            continue
        operator = toleration.get("operator") or "Equal"
        if operator == "Exists" or toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def untolerated(
    tolerations: list[Obj], node: Obj, effects: tuple[str, ...] = ("NoSchedule", "NoExecute")
) -> Obj | None:
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in effects and not tolerates(tolerations, taint):
            return dict(taint)
    return None


def matches_affinity(spec: Obj, node: Obj) -> bool:
    """nodeSelector and required node affinity."""
    if not equality_selector(spec.get("nodeSelector"))(labels_of(node)):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if required is None:
        return True
    return any(node_selector_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def node_rejection(pod: Obj, node: Obj) -> str | None:
    """The first reason that has nothing to do with resources, in the order of the scheduler's filters."""
    spec = pod["spec"]
    tolerations = spec.get("tolerations") or []
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return "node(s) didn't match the requested node name"
    if (node.get("spec") or {}).get("unschedulable") and not tolerates(
        tolerations, {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    ):
        return UNSCHEDULABLE
    if untolerated(tolerations, node) is not None:
        return TAINTED
    if not matches_affinity(spec, node):
        return AFFINITY
    return None


def host_ports(pod: Obj) -> set[tuple[str, int]]:
    return {
        (port.get("protocol") or "TCP", int(port["hostPort"]))
        for container in pod["spec"].get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }
