# SPDX-License-Identifier: Apache-2.0
"""Everything in a namespace that could be taken back: releases, workloads that nobody manages, and custom resources that make pods
from a template as those do."""

from __future__ import annotations

import asyncio

import msgspec

from backout.cluster.port import ClusterReader, Resource
from backout.errors import AccessDenied, BackoutError
from backout.helm.records import Records
from backout.kube.find_customs import find_customs
from backout.kube.projections import AnnotatedBare
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.target import Target, custom_kind
from backout.ownership.owner import owner_of


async def targets_in(cluster: ClusterReader, namespace: str) -> list[Target]:
    """Releases first, then unmanaged workloads, each sorted by name; what may not be listed is left out."""
    releases, customs, *workloads = await asyncio.gather(
        _releases(cluster, namespace),
        _customs(cluster, namespace),
        *(_unmanaged(cluster, namespace, kind) for kind in WORKLOAD_RESOURCES.values()),
    )
    return [*releases, *(target for found in workloads for target in found), *customs]


async def _customs(cluster: ClusterReader, namespace: str) -> list[Target]:
    """Of one namespace: over all of them, each kind would have to be listed everywhere."""
    if not namespace:
        return []
    try:
        kinds = await find_customs(cluster, namespace)
    except BackoutError:
        return []
    found = []
    for obj in (obj for kind in kinds for obj in kind.objects):
        template = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
        if template.get("containers") and (await owner_of(cluster, obj)).kind == "none":
            kind = custom_kind(str(obj["apiVersion"]), str(obj["kind"]))
            found.append(Target(kind, obj["metadata"]["name"], namespace, cluster.name))
    return sorted(found)


async def _releases(cluster: ClusterReader, namespace: str) -> list[Target]:
    try:
        newest = await Records(cluster, namespace).releases()
    except AccessDenied:
        return []
    return sorted(Target("helm", name, place, cluster.name) for place, name in newest)


async def _unmanaged(cluster: ClusterReader, namespace: str, resource: Resource) -> list[Target]:
    try:
        found = await cluster.list_as(AnnotatedBare, resource, namespace)
    except AccessDenied:
        return []
    owners = await asyncio.gather(*(_is_free(cluster, resource, item) for item in found))
    return sorted(
        Target(resource.kind.lower(), item.metadata.name, item.metadata.namespace, cluster.name)
        for item, free in zip(found, owners, strict=True)
        if free
    )


async def _is_free(cluster: ClusterReader, resource: Resource, item: AnnotatedBare) -> bool:
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, **msgspec.to_builtins(item)}
    return (await owner_of(cluster, obj)).kind == "none"
