# SPDX-License-Identifier: Apache-2.0
"""On which nodes a DaemonSet runs, by its template and the nodes as they are. Pure.

Facts: kubernetes pkg/controller/daemon (NodeShouldRunDaemonPod: node name, selector and required affinity, taints of effect NoSchedule and
NoExecute), pkg/controller/daemon/util (the tolerations that every pod of a DaemonSet gets), component-helpers
scheduling/corev1/nodeaffinity (terms are alternatives, expressions of one all hold).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

_ALWAYS = frozenset(
    {
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    }
)
_ON_THE_HOST = ("node.kubernetes.io/network-unavailable", "NoSchedule")


def placement(spec: Object) -> Object:
    """The part of a pod spec that decides it."""
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    parts = {
        "nodeName": spec.get("nodeName"),
        "nodeSelector": spec.get("nodeSelector"),
        "affinity": affinity,
        "tolerations": spec.get("tolerations"),
        "hostNetwork": spec.get("hostNetwork"),
    }
    return {key: value for key, value in parts.items() if value}


def runs_on(spec: Object, node: Object) -> bool:
    """Whether a DaemonSet of that pod spec has a pod on the node."""
    meta, wanted = node["metadata"], placement(spec)
    labels = meta.get("labels") or {}
    if wanted.get("nodeName") not in (None, meta["name"]):
        return False
    if any(labels.get(key) != value for key, value in (wanted.get("nodeSelector") or {}).items()):
        return False
    terms = (wanted.get("affinity") or {}).get("nodeSelectorTerms")
    if terms is not None and not any(_fits(term, labels, meta["name"]) for term in terms):
        return False
    return all(
        _tolerated(taint, wanted)
        for taint in (node.get("spec") or {}).get("taints") or ()
        if taint.get("effect") in ("NoSchedule", "NoExecute")
    )


def _fits(term: Object, labels: dict[str, str], name: str) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_holds(one, labels.get(one["key"])) for one in expressions) and all(
        _holds(one, name if one["key"] == "metadata.name" else None) for one in fields
    )


def _holds(expression: Object, value: str | None) -> bool:
    operator = expression.get("operator")
    values: list[str] = expression.get("values") or []
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    try:
        number, bound = int(str(value)), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound


def _tolerated(taint: Object, wanted: Object) -> bool:
    key, effect = taint.get("key"), taint.get("effect")
    if (key, effect) in _ALWAYS or ((key, effect) == _ON_THE_HOST and wanted.get("hostNetwork")):
        return True
    return any(_tolerates(one, taint) for one in _tolerations(wanted))


def _tolerations(wanted: Object) -> Iterable[Object]:
    found: Iterable[Object] = wanted.get("tolerations") or ()
    return found


def _tolerates(one: Object, taint: Object) -> bool:
    if one.get("effect") and one["effect"] != taint.get("effect"):
        return False
    exists = one.get("operator") == "Exists"
    if not one.get("key"):
        return exists
    if one["key"] != taint.get("key"):
        return False
    return exists or (one.get("value") or "") == (taint.get("value") or "")
