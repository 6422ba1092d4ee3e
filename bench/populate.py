# SPDX-License-Identifier: Apache-2.0
"""Writes a population to a cluster through its API, under the names that the real components write under.

The server then makes managedFields as it does for them. Nothing but the API is used, so that an embedded cluster and a
real control plane hold the same objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from bench import population
from bench.population import App, PodPlan
from kubetwin.client import STRATEGIC_PATCH, Api, ApiException, Obj, Resource
from kubetwin.kinds import (
    CONTROLLERREVISIONS,
    DEPLOYMENTS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICEACCOUNTS,
    STATEFULSETS,
)

MARK = Resource("", "v1", "configmaps", "ConfigMap")
MARK_NAME = "backout-bench"
PARALLEL = 24
KINDS = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFULSETS}


class Populator:
    """Writes ``pods`` pods and all that belongs to them."""

    def __init__(self, api: Api, pods: int, tell: Callable[[str], None]) -> None:
        self.pods = pods
        self.tell = tell
        self.manager = api.as_component("kube-controller-manager/v1.36.2")
        self.kubelet = api.as_component("kubelet/v1.36.2")
        self.helm = api.as_component("Helm/v4")
        self.now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.written = 0

    async def run(self) -> None:
        """Writes what is missing; a cluster that was finished before is left as it is."""
        if await self._finished():
            return
        names = population.namespaces(self.pods)
        await _all(self._namespace(name) for name in names)
        await _all(self._node(name) for name in population.nodes(self.pods))
        apps = list(population.apps(self.pods))
        await _all(self._releases(name, [a for a in apps if a.released and a.namespace == name]) for name in names)
        await _all(self._app(app) for app in apps)
        await self.manager.create(
            MARK,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": MARK_NAME, "namespace": "default"},
                "data": {"pods": str(self.pods)},
            },
        )

    async def _finished(self) -> bool:
        try:
            mark = await self.manager.get(MARK, MARK_NAME, "default")
        except ApiException as error:
            if error.not_found:
                return False
            raise
        return bool(mark["data"]["pods"] == str(self.pods))

    async def _namespace(self, name: str) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self._create(self.manager, NAMESPACES, namespace)
        # Pods are refused until the namespace has its service account; no controller may be there to make it.
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        await self._create(self.manager, SERVICEACCOUNTS, account)

    async def _node(self, name: str) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        await self._create(self.kubelet, NODES, node)
        status = {
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "ready",
                    "lastHeartbeatTime": self.now,
                    "lastTransitionTime": self.now,
                }
            ],
            "capacity": {"cpu": "64", "memory": "256Gi", "pods": "110"},
            "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "110"},
        }
        await self._status(self.kubelet, NODES, node, status)

    async def _releases(self, namespace: str, owned: list[App]) -> None:
        if not owned:
            return
        for record in population.release_records(namespace, owned, int(datetime.now(UTC).timestamp())):
            await self._create(self.helm, SECRETS, record)

    async def _app(self, app: App) -> None:
        resource = KINDS[app.kind]
        owner = await self._create(self.helm, resource, population.workload(app, app.revisions[2]))
        generation = owner["metadata"]["generation"]
        await self._status(self.manager, resource, owner, population.workload_status(app, generation, self.now))
        owners: dict[int, Obj] = {}
        for revision in range(3):
            if app.kind == "Deployment":
                found = await self._create(self.manager, REPLICASETS, population.replica_set(app, revision, owner))
                count = population.replicas_of(app, revision)
                ready = 0 if app.broken and revision == 2 else count
                await self._status(
                    self.manager,
                    REPLICASETS,
                    found,
                    {
                        "replicas": count,
                        "readyReplicas": ready,
                        "availableReplicas": ready,
                        "fullyLabeledReplicas": count,
                        "observedGeneration": 1,
                    },
                )
                owners[revision] = found
            else:
                record = population.controller_revision(app, revision, owner)
                await self._create(self.manager, CONTROLLERREVISIONS, record)
                owners[revision] = owner
        for plan in population.pods_of(app):
            await self._pod(plan, owners[plan.revision])

    async def _pod(self, plan: PodPlan, owner: Obj) -> None:
        made = await self._create(self.manager, PODS, population.pod(plan, owner))
        await self._status(self.kubelet, PODS, made, population.pod_status(plan, self.now))
        for event in population.events_of(plan, made["metadata"]["uid"], self.now):
            await self._create(self.kubelet, EVENTS, event)
        self.written += 1
        if self.written % 1000 == 0:
            self.tell(f"{self.written} of {self.pods} pods are written")

    async def _create(self, api: Api, resource: Resource, obj: Obj) -> Obj:
        """Creates, or reads what an earlier, unfinished round left."""
        try:
            made = await api.create(resource, obj)
        except ApiException as error:
            if not error.already_exists:
                raise
            made = await api.get(resource, obj["metadata"]["name"], obj["metadata"].get("namespace"))
        return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **made}

    async def _status(self, api: Api, resource: Resource, obj: Obj, status: Obj) -> None:
        meta = obj["metadata"]
        await api.patch(
            resource,
            meta["name"],
            {"status": status},
            meta.get("namespace"),
            content_type=STRATEGIC_PATCH,
            subresource="status",
        )


async def _all(jobs: Iterable[Awaitable[Any]]) -> None:
    gate = asyncio.Semaphore(PARALLEL)

    async def one(job: Awaitable[Any]) -> None:
        async with gate:
            await job

    await asyncio.gather(*(one(job) for job in jobs))
