# SPDX-License-Identifier: Apache-2.0
"""How objects end: grace periods, what holds an object back, and what deletion does to it first."""

from __future__ import annotations

from typing import Any

from kubetwin.apiserver import clock
from kubetwin.apiserver.resources import ResourceType
from kubetwin.apiserver.status import forbidden
from kubetwin.apiserver.store import Object

IMMORTAL_NAMESPACES = frozenset(("default", "kube-public", "kube-system"))
"""NamespaceLifecycle refuses to delete these."""
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_PODS, _NAMESPACES = ("", "pods"), ("", "namespaces")
_CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")


def check_delete(resource_type: ResourceType, obj: Object) -> None:
    """Raises ApiError 403 for what may never be deleted."""
    name = obj["metadata"]["name"]
    if resource_type.storage_key == _NAMESPACES and name in IMMORTAL_NAMESPACES:
        raise forbidden("namespaces", name, "this namespace may not be deleted")


def grace_period(resource_type: ResourceType, obj: Object, wanted: int | None) -> int | None:
    """Seconds an object is given to end by itself; None for kinds that are not deleted gracefully.

    Source: ``CheckGracefulDelete`` of pkg/registry/core/pod/strategy.go.
    """
    if resource_type.storage_key != _PODS:
        return None
    spec = obj.get("spec") or {}
    if not spec.get("nodeName") or (obj.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    period = wanted if wanted is not None else int(spec.get("terminationGracePeriodSeconds", 30))
    return 1 if period < 0 else period


def held(resource_type: ResourceType, obj: Object) -> bool:
    """Whether something other than metadata.finalizers keeps a deleted object in place."""
    return resource_type.storage_key == _NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))


def mark(resource_type: ResourceType, obj: Object) -> None:
    """What being deleted shows besides the metadata, in place."""
    if resource_type.storage_key == _CRDS:
        obj["metadata"].pop("deletionGracePeriodSeconds", None)
    if resource_type.storage_key == _NAMESPACES and "deletionTimestamp" in obj["metadata"]:
        obj["metadata"].pop("deletionGracePeriodSeconds", None)
        obj.setdefault("status", {})["phase"] = "Terminating"


def begin(resource_type: ResourceType, obj: Object) -> None:
    """What the first delete request changes besides the metadata, in place."""
    meta: dict[str, Any] = obj["metadata"]
    if resource_type.storage_key == _CRDS and "deletionTimestamp" not in meta:
        # The definition outlives its instances; the cleanup removes this finalizer.
        if CRD_CLEANUP not in meta.setdefault("finalizers", []):
            meta["finalizers"].append(CRD_CLEANUP)
        conditions = obj.setdefault("status", {}).setdefault("conditions", [])
        conditions.append(
            {
                "type": "Terminating",
                "status": "True",
                "lastTransitionTime": clock.now(),
                "reason": "InstanceDeletionPending",
                "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            }
        )
