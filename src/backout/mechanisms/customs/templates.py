# SPDX-License-Identifier: Apache-2.0
"""The pod templates that a custom resource had, as its ReplicaSets or ControllerRevisions keep them, and how their pods are.

Facts: argo-rollouts utils/annotations (``rollout.argoproj.io/revision`` on ReplicaSets) and status.stableRS, the one that carries
all traffic; openkruise pkg/controller/cloneset/revision (ControllerRevisions whose data is a patch of the template).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, ClusterReader, Object, Resource
from backout.errors import AccessDenied
from backout.kube.names import REVISION_HASH, ROLLOUT_HASH
from backout.kube.pod_health import health_of
from backout.kube.sanitise import controller
from backout.kube.templates import plain_template
from backout.kube.workloads import template_in
from backout.model.settled import settled

KEPT: dict[str, Resource] = {"ReplicaSet": REPLICASETS, "ControllerRevision": CONTROLLERREVISIONS}


class KeptTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """One template. ``steady``, ``failing``: pods of it that have been ready for a while, and that fail; ``stable``: its controller
    says that it is the one that was rolled out wholly."""

    number: int
    kind: str
    name: str
    template: dict[str, Any]
    created: datetime | None = None
    pods: int = 0
    ready: int = 0
    steady: int = 0
    failing: tuple[str, ...] = ()
    stable: bool = False


async def kept_templates(reader: ClusterReader, live: Object, now: datetime) -> tuple[KeptTemplate, ...]:
    """Oldest first; none where the resource keeps none, or they may not be read."""
    meta = live["metadata"]
    namespace, uid = meta.get("namespace", ""), meta["uid"]
    if not namespace or "template" not in (live.get("spec") or {}):
        return ()
    sets, revisions, pods = await asyncio.gather(
        _listed(reader, REPLICASETS, namespace),
        _listed(reader, CONTROLLERREVISIONS, namespace),
        _listed(reader, PODS, namespace),
    )
    found = []
    for kind, items in (("ReplicaSet", sets), ("ControllerRevision", revisions)):
        for item in items:
            owner = controller(item)
            if owner is None or owner.get("uid") != uid or not (template := template_in({**item, "kind": kind})):
                continue
            mine = [pod for pod in pods if _of(pod, kind, item, uid)]
            found.append(_one(live, kind, item, template, mine, now))
    return tuple(sorted(found, key=lambda one: (one.number, one.name)))


def _one(live: Object, kind: str, item: Object, template: Object, pods: list[Object], now: datetime) -> KeptTemplate:
    meta = item["metadata"]
    health = [(str(pod["metadata"]["name"]), health_of(pod)) for pod in pods]
    since = [_ready_since(pod) for pod in pods]
    made = meta.get("creationTimestamp")
    return KeptTemplate(
        number=_number(item),
        kind=kind,
        name=str(meta["name"]),
        template=plain_template(template),
        created=msgspec.convert(made, datetime) if made else None,
        pods=len(pods),
        ready=sum(1 for _, one in health if one.ready),
        steady=sum(1 for at in since if settled(at, now)),
        failing=tuple(sorted(name for name, one in health if one.failing)),
        stable=_stable(live, item),
    )


def _number(item: Object) -> int:
    if isinstance(item.get("revision"), int):
        return int(item["revision"])
    notes = item["metadata"].get("annotations") or {}
    return next((int(v) for k, v in sorted(notes.items()) if k.endswith("/revision") and str(v).isdecimal()), 0)


def _stable(live: Object, item: Object) -> bool:
    status, meta = live.get("status") or {}, item["metadata"]
    stable = status.get("stableRS") or status.get("currentRevision")
    names = {meta["name"], (meta.get("labels") or {}).get(ROLLOUT_HASH), (meta.get("labels") or {}).get(REVISION_HASH)}
    return bool(stable) and stable in names


def _of(pod: Object, kind: str, item: Object, uid: str) -> bool:
    owner = controller(pod)
    if owner is None or pod["metadata"].get("deletionTimestamp"):
        return False
    if kind == "ReplicaSet":
        return bool(owner.get("uid") == item["metadata"]["uid"])
    label = (pod["metadata"].get("labels") or {}).get(REVISION_HASH, "")
    return owner.get("uid") == uid and bool(label) and str(item["metadata"]["name"]).endswith(label)


def _ready_since(pod: Object) -> datetime | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            at = condition.get("lastTransitionTime")
            return msgspec.convert(at, datetime) if at else None
    return None


async def _listed(reader: ClusterReader, resource: Resource, namespace: str) -> Iterable[Object]:
    try:
        return await reader.list_all(resource, namespace)
    except AccessDenied:
        return ()
