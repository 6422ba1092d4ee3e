# SPDX-License-Identifier: Apache-2.0
"""Small readings of workload objects. Pure, but for `load`."""

from __future__ import annotations

from typing import Any

from backout.cluster.port import (
    CONTROLLERREVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    STATEFULSETS,
    ClusterReader,
    Object,
    Resource,
)
from backout.errors import RefusedError
from backout.kube.templates import digest_of, plain_template
from backout.model.target import WORKLOADS, ObjectRef, Target

RESOURCES: dict[str, Resource] = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFULSETS, "DaemonSet": DAEMONSETS}
CHANGE_CAUSE = "kubernetes.io/change-cause"
REVISION = "deployment.kubernetes.io/revision"
HASH_LABEL = {
    "Deployment": "pod-template-hash",
    "StatefulSet": "controller-revision-hash",
    "DaemonSet": "controller-revision-hash",
}
"""The label that tells of which revision a pod is."""


def ref_of(target: Target) -> ObjectRef:
    """The object that a target names.

    Raises:
        RefusedError: it is no workload.
    """
    kind = WORKLOADS.get(target.kind)
    if kind is None:
        raise RefusedError(
            "{target} is no workload.", target=str(target), expected="a deployment, statefulset, daemonset"
        )
    return ObjectRef("apps/v1", kind, target.name, target.namespace)


async def load(cluster: ClusterReader, kind: str, name: str, namespace: str) -> Object:
    """The workload, with its kind.

    Raises:
        ObjectNotFound: there is none.
    """
    return {"apiVersion": "apps/v1", "kind": kind, **await cluster.get(RESOURCES[kind], name, namespace)}


def selector_of(obj: Object) -> str:
    """The label selector of a workload as a query parameter."""
    selector = obj["spec"].get("selector") or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], ",".join(rule.get("values") or ())
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[rule["operator"]]
        )
    return ",".join(parts)


def template_digest(obj: Object) -> str:
    """Names the content of a workload's (or ReplicaSet's) pod template, whatever labels controllers added."""
    return digest_of(plain_template(obj["spec"]["template"]))


def desired(obj: Object) -> int:
    """How many pods there should be."""
    if obj["kind"] == "DaemonSet":
        return int((obj.get("status") or {}).get("desiredNumberScheduled") or 0)
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def observed(obj: Object) -> bool:
    """Whether the controller has seen the newest spec."""
    seen = int((obj.get("status") or {}).get("observedGeneration") or 0)
    return seen >= int(obj["metadata"].get("generation") or 0)


def partition_of(obj: Object) -> int:
    """Ordinals below it keep the revision that they have; 0 for all but StatefulSets."""
    strategy = obj["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0) if obj["kind"] == "StatefulSet" else 0


def on_delete(obj: Object) -> bool:
    """Whether pods are replaced only when somebody deletes them."""
    return bool((obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete")


def ordered(obj: Object) -> bool:
    """Whether the controller stops at the first pod that is not ready."""
    return bool(obj["kind"] == "StatefulSet" and obj["spec"].get("podManagementPolicy") != "Parallel")


def controller_uid(obj: Object) -> str:
    """The uid of the owner that manages an object; empty when none does."""
    return next((str(o["uid"]) for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), "")


def ordinal(pod: Object) -> int:
    """The number at the end of the name of a StatefulSet's pod; -1 for any other."""
    tail = str(pod["metadata"]["name"]).rpartition("-")[2]
    return int(tail) if tail.isdecimal() else -1


def revision_label(pod: Object, kind: str) -> str:
    """Of which revision a pod is."""
    return str((pod["metadata"].get("labels") or {}).get(HASH_LABEL[kind], ""))


async def revisions_of(cluster: ClusterReader, obj: Object) -> list[Object]:
    """The ReplicaSets of a Deployment, or the ControllerRevisions of a set, that it controls."""
    resource = REPLICASETS if obj["kind"] == "Deployment" else CONTROLLERREVISIONS
    found = await cluster.list_all(resource, obj["metadata"]["namespace"], labels=selector_of(obj))
    return [item for item in found if controller_uid(item) == obj["metadata"]["uid"]]


def template_in(revision: Object) -> dict[str, Any]:
    """The pod template that a ReplicaSet or a ControllerRevision keeps, ready to be put back."""
    source = revision.get("data") if revision["kind"] == "ControllerRevision" else revision
    return plain_template(((source or {}).get("spec") or {}).get("template") or {})


def label_in(revision: Object, kind: str) -> str:
    """The value of the label that pods of a ReplicaSet or ControllerRevision carry."""
    if kind == "StatefulSet":
        return str(revision["metadata"]["name"])
    return str((revision["metadata"].get("labels") or {}).get(HASH_LABEL[kind], ""))
