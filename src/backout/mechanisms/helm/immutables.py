# SPDX-License-Identifier: Apache-2.0
"""Fields that can't be changed once set, and which objects have to be made anew because of them. Pure."""

from __future__ import annotations

from typing import Any

from backout.kube.intent import canonical
from backout.kube.templates import covers
from backout.mechanisms.helm.analysis import SEALED, Item, Object

IMMUTABLE: dict[str, tuple[str, ...]] = {
    "StatefulSet": ("spec.volumeClaimTemplates", "spec.serviceName", "spec.selector", "spec.podManagementPolicy"),
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "Job": ("spec.template", "spec.selector", "spec.completionMode"),
    "Service": ("spec.clusterIP", "spec.ipFamilies", "spec.loadBalancerClass"),
    "ConfigMap": ("data", "binaryData", "immutable"),
    "Secret": ("data", "stringData", "immutable", "type"),
    "PersistentVolumeClaim": ("spec",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "IngressClass": ("spec.controller",),
}
"""Fields that the API server does not let change (validation of each kind in kubernetes pkg/apis)."""


PODS_OF = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"})
"""Kinds whose pods go with them."""


def immutable_fields(item: Item) -> list[str]:
    """The immutable fields that would change."""
    names = IMMUTABLE.get(item.ref.kind, ())
    if item.ref.kind in {"ConfigMap", "Secret"} and not (item.live or {}).get("immutable"):
        names = ("type",) if item.ref.kind == "Secret" else ()
    found = []
    for name in names:
        if any(change.path == name or change.path.startswith((f"{name}.", f"{name}[")) for change in item.fields):
            found.append(name)
    return found


def recreatable(item: Item, changed: list[str]) -> bool:
    """True when a StatefulSet can be deleted and made again with its pods left running.

    The new set adopts pods whose labels and claims fit; other claims or another selector would leave it stuck or the
    pods orphaned, and another serviceName would leave running pods with the old DNS name.
    """
    if item.ref.kind != "StatefulSet" or not set(changed) <= {"spec.volumeClaimTemplates", "spec.podManagementPolicy"}:
        return False
    return _claims(item.live) == _claims(item.target)


def recreate_needed(live: Object, wanted: Object) -> bool:
    """True while the live StatefulSet still has the fields that can't be changed to what is wanted."""
    left, right = canonical(live).get("spec") or {}, canonical(wanted).get("spec") or {}
    policy = right.get("podManagementPolicy") or "OrderedReady"
    if (left.get("podManagementPolicy") or "OrderedReady") != policy:
        return True
    return not covers(left.get("volumeClaimTemplates") or [], right.get("volumeClaimTemplates") or [])


def anew_needed(live: Object, wanted: Object) -> bool:
    """True while a live object still has what can't be changed to what is wanted."""
    kind, left, right = str(live["kind"]), canonical(live), canonical(wanted)
    if kind in SEALED:
        parts = ("data", "binaryData", "immutable", "type")
        return bool(live.get("immutable")) and any((left.get(p) or None) != (right.get(p) or None) for p in parts)
    if kind == "Service":
        now, then = (side.get("spec") or {} for side in (left, right))
        if now.get("clusterIP") == "None" and then.get("clusterIP") != "None":
            return True
    return any(not covers(_at(left, path), _at(right, path)) for path in IMMUTABLE[kind])


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def claims_go(live: Object) -> bool:
    """Whether a set's claims are deleted with it (persistentVolumeClaimRetentionPolicy)."""
    policy = (live.get("spec") or {}).get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") == "Delete"


def _claims(obj: Object | None) -> set[str]:
    templates = ((obj or {}).get("spec") or {}).get("volumeClaimTemplates") or []
    return {str((template.get("metadata") or {}).get("name")) for template in templates}
