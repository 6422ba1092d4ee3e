# SPDX-License-Identifier: Apache-2.0
"""Reads who consumes the objects of a namespace. The rules are `backout.kube.consumers`; only this reads a cluster."""

from __future__ import annotations

import asyncio

from backout.cluster.port import INGRESSES, PODS, ClusterReader, Resource
from backout.errors import AccessDenied, ObjectNotFound, ServerError
from backout.kube.consumers import Consumer, Consumers
from backout.kube.groups import custom_group
from backout.kube.projections import ConsumingPod, ConsumingWorkload
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.target import ObjectRef

AT_ONCE = 8


async def find_consumers(cluster: ClusterReader, namespace: str, *, custom: bool = True) -> Consumers:
    """Reads workloads, pods and Ingresses, and custom resources as well unless ``custom`` is False."""
    found = Consumers(namespace)
    await asyncio.gather(
        _read_pods(cluster, found),
        _read_ingresses(cluster, found),
        *((_read_custom(cluster, found),) if custom else ()),
    )
    return found


async def consumers_of(cluster: ClusterReader, ref: ObjectRef) -> tuple[Consumer, ...]:
    """Who consumes the object now; what may not be looked at is left out (`find_consumers` tells of it)."""
    return (await find_consumers(cluster, ref.namespace)).of(ref.kind, ref.name)


async def _read_pods(cluster: ClusterReader, found: Consumers) -> None:
    await asyncio.gather(*(_read_workloads(cluster, found, resource) for resource in WORKLOAD_RESOURCES.values()))
    try:
        pages = await cluster.fold(ConsumingPod, PODS, found.of_pods, found.namespace)
    except AccessDenied:
        found.deny(PODS.plural)
        return
    for page in pages:
        found.add_pods(page)


async def _read_workloads(cluster: ClusterReader, found: Consumers, resource: Resource) -> None:
    try:
        found.add_workloads(resource, await cluster.list_as(ConsumingWorkload, resource, found.namespace))
    except AccessDenied:
        found.deny(resource.plural)


async def _read_ingresses(cluster: ClusterReader, found: Consumers) -> None:
    try:
        found.add_ingresses(INGRESSES, await cluster.list_all(INGRESSES, found.namespace))
    except ObjectNotFound:
        return
    except AccessDenied:
        found.deny(INGRESSES.plural)


async def _read_custom(cluster: ClusterReader, found: Consumers) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(resource: Resource) -> None:
        async with gate:
            try:
                items = await cluster.list_all(resource, found.namespace)
            except (AccessDenied, ObjectNotFound, ServerError):
                # What may not be seen here may still read it, but so may anything that asks the API itself.
                return
        found.add_custom(resource, items)

    try:
        catalogue = await cluster.catalogue()
    except (AccessDenied, ServerError):
        found.deny("custom resources")
        return
    wanted = [
        served.resource
        for served in catalogue.kinds
        if served.resource.namespaced and custom_group(served.resource.group) and "list" in served.verbs
    ]
    await asyncio.gather(*(one(resource) for resource in wanted))
