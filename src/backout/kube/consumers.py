# SPDX-License-Identifier: Apache-2.0
"""Who reads a ConfigMap, a Secret or a Service: workloads, bare pods, Ingresses, custom resources of its namespace."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from backout.cluster.port import DAEMONSETS, DEPLOYMENTS, INGRESSES, PODS, STATEFULSETS, ClusterReader, Object, Resource
from backout.errors import AccessDenied, ObjectNotFound, ServerError
from backout.kube.references import How, Reference, of_custom, of_ingress, references
from backout.model.message import Message, msg
from backout.model.target import ObjectRef

__all__ = ["How", "Reader", "Readers", "Reference", "readers_of", "references"]

AT_ONCE = 8
_WORKLOADS = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS)
_HASH = "pod-template-hash"


class Reader(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One reader of one object.

    ``workload`` is a Deployment, StatefulSet or DaemonSet; a Pod that none of these made (or a Job or whatever else
    made it); an Ingress; or a custom resource. ``pods`` are the names of its pods whose own spec names the object: none
    when it has no pods, or only its template names it. ``reference`` tells more of where it is read.
    """

    workload: ObjectRef
    container: str = ""
    how: How
    path: str = ""
    keys: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    reference: Reference

    def file(self, key: str) -> str:
        """The path at which the container sees ``key``; empty when it does not see it as a file."""
        return self.reference.file(key)


class _OwnerRef(msgspec.Struct):
    apiVersion: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class _Meta(msgspec.Struct):
    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    ownerReferences: list[_OwnerRef] | None = None
    deletionTimestamp: str | None = None


class _Pod(msgspec.Struct):
    metadata: _Meta
    spec: dict[str, Any]


class _Template(msgspec.Struct):
    spec: dict[str, Any] = {}


class _Spec(msgspec.Struct):
    template: _Template = msgspec.field(default_factory=_Template)


class _Workload(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)


