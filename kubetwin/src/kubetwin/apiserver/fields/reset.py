# SPDX-License-Identifier: Apache-2.0
"""Fields that a write to a resource or its subresource never owns, because the server resets them.

Source: ``GetResetFields`` of each registry strategy."""

from __future__ import annotations

from functools import cache

from kubetwin.apiserver.fields.sets import FieldSet, of

_STATUS = of(("f:status",))
_SPEC = of(("f:spec",))
_SPEC_AND_METADATA = of(("f:spec",), ("f:metadata",))
_NOTHING: FieldSet = {}

# Kinds with a status subresource. For those not listed under "metadata", a status write may own metadata.
_WITH_STATUS = frozenset(
    {
        "DaemonSet",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "HorizontalPodAutoscaler",
        "CronJob",
        "Job",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ReplicationController",
        "ResourceQuota",
        "Service",
        "Ingress",
        "PodDisruptionBudget",
    }
)
_WITH_STATUS_ALONE = frozenset(
    {
        "ValidatingAdmissionPolicy",
        "StorageVersion",
        "FlowSchema",
        "PriorityLevelConfiguration",
        "ServiceCIDR",
        "DeviceTaintRule",
        "ResourceClaim",
        "PodGroup",
        "VolumeAttachment",
        "CustomResourceDefinition",
        "APIService",
        "StorageVersionMigration",
    }
)
_SPECIAL = {
    ("Deployment", "status"): of(("f:spec",), ("f:metadata", "f:labels")),
    ("Pod", "status"): of(("f:spec",), ("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")),
    ("Namespace", "finalize"): _STATUS,
    ("CertificateSigningRequest", ""): of(("f:spec",), ("f:status",)),
    ("CertificateSigningRequest", "status"): of(("f:spec",), ("f:status", "f:conditions")),
    ("CertificateSigningRequest", "approval"): of(("f:spec",), ("f:status", "f:certificate")),
}


@cache
def reset_fields(kind: str, subresource: str, *, custom: bool, has_status: bool) -> FieldSet:
    """The fields to leave out; ``has_status`` tells whether a custom resource has the status subresource."""
    special = _SPECIAL.get((kind, subresource)) if not custom else None
    if special is not None:
        return special
    if custom:
        if not has_status:
            return _NOTHING
        return _SPEC_AND_METADATA if subresource == "status" else _STATUS
    if kind in _WITH_STATUS:
        return _SPEC if subresource == "status" else _STATUS
    if kind in _WITH_STATUS_ALONE:
        return _SPEC_AND_METADATA if subresource == "status" else _STATUS
    return _NOTHING
