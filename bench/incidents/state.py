# SPDX-License-Identifier: Apache-2.0
"""What a namespace holds, without what controllers write: to see what a fault changed, and what a run did."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from bench.incidents.objects import RESOURCES, WORKLOADS
from bench.incidents.world import World
from kubetwin.client import Obj

State = dict[str, dict[str, Any]]
"""``kind/name`` → what people and releases write of it."""

_MANAGED = (
    *("deployment.kubernetes.io/", "kubectl.kubernetes.io/", "kubernetes.io/change-cause", "meta.helm.sh/"),
    *("pv.kubernetes.io/", "volume.", "deprecated.daemonset.", "backout.dev/"),
)
_OF_TEMPLATES = ("kubectl.kubernetes.io/restartedAt", "backout.dev/")
_ASSIGNED = {"service": ("clusterIP", "clusterIPs"), "persistentvolumeclaim": ("volumeName",)}
_NOBODYS = ("configmap/kube-root-ca.crt", "serviceaccount/default")


async def read(world: World) -> State:
    """Everything of the namespace that somebody wrote."""
    lists = await asyncio.gather(*(world.list(kind) for kind in RESOURCES))
    found: State = {}
    for kind, objects in zip(RESOURCES, lists, strict=True):
        for obj in objects:
            key = f"{kind}/{obj['metadata']['name']}"
            if key not in _NOBODYS and not _record(obj) and not _made(kind, obj):
                found[key] = as_written(kind, obj)
    return found


def _record(obj: Obj) -> bool:
    return str(obj["metadata"]["name"]).startswith("sh.helm.release.")


def _made(kind: str, obj: Obj) -> bool:
    """By a controller: Jobs of CronJobs, EndpointSlices of Services, what operators make."""
    owners = obj["metadata"].get("ownerReferences") or ()
    if any("." in owner["apiVersion"].partition("/")[0] for owner in owners):
        return True
    return kind in ("job", "endpointslice") and bool(obj["metadata"].get("ownerReferences"))


def as_written(kind: str, obj: Obj) -> dict[str, Any]:
    """Without status, and without what controllers and kubectl note."""
    meta = obj["metadata"]
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if not k.startswith(_MANAGED)}
    found = {k: copy.deepcopy(v) for k, v in obj.items() if k not in ("metadata", "apiVersion", "kind", "status")}
    found["metadata"] = {"labels": meta.get("labels") or {}, "annotations": annotations}
    for assigned in _ASSIGNED.get(kind, ()):
        found["spec"].pop(assigned, None)
    if kind in WORKLOADS:
        template = found["spec"]["template"].setdefault("metadata", {})
        kept = {k: v for k, v in (template.get("annotations") or {}).items() if not k.startswith(_OF_TEMPLATES)}
        template.pop("annotations", None)
        template.pop("creationTimestamp", None)
        if kept:
            template["annotations"] = kept
    return found


def differences(before: Any, after: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Path → what it was and is; None where it is not there. Lists are one value."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in sorted({*before, *after}):
            found.update(differences(before.get(key), after.get(key), f"{path} {key}" if path else str(key)))
        return found
    return {} if before == after else {path: (before, after)}