class Readers:
    """All readers of one namespace, read at one time. `blind` says what could not be looked at."""

    def __init__(self) -> None:
        self._denied: list[str] = []
        self._found: dict[tuple[str, str], dict[tuple[ObjectRef, Reference], set[str]]] = defaultdict(dict)

    @classmethod
    async def read(cls, cluster: ClusterReader, namespace: str, *, custom: bool = True) -> Readers:
        """Reads workloads, pods and Ingresses, and custom resources as well unless ``custom`` is False."""
        readers = cls()
        await asyncio.gather(
            readers._read_pods(cluster, namespace),
            readers._read_ingresses(cluster, namespace),
            *((readers._read_custom(cluster, namespace),) if custom else ()),
        )
        return readers

    def of(self, kind: str, name: str) -> tuple[Reader, ...]:
        """Who reads the ConfigMap, Secret or Service of that name."""
        return tuple(
            sorted(
                Reader(
                    workload=workload,
                    container=reference.container,
                    how=reference.how,
                    path=reference.path,
                    keys=reference.keys,
                    pods=tuple(sorted(pods)),
                    reference=reference,
                )
                for (workload, reference), pods in self._found.get((kind, name), {}).items()
            )
        )

    @property
    def blind(self) -> tuple[Message, ...]:
        """Why readers may be missing."""
        if not self._denied:
            return ()
        return (
            msg(
                "You may not list {kinds} here, so that readers may be missing.", kinds=", ".join(sorted(self._denied))
            ),
        )

    def names(self) -> set[tuple[str, str]]:
        """Kind and name of everything that is read by somebody."""
        return set(self._found)

    def _add(self, workload: ObjectRef, found: Iterable[Reference], pod: str = "") -> None:
        for reference in found:
            pods = self._found[reference.kind, reference.name].setdefault((workload, reference), set())
            if pod:
                pods.add(pod)

    async def _read_pods(self, cluster: ClusterReader, namespace: str) -> None:
        found = await asyncio.gather(*(self._templates(cluster, resource, namespace) for resource in _WORKLOADS))
        known = {ref.uid: ref for refs in found for ref in refs}
        deployments = {ref.name: ref for refs in found for ref in refs if ref.kind == "Deployment"}

        def keep(pods: list[_Pod]) -> list[tuple[ObjectRef, str, tuple[Reference, ...]]]:
            return [
                (_made_by(pod.metadata, namespace, known, deployments), pod.metadata.name, references(pod.spec))
                for pod in pods
                if pod.metadata.deletionTimestamp is None
            ]

        try:
            pages = await cluster.fold(_Pod, PODS, keep, namespace)
        except AccessDenied:
            self._denied.append(PODS.plural)
            return
        for page in pages:
            for workload, pod, named in page:
                self._add(workload, named, pod)

    async def _templates(self, cluster: ClusterReader, resource: Resource, namespace: str) -> list[ObjectRef]:
        try:
            items = await cluster.list_as(_Workload, resource, namespace)
        except AccessDenied:
            self._denied.append(resource.plural)
            return []
        refs = []
        for item in items:
            meta = item.metadata
            ref = ObjectRef(resource.api_version, resource.kind, meta.name, meta.namespace or namespace, meta.uid)
            refs.append(ref)
            self._add(ref, references(item.spec.template.spec))
        return refs

    async def _read_ingresses(self, cluster: ClusterReader, namespace: str) -> None:
        try:
            items = await cluster.list_all(INGRESSES, namespace)
        except ObjectNotFound:
            return
        except AccessDenied:
            self._denied.append(INGRESSES.plural)
            return
        for item in items:
            self._add(_ref(INGRESSES, item, namespace), of_ingress(item))

    async def _read_custom(self, cluster: ClusterReader, namespace: str) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(resource: Resource) -> None:
            async with gate:
                try:
                    items = await cluster.list_all(resource, namespace)
                except (AccessDenied, ObjectNotFound, ServerError):
                    # What may not be seen here may still read it, but so may anything that asks the API itself.
                    return
            for item in items:
                self._add(_ref(resource, item, namespace), of_custom(item))

        try:
            catalogue = await cluster.catalogue()
        except (AccessDenied, ServerError):
            self._denied.append("custom resources")
            return
        wanted = [
            served.resource
            for served in catalogue.kinds
            if served.resource.namespaced and _custom(served.resource) and "list" in served.verbs
        ]
        await asyncio.gather(*(one(resource) for resource in wanted))


async def readers_of(cluster: ClusterReader, ref: ObjectRef) -> tuple[Reader, ...]:
    """Who reads the object now; what may not be looked at is left out (`Readers.read` tells of it)."""
    return (await Readers.read(cluster, ref.namespace)).of(ref.kind, ref.name)


def _made_by(meta: _Meta, namespace: str, known: dict[str, ObjectRef], deployments: dict[str, ObjectRef]) -> ObjectRef:
    """The workload of a pod. A ReplicaSet is its Deployment's name, a dash, and the hash that the pod carries."""
    owner = next((entry for entry in meta.ownerReferences or () if entry.controller), None)
    if owner is None:
        return ObjectRef("v1", "Pod", meta.name, meta.namespace or namespace, meta.uid)
    if owner.uid in known:
        return known[owner.uid]
    label = (meta.labels or {}).get(_HASH, "")
    if owner.kind == "ReplicaSet" and label and owner.name.endswith(f"-{label}"):
        deployment = deployments.get(owner.name.removesuffix(f"-{label}"))
        if deployment is not None:
            return deployment
    return ObjectRef(owner.apiVersion, owner.kind, owner.name, meta.namespace or namespace, owner.uid)


def _ref(resource: Resource, item: Object, namespace: str) -> ObjectRef:
    meta = item["metadata"]
    return ObjectRef(
        resource.api_version, resource.kind, meta["name"], meta.get("namespace") or namespace, meta.get("uid", "")
    )


def _custom(resource: Resource) -> bool:
    """Kubernetes' own groups have no dot, or end in .k8s.io."""
    return "." in resource.group and not resource.group.endswith(".k8s.io")
