# SPDX-License-Identifier: Apache-2.0
"""Who consumes a ConfigMap, a Secret or a Service: workloads, bare pods, Ingresses, custom resources of its namespace.

Pure: `backout.kube.find_consumers` reads the objects that are added here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from backout.cluster.port import Object, Resource
from backout.kube.names import TEMPLATE_HASH
from backout.kube.pod_health import finished
from backout.kube.projections import ConsumingPod, ConsumingWorkload, Meta
from backout.kube.references import How, Reference, of_custom, of_ingress, references
from backout.model.message import Message, msg
from backout.model.target import ObjectRef


class Consumer(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One consumer of one object.

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


Found = list[tuple[ObjectRef, str, tuple[Reference, ...]]]
"""Workload, pod, and what that pod names."""


class Consumers:
    """All consumers in one namespace, as they were added. ``blind`` says what could not be looked at."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._denied: list[str] = []
        self._found: dict[tuple[str, str], dict[tuple[ObjectRef, Reference], set[str]]] = defaultdict(dict)
        self._by_uid: dict[str, ObjectRef] = {}
        self._deployments: dict[str, ObjectRef] = {}

    def of(self, kind: str, name: str) -> tuple[Consumer, ...]:
        """Who consumes the ConfigMap, Secret or Service of that name."""
        return tuple(
            sorted(
                Consumer(
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
        """Why consumers may be missing."""
        if not self._denied:
            return ()
        return (
            msg(
                "You may not list {kinds} here, so that readers may be missing.", kinds=", ".join(sorted(self._denied))
            ),
        )

    def names(self) -> set[tuple[str, str]]:
        """Kind and name of everything that is consumed by somebody."""
        return set(self._found)

    def deny(self, what: str) -> None:
        """Notes what may not be listed."""
        self._denied.append(what)

    def add_workloads(self, resource: Resource, items: Iterable[ConsumingWorkload]) -> None:
        """Workloads by their templates. They come before pods, which are told apart by them."""
        for item in items:
            meta = item.metadata
            ref = ObjectRef(resource.api_version, resource.kind, meta.name, meta.namespace or self.namespace, meta.uid)
            self._by_uid[ref.uid] = ref
            if ref.kind == "Deployment":
                self._deployments[ref.name] = ref
            self._add(ref, references(item.spec.template.spec))

    def of_pods(self, pods: Iterable[ConsumingPod]) -> Found:
        """What pods name, for `add_pods`: less than the pods themselves. Those that go or are finished are left out."""
        return [
            (self._maker(pod.metadata), pod.metadata.name, references(pod.spec))
            for pod in pods
            if pod.metadata.deletion_timestamp is None and not finished(pod)
        ]

    def add_pods(self, found: Found) -> None:
        """Pods, each under what made it."""
        for workload, pod, named in found:
            self._add(workload, named, pod)

    def add_ingresses(self, resource: Resource, items: Iterable[Object]) -> None:
        """Ingresses, by their backends and certificates."""
        self._add_objects(resource, items, of_ingress)

    def add_custom(self, resource: Resource, items: Iterable[Object]) -> None:
        """Custom resources, by the usual shapes of their fields."""
        self._add_objects(resource, items, of_custom)

    def _add_objects(
        self, resource: Resource, items: Iterable[Object], named: Callable[[Object], tuple[Reference, ...]]
    ) -> None:
        for item in items:
            meta = item["metadata"]
            where = meta.get("namespace") or self.namespace
            ref = ObjectRef(resource.api_version, resource.kind, meta["name"], where, meta.get("uid", ""))
            self._add(ref, named(item))

    def _add(self, workload: ObjectRef, found: Iterable[Reference], pod: str = "") -> None:
        for reference in found:
            pods = self._found[reference.kind, reference.name].setdefault((workload, reference), set())
            if pod:
                pods.add(pod)

    def _maker(self, meta: Meta) -> ObjectRef:
        """What made a pod. A ReplicaSet is its Deployment's name, a dash, and the hash that the pod carries."""
        owner, where = meta.controller, meta.namespace or self.namespace
        if owner is None:
            return ObjectRef("v1", "Pod", meta.name, where, meta.uid)
        if owner.uid in self._by_uid:
            return self._by_uid[owner.uid]
        label = (meta.labels or {}).get(TEMPLATE_HASH, "")
        if owner.kind == "ReplicaSet" and label and owner.name.endswith(f"-{label}"):
            deployment = self._deployments.get(owner.name.removesuffix(f"-{label}"))
            if deployment is not None:
                return deployment
        return ObjectRef(owner.api_version, owner.kind, owner.name, where, owner.uid)
