# SPDX-License-Identifier: Apache-2.0
"""Who owns an object: who would undo what we do to it. Backout acts on the owner only.

The strongest sign decides: a controlling ownerReference, then Argo CD's tracking id, then Helm's marks together with an
existing release record. Helm's marks alone prove nothing: Argo CD renders charts too, and leaves no record.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from backout.cluster.port import Cluster
from backout.errors import AccessDenied, NotFoundError
from backout.helm.records import Records
from backout.model.message import Message, msg
from backout.model.target import WORKLOADS, ObjectRef, Target

MAX_DEPTH = 8
TRACKING = "argocd.argoproj.io/tracking-id"
INSTANCE = "argocd.argoproj.io/instance"
RELEASE_NAME = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
MANAGED_BY = "app.kubernetes.io/managed-by"

OwnerKind = Literal["none", "controller", "operator", "argocd", "helm"]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of an object, and what to act on instead of the object.

    ``controller``: a built-in controller made it (a pod of a ReplicaSet): act on ``ref``. ``operator``: a custom
    resource made it. ``helm`` and ``argocd``: ``target`` names the release or application. ``none``: the object itself.
    ``sure`` is False where a sign could not be followed to its end.
    """

    kind: OwnerKind
    message: Message
    target: Target | None = None
    ref: ObjectRef | None = None
    sure: bool = True


async def owner_of(cluster: Cluster, obj: dict[str, Any]) -> Owner:
    """The owner of ``obj`` (as the API gives it, with apiVersion and kind)."""
    top, sure = await _top(cluster, obj)
    ref = ObjectRef.of(top)
    if top is not obj and _custom(ref):
        return Owner(
            kind="operator",
            ref=ref,
            sure=sure,
            message=msg(
                "{kind} {name} made it, and its operator would undo any change: change the {kind} instead.",
                kind=ref.kind,
                name=ref.name,
            ),
        )
    managed = await _manager(cluster, top)
    if managed is not None:
        return managed
    if top is not obj:
        kind = ref.kind.lower()
        target = Target(kind, ref.name, ref.namespace, cluster.name) if kind in WORKLOADS else None
        return Owner(
            kind="controller", ref=ref, target=target, sure=sure, message=msg("{owner} made it.", owner=str(ref))
        )
    return Owner(kind="none", ref=ref, message=msg("Nobody manages it."))


async def _top(cluster: Cluster, obj: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Follows controlling ownerReferences upwards. An owner that can't be read still counts by its name."""
    for _ in range(MAX_DEPTH):
        reference = next((r for r in obj["metadata"].get("ownerReferences") or () if r.get("controller")), None)
        if reference is None:
            return obj, True
        namespace = obj["metadata"].get("namespace", "")
        try:
            resource = await cluster.resource(reference["apiVersion"], reference["kind"])
            parent = await cluster.get(resource, reference["name"], namespace if resource.namespaced else "")
        except (NotFoundError, AccessDenied):
            stub = {"name": reference["name"], "namespace": namespace, "uid": reference["uid"]}
            return {"apiVersion": reference["apiVersion"], "kind": reference["kind"], "metadata": stub}, False
        obj = {"apiVersion": reference["apiVersion"], "kind": reference["kind"], **parent}
    return obj, False


def _custom(ref: ObjectRef) -> bool:
    """True for kinds that Kubernetes itself does not bring: its own groups have no dot, or end in .k8s.io."""
    group, slash, _ = ref.api_version.partition("/")
    return bool(slash) and "." in group and not group.endswith(".k8s.io")


async def _manager(cluster: Cluster, obj: dict[str, Any]) -> Owner | None:
    meta = obj["metadata"]
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    application = str(annotations.get(TRACKING, "")).partition(":")[0] or labels.get(INSTANCE)
    if application:
        return Owner(
            kind="argocd",
            ref=ObjectRef.of(obj),
            target=Target("app", application, "", cluster.name),
            message=msg(
                "The Argo CD application {name} manages it: change Git instead, or the application.", name=application
            ),
        )
    release = annotations.get(RELEASE_NAME)
    if not release or labels.get(MANAGED_BY) != "Helm":
        return None
    namespace = annotations.get(RELEASE_NAMESPACE) or meta.get("namespace", "")
    sure = True
    try:
        await Records(cluster, namespace).head(release)
    except AccessDenied:
        sure = False
    except NotFoundError:
        return None
    return Owner(
        kind="helm",
        ref=ObjectRef.of(obj),
        target=Target("helm", release, namespace, cluster.name),
        sure=sure,
        message=msg("The Helm release {name} manages it.", name=release),
    )
