# SPDX-License-Identifier: Apache-2.0
"""One namespace as a diagnosis needs it: each list is read once, when somebody asks for it first.

What may not be read is an empty list that says so: nothing is concluded from what it lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

from backout.cluster.port import CONTROLLERREVISIONS, NODES, PVCS, REPLICASETS, ClusterReader, Object, Resource
from backout.diagnosis.evidence.baseline import Baseline, Baselines, Expected, Installed
from backout.diagnosis.evidence.releases import ReleaseHistory, read_histories
from backout.errors import AccessDenied, BackoutError, NotFoundError, ServerError
from backout.kube.groups import custom_group
from backout.kube.projections import Bare, ControllerRevision
from backout.kube.projections import TemplatedWorkload as Set
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.sanitise import controller, kind_skipped
from backout.model.target import ObjectRef

T = TypeVar("T")
AT_ONCE = 6

QUOTAS = Resource("v1", "ResourceQuota", "resourcequotas")
LIMITRANGES = Resource("v1", "LimitRange", "limitranges")
SERVICEACCOUNTS = Resource("v1", "ServiceAccount", "serviceaccounts")
ROLES = Resource("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLEBINDINGS = Resource("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
NETWORKPOLICIES = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
INGRESSCLASSES = Resource("networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False)
STORAGECLASSES = Resource("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False)
VOLUMES = Resource("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
AUTOSCALERS = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
CRONJOBS = Resource("batch/v1", "CronJob", "cronjobs")
JOBS = Resource("batch/v1", "Job", "jobs")
WORKLOADS = WORKLOAD_RESOURCES


class Listed(msgspec.Struct, Generic[T]):
    """A list, and whether it could be read at all."""

    items: list[T] = []
    readable: bool = True


class Namespace:
    """The lists of one namespace, and the few of the whole cluster that explain what happens in it."""

    def __init__(self, cluster: ClusterReader, name: str) -> None:
        self.cluster, self.name = cluster, name
        self._tasks: dict[Any, asyncio.Task[Any]] = {}

    async def objects(self, resource: Resource) -> Listed[Object]:
        """All objects of a kind as the API gives them, with apiVersion and kind."""
        found: Listed[Object] = await self._once(("objects", resource), lambda: self._objects(resource))
        return found

    async def named(self, resource: Resource) -> dict[str, Object]:
        """The same by name."""
        return {item["metadata"]["name"]: item for item in (await self.objects(resource)).items}

    async def objects_meta(self, resource: Resource) -> set[str] | None:
        """The names of all objects of a kind; None when they may not be listed."""
        found: Listed[Bare] = await self._once(("meta", resource), lambda: self._metadata(resource))
        return {item.metadata.name for item in found.items} if found.readable else None

    async def find(self, kind: str, name: str) -> Object | None:
        """One workload of the namespace."""
        resource = WORKLOADS.get(kind)
        return (await self.named(resource)).get(name) if resource is not None else None

    async def custom(self, api_version: str, kind: str, name: str) -> Object | None:
        """One custom resource of the namespace; None where it, or its kind, is not there or may not be read."""
        try:
            resource = await self.cluster.resource(api_version, kind)
            found = await self.cluster.get(resource, name, self.name if resource.namespaced else "")
        except (AccessDenied, NotFoundError, ServerError):
            return None
        return {**found, "apiVersion": api_version, "kind": kind}

    async def customs(self) -> list[Object]:
        """The custom resources that no other object makes, of all kinds that may be listed."""
        found: list[Object] = await self._once("customs", self._customs)
        return found

    async def replica_sets(self) -> list[Set]:
        """The ReplicaSets with their templates."""
        found: Listed[Set] = await self._once("rs", lambda: self._list(Set, REPLICASETS))
        return found.items

    async def revisions(self) -> list[ControllerRevision]:
        """The ControllerRevisions with their templates."""
        found: Listed[ControllerRevision] = await self._once(
            "cr", lambda: self._list(ControllerRevision, CONTROLLERREVISIONS)
        )
        return found.items

    async def releases(self) -> dict[str, ReleaseHistory]:
        """The Helm releases of the namespace by name."""
        found: dict[str, ReleaseHistory] = await self._once("releases", lambda: read_histories(self.cluster, self.name))
        return found

    async def baseline(self) -> Baseline:
        """What the snapshots hold of it."""
        found: Baseline = await self._once("baseline", lambda: Baselines(self.cluster).whole(self.name))
        return found

    async def pasts(self, obj: Object) -> tuple[Expected, ...]:
        """Everything that is known of what an object was or should be (see `Baseline.pasts`)."""
        baseline, ref = await self.baseline(), ObjectRef.of(obj)
        key = (ref.kind, ref.name)
        for release in (await self.releases()).values():
            for version in reversed(await release.versions(*key)):
                if version.content is None or version.revision > release.in_force.revision:
                    continue
                there = Installed(release=release.target, revision=version.revision, content=version.content)
                if version.revision == release.in_force.revision:
                    baseline.installed[key] = there
                else:
                    baseline.add_earlier(key, there)
        baseline.add_applied(ref, obj)
        return baseline.pasts(ref)

    async def nodes(self) -> Listed[Object]:
        """The nodes of the cluster."""
        return await self.objects(NODES)

    async def claims(self) -> dict[str, Object]:
        """The PersistentVolumeClaims by name."""
        return await self.named(PVCS)

    async def close(self) -> None:
        """Ends what nobody waits for any more."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _objects(self, resource: Resource) -> Listed[Object]:
        try:
            items = await self.cluster.list_all(resource, self.name if resource.namespaced else "")
        except (AccessDenied, NotFoundError, ServerError):
            return Listed(readable=False)
        return Listed([{**item, "apiVersion": resource.api_version, "kind": resource.kind} for item in items])

    async def _customs(self) -> list[Object]:
        try:
            catalogue = await self.cluster.catalogue()
        except BackoutError:
            return []
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(resource: Resource) -> list[Object]:
            async with gate:
                return (await self.objects(resource)).items

        wanted = [
            served.resource
            for served in catalogue.kinds
            if served.resource.namespaced and custom_group(served.resource.group) and kind_skipped(served) is None
        ]
        listed = await asyncio.gather(*map(one, wanted))
        return [obj for items in listed for obj in items if controller(obj) is None]

    async def _metadata(self, resource: Resource) -> Listed[Bare]:
        try:
            return Listed(await self.cluster.list_as(Bare, resource, self.name, metadata_only=True))
        except (AccessDenied, NotFoundError, ServerError):
            return Listed(readable=False)

    async def _list(self, shape: type[T], resource: Resource) -> Listed[T]:
        try:
            return Listed(await self.cluster.list_as(shape, resource, self.name))
        except (AccessDenied, NotFoundError):
            return Listed(readable=False)

    async def _once(self, key: Any, read: Any) -> Any:
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(read())
        return await asyncio.shield(task)


class Namespaces:
    """The namespaces that a diagnosis looks into."""

    def __init__(self, cluster: ClusterReader) -> None:
        self._cluster = cluster
        self._known: dict[str, Namespace] = {}

    def of(self, name: str) -> Namespace:
        """One namespace."""
        return self._known.setdefault(name, Namespace(self._cluster, name))

    def known(self) -> Iterable[Namespace]:
        """Those that were asked for."""
        return self._known.values()

    async def close(self) -> None:
        """Ends what nobody waits for any more."""
        await asyncio.gather(*(namespace.close() for namespace in self._known.values()))
