# SPDX-License-Identifier: Apache-2.0
"""What of a live object is worth keeping: what people and programs asked for, not what the cluster made of it.

Facts: kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta (fields that the server sets), and
helm pkg/storage/driver (release records).
"""

from __future__ import annotations

from typing import Any

from backout.cluster.port import Object, Served
from backout.kube.groups import custom
from backout.kube.names import LAST_APPLIED
from backout.model.message import Message, msg

SERVER_FIELDS = frozenset(
    {
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
    }
)
"""Of ``metadata``. References to owners hold uids that another life of the owner would not have."""

_CONTROLLERS_NOTES = frozenset(
    {LAST_APPLIED, "deprecated.daemonset.template.generation", "control-plane.alpha.kubernetes.io/leader"}
)
_CONTROLLERS_PREFIXES = ("deployment.kubernetes.io/", "pv.kubernetes.io/")

DERIVED = frozenset(
    {
        ("", "Event"),
        ("events.k8s.io", "Event"),
        ("coordination.k8s.io", "Lease"),
        ("", "Endpoints"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("", "Pod"),
        ("apps", "ReplicaSet"),
        ("apps", "ControllerRevision"),
        ("storage.k8s.io", "CSIStorageCapacity"),
        ("cilium.io", "CiliumEndpoint"),
        ("wgpolicyk8s.io", "PolicyReport"),
    }
)
"""Group and kind of what the cluster makes by itself, over and over."""

_OF_CLUSTER = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"})
_WRITING = frozenset({"create", "update"})


def kind_skipped(served: Served) -> Message | None:
    """Why a whole kind is not looked at; None when it is."""
    if (served.resource.group, served.resource.kind) in DERIVED:
        return msg("the cluster makes them by itself")
    if "list" not in served.verbs:
        return msg("they can't be listed")
    if not served.verbs >= _WRITING:
        return msg("nobody can write them, so they could not be put back")
    return None


def object_skipped(obj: Object) -> Message | None:
    """Why one object is not kept; None when it is."""
    meta = obj["metadata"]
    if meta.get("deletionTimestamp"):
        return msg("it was being deleted")
    if obj["kind"] == "Secret" and obj.get("type") == "kubernetes.io/service-account-token":
        return msg("a token is worthless once its service account is another")
    if obj["kind"] == "ConfigMap" and meta["name"] in _OF_CLUSTER:
        return msg("the cluster puts it into every namespace")
    owner = controller(obj)
    if owner is not None and not custom(owner["apiVersion"]):
        return msg("a {kind} makes it anew", kind=str(owner["kind"]))
    return None


def controller(obj: Object) -> dict[str, Any] | None:
    """The controlling ownerReference."""
    return next((r for r in obj["metadata"].get("ownerReferences") or () if r.get("controller")), None)


def sanitise(obj: Object) -> Object:
    """``obj`` without status, what the server sets, and what controllers note down; ``obj`` itself is left as it is."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    meta = {key: value for key, value in obj["metadata"].items() if key not in SERVER_FIELDS}
    notes = {key: value for key, value in (meta.pop("annotations", None) or {}).items() if not controllers_note(key)}
    if notes:
        meta["annotations"] = notes
    if not meta.get("labels", True):
        del meta["labels"]
    kept["metadata"] = meta
    return kept


def controllers_note(annotation: str) -> bool:
    """True for annotations that are bookkeeping of controllers and clients."""
    return annotation in _CONTROLLERS_NOTES or annotation.startswith(_CONTROLLERS_PREFIXES)


def helm_record(obj: Object) -> bool:
    """True for a release record of Helm, in either of its storage drivers."""
    if obj["kind"] == "Secret":
        return obj.get("type") == "helm.sh/release.v1"
    labels = obj["metadata"].get("labels") or {}
    return obj["kind"] == "ConfigMap" and labels.get("owner") == "helm" and "release" in (obj.get("data") or {})


def helm_record_name(kind: str, name: str) -> bool:
    """The same by name alone, for entries whose content was not read."""
    return kind in ("Secret", "ConfigMap") and name.startswith("sh.helm.release.v1.")
