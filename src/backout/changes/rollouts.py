# SPDX-License-Identifier: Apache-2.0
"""Changes of pod templates: ReplicaSets of Deployments, ControllerRevisions of StatefulSets and DaemonSets.

Only when a template came up first is known: one that is used again keeps its first creation time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from backout.cluster.port import CONTROLLERREVISIONS, REPLICASETS, ClusterReader, Resource
from backout.errors import AccessDenied
from backout.kube.diff import diff_objects
from backout.kube.names import CHANGE_CAUSE, REVISION_NUMBER
from backout.kube.projections import ControllerRevision, TemplatedWorkload
from backout.kube.templates import plain_template
from backout.model.change import LedgerEntry
from backout.model.message import msg
from backout.model.target import ObjectRef, Target

_T = TypeVar("_T")


class _Template(msgspec.Struct, frozen=True):
    """One template of one workload."""

    kind: str
    name: str
    namespace: str
    uid: str
    order: int
    created: datetime
    template: dict[str, Any]
    cause: str


async def rollouts(cluster: ClusterReader, namespace: str, since: datetime) -> list[LedgerEntry]:
    """New templates since then, each with what differs from the one before."""
    replicasets, revisions = await asyncio.gather(
        _read(cluster, TemplatedWorkload, REPLICASETS, namespace),
        _read(cluster, ControllerRevision, CONTROLLERREVISIONS, namespace),
    )
    found = [*_of_deployments(replicasets), *_of_sets(revisions)]
    groups: dict[str, list[_Template]] = {}
    for item in found:
        groups.setdefault(item.uid, []).append(item)
    entries = []
    for group in groups.values():
        group.sort(key=lambda item: (item.created, item.order))
        for index, item in enumerate(group):
            if item.created >= since:
                entries.append(_entry(cluster, namespace, group[index - 1] if index else None, item))
    return entries


async def _read(cluster: ClusterReader, shape: type[_T], resource: Resource, namespace: str) -> list[_T]:
    try:
        return await cluster.list_as(shape, resource, namespace)
    except AccessDenied:
        return []


def _of_deployments(items: Iterable[TemplatedWorkload]) -> list[_Template]:
    found = []
    for item in items:
        owner, notes, created = (
            item.metadata.controller,
            item.metadata.annotations or {},
            item.metadata.creation_timestamp,
        )
        if owner and owner.kind == "Deployment" and created:
            order = notes.get(REVISION_NUMBER, "0")
            number = int(order) if order.isdecimal() else 0
            place, template, cause = item.metadata.namespace, item.spec.template, notes.get(CHANGE_CAUSE, "")
            found.append(_Template("Deployment", owner.name, place, owner.uid, number, created, template, cause))
    return found


def _of_sets(items: Iterable[ControllerRevision]) -> list[_Template]:
    found = []
    for item in items:
        owner, created = item.metadata.controller, item.metadata.creation_timestamp
        if owner and owner.kind in {"StatefulSet", "DaemonSet"} and created:
            template = (item.data.get("spec") or {}).get("template") or {}
            cause = (item.metadata.annotations or {}).get(CHANGE_CAUSE, "")
            found.append(
                _Template(
                    owner.kind, owner.name, item.metadata.namespace, owner.uid, item.revision, created, template, cause
                )
            )
    return found


def _entry(cluster: ClusterReader, namespace: str, before: _Template | None, item: _Template) -> LedgerEntry:
    namespace = item.namespace or namespace
    ref = ObjectRef("apps/v1", item.kind, item.name, namespace, item.uid)
    fields = diff_objects(_shell(before), _shell(item)) if before else ()
    what = (
        item.cause or ", ".join(field.path.removeprefix("spec.template.") for field in fields[:3]) or "first template"
    )
    return LedgerEntry(
        at=item.created,
        source="replicaset" if item.kind == "Deployment" else "controllerrevision",
        target=Target(item.kind.lower(), item.name, namespace, cluster.name),
        revision=item.order,
        previous=before.order if before else None,
        summary=msg("new pod template: {what}", what=what),
        touches=(ref,),
        fields=fields,
    )


def _shell(item: _Template | None) -> dict[str, Any] | None:
    return {"spec": {"template": plain_template(item.template)}} if item else None
