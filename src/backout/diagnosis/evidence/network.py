# SPDX-License-Identifier: Apache-2.0
"""How traffic reaches pods: Services, their EndpointSlices, and Ingresses, read in bulk as projections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from backout.cluster.noting import no_right
from backout.cluster.port import ENDPOINTSLICES, INGRESSES, SERVICES, ClusterReader, Object, Resource
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.metadata import ManagedMeta
from backout.errors import AccessDenied, ObjectNotFound
from backout.kube.names import SERVICE_OF_SLICE
from backout.kube.projections import Meta, Projection
from backout.model.message import Message

T = TypeVar("T")
Name = tuple[str, str]
"""Namespace and name."""


class ServiceSpec(msgspec.Struct, rename="camel", frozen=True):
    """What a Service asks for."""

    selector: dict[str, str] | None = None
    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    ports: tuple[dict[str, Any], ...] = ()


class Service(msgspec.Struct, frozen=True):
    """A Service with its writers."""

    metadata: ManagedMeta
    spec: ServiceSpec = ServiceSpec()

    @property
    def selects(self) -> bool:
        """True when its endpoints are to follow from pods; others are written by hand, or are names of elsewhere."""
        return bool(self.spec.selector) and self.spec.type != "ExternalName"


class Ingress(msgspec.Struct, frozen=True):
    """An Ingress with its writers."""

    metadata: ManagedMeta
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}

    def plain(self, namespace: str) -> Object:
        """As the API gives it, as far as it was read."""
        meta = {"name": self.metadata.name, "namespace": self.metadata.namespace or namespace}
        return {
            "apiVersion": INGRESSES.api_version,
            "kind": "Ingress",
            "metadata": meta,
            "spec": self.spec,
            "status": self.status,
        }


class _Conditions(Projection, frozen=True):
    ready: bool | None = None


class _Endpoint(Projection, frozen=True):
    conditions: _Conditions = _Conditions()


class _Slice(Projection, frozen=True):
    metadata: Meta
    endpoints: tuple[_Endpoint, ...] | None = None
    ports: tuple[dict[str, Any], ...] | None = None


class Endpoints(msgspec.Struct):
    """What stands behind one Service: all of its slices together. ``ports`` are names and numbers that have a pod."""

    total: int = 0
    ready: int = 0
    ports: set[tuple[str, int]] = set()


class Network(msgspec.Struct):
    """All of it. ``sliced`` is False when endpoints could not be read: nothing is said of them then."""

    services: dict[Name, Service] = {}
    endpoints: dict[Name, Endpoints] = {}
    ingresses: dict[Name, Ingress] = {}
    sliced: bool = True
    listed: bool = True
    blind: list[Message] = []


async def read_network(cluster: ClusterReader, namespace: str) -> Network:
    """Of one namespace, or of all when it is empty. What may not be read is in ``blind``."""
    network = Network()
    await asyncio.gather(
        _services(cluster, namespace, network),
        _slices(cluster, namespace, network),
        _ingresses(cluster, namespace, network),
    )
    return network


async def _services(cluster: ClusterReader, namespace: str, network: Network) -> None:
    found = await _pages(cluster, Service, SERVICES, lambda page: page, namespace, network)
    network.listed = found is not None
    for page in found or ():
        for service in page:
            network.services[service.metadata.namespace or namespace, service.metadata.name] = service


async def _ingresses(cluster: ClusterReader, namespace: str, network: Network) -> None:
    for page in await _pages(cluster, Ingress, INGRESSES, lambda page: page, namespace, network) or ():
        for ingress in page:
            network.ingresses[ingress.metadata.namespace or namespace, ingress.metadata.name] = ingress


async def _slices(cluster: ClusterReader, namespace: str, network: Network) -> None:
    def count(page: list[_Slice]) -> list[tuple[Name, int, int, set[tuple[str, int]]]]:
        return [one for piece in page if (one := _counted(piece, namespace)) is not None]

    found = await _pages(cluster, _Slice, ENDPOINTSLICES, count, namespace, network)
    network.sliced = found is not None
    for page in found or ():
        for name, total, ready, ports in page:
            behind = network.endpoints.setdefault(name, Endpoints())
            behind.total += total
            behind.ready += ready
            behind.ports |= ports


def _counted(piece: _Slice, namespace: str) -> tuple[Name, int, int, set[tuple[str, int]]] | None:
    service = (piece.metadata.labels or {}).get(SERVICE_OF_SLICE)
    if not service:
        return None
    endpoints = piece.endpoints or ()
    # An unknown readiness counts as ready (discovery/v1 EndpointConditions).
    ready = sum(1 for endpoint in endpoints if endpoint.conditions.ready is not False)
    ports = {(str(port.get("name") or ""), int(port.get("port") or 0)) for port in piece.ports or ()}
    return (piece.metadata.namespace or namespace, service), len(endpoints), ready, ports if endpoints else set()


_R = TypeVar("_R")


async def _pages(
    cluster: ClusterReader,
    shape: type[T],
    resource: Resource,
    fold: Callable[[list[T]], _R],
    namespace: str,
    network: Network,
) -> list[_R] | None:
    """None when they may not be read, or are not served."""
    try:
        return await cluster.fold(shape, resource, fold, namespace)
    except AccessDenied:
        network.blind.append(no_right(resource.plural, namespace))
    except ObjectNotFound:
        pass
    return None


class Labelled:
    """The workloads of a namespace by the labels of their pods: thousands of selectors are looked up one by one."""

    def __init__(self, state: State, namespace: str) -> None:
        self._state = state
        self._bearing: dict[tuple[str, str], list[WorkloadKey]] = {}
        for key, workload in state.workloads.items():
            if key[0] == namespace:
                for pair in (workload.spec.template.metadata.labels or {}).items():
                    self._bearing.setdefault(pair, []).append(key)

    def selected(self, selector: dict[str, Any]) -> list[WorkloadKey]:
        """The workloads whose pods carry all labels of a selector; none for an empty one."""
        wanted = selector.items()
        few = min((self._bearing.get(pair, []) for pair in wanted), key=len, default=[])
        workloads = self._state.workloads
        return [key for key in few if wanted <= (workloads[key].spec.template.metadata.labels or {}).items()]


def selected(state: State, namespace: str, selector: dict[str, Any]) -> list[WorkloadKey]:
    """As `Labelled.selected`, for one selector."""
    return Labelled(state, namespace).selected(selector)


def declared(state: State, keys: list[WorkloadKey]) -> tuple[set[str], set[int]]:
    """Names and numbers of all ports that containers of these workloads declare."""
    names: set[str] = set()
    numbers: set[int] = set()
    for key in keys:
        spec = state.workloads[key].spec.template.spec
        for container in (*spec.containers, *spec.init_containers):
            for port in container.ports:
                names.add(str(port.get("name") or ""))
                numbers.add(int(port.get("containerPort") or 0))
    return names, numbers
