# SPDX-License-Identifier: Apache-2.0
"""Edits of objects by people and programs, read from managedFields: who wrote which fields last, and when.

managedFields hold one entry for each writer and way of writing, with the time of its last change; what a writer changed
before that is not known, and neither are the values (kubernetes staging/src/k8s.io/apimachinery ObjectMeta).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from backout.changes.writers import CONTROL_PLANE, Entry, WrittenMeta
from backout.cluster.port import (
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    INGRESSES,
    PVCS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    ClusterReader,
    Resource,
)
from backout.errors import AccessDenied
from backout.kube.projections import Projection
from backout.model.change import LedgerEntry
from backout.model.message import few, msg
from backout.model.target import ObjectRef, Target

WATCHED = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS, CONFIGMAPS, SECRETS, SERVICES, PVCS, INGRESSES)

_SHOWN = 3


class _Managed(Projection, frozen=True):
    metadata: WrittenMeta


async def edits(cluster: ClusterReader, namespace: str, since: datetime) -> list[LedgerEntry]:
    """The last write of each manager to each object, where it is not older than ``since``; controllers left out."""
    found = await asyncio.gather(*(_of_kind(cluster, resource, namespace, since) for resource in WATCHED))
    return [entry for entries in found for entry in entries]


async def _of_kind(cluster: ClusterReader, resource: Resource, namespace: str, since: datetime) -> list[LedgerEntry]:
    # Release records are Helm's own business, and large.
    labels = "owner!=helm" if resource in (SECRETS, CONFIGMAPS) else ""
    try:
        items = await cluster.list_as(_Managed, resource, namespace, labels=labels, metadata_only=True)
    except AccessDenied:
        return []
    return [
        _entry(cluster, resource, item.metadata.namespace or namespace, item.metadata, writer)
        for item in items
        if item.metadata.name != "kube-root-ca.crt"
        for writer in item.metadata.managed_fields
        if writer.time is not None and writer.time >= since and _by_choice(writer)
    ]


def _by_choice(writer: Entry) -> bool:
    return writer.subresource != "status" and writer.manager not in CONTROL_PLANE


def _entry(cluster: ClusterReader, resource: Resource, namespace: str, meta: WrittenMeta, writer: Entry) -> LedgerEntry:
    assert writer.time is not None
    ref = ObjectRef(resource.api_version, resource.kind, meta.name, namespace, meta.uid)
    paths = list(_paths(writer.fields))
    born = meta.creation_timestamp == writer.time
    if born:
        summary = msg("{manager} created {object}", manager=writer.manager, object=str(ref))
    else:
        summary = msg(
            "{manager} wrote {object}; its fields: {fields}",
            manager=writer.manager,
            object=str(ref),
            fields=few(paths, _SHOWN) if paths else "-",
        )
    return LedgerEntry(
        at=writer.time,
        source="managedfields",
        actor=writer.manager,
        summary=summary,
        touches=(ref,),
        target=Target(_short(resource.kind), meta.name, namespace, cluster.name),
    )


def _short(kind: str) -> str:
    return {"PersistentVolumeClaim": "pvc"}.get(kind, kind.lower())


def _paths(fields: dict[str, Any], path: str = "") -> Iterator[str]:
    """Leaf paths of a fieldsV1 document; metadata's own bookkeeping is left out."""
    for key, value in fields.items():
        if key == ".":
            continue
        kind, _, rest = key.partition(":")
        if kind == "k":
            step = path + "[" + rest.strip("{}").replace('"', "").replace(":", "=") + "]"
        elif kind == "v":
            step = f"{path}[{rest}]"
        else:
            step = f"{path}.{rest}" if path else rest
        if isinstance(value, dict) and any(inner != "." for inner in value):
            yield from _paths(value, step)
        elif not step.startswith("metadata.annotations.kubectl.kubernetes.io/last-applied"):
            yield step
