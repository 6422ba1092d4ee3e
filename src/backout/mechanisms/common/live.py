# SPDX-License-Identifier: Apache-2.0
"""A workload and its pods, kept up to date by watches, so that readiness is seen the moment the cluster shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backout.cluster.port import PODS, REPLICASETS, ClusterReader, Object, Resource
from backout.errors import ObjectNotFound
from backout.kube.pod_health import finished_of
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.workloads import controller_uid, observed, revision_in_force, revision_label, selector_of
from backout.mechanisms.common.workloads import revisions_of

GATHER = 0.02
"""Seconds in which further events are taken in before looking: changes come in bunches."""


class Live:
    """One workload. Look with ``obj`` and ``pods``, wait with `changed`."""

    def __init__(self, cluster: ClusterReader, obj: Object) -> None:
        self.cluster = cluster
        self.obj = obj
        self._pods: dict[str, Object] = {}
        self._replicasets: dict[str, Object] = {}
        self._event = asyncio.Event()
        self._wanted = asyncio.Event()
        self._error: Exception | None = None
        self._labels: dict[int, str] = {}

    @property
    def kind(self) -> str:
        """The kind of the workload."""
        return str(self.obj["kind"])

    @property
    def pods(self) -> list[Object]:
        """The pods that it manages, those that terminate included; not those that are finished (evicted, …)."""
        uid = self.obj["metadata"]["uid"]
        owners = {uid}
        if self.kind == "Deployment":
            owners = {item["metadata"]["uid"] for item in self._replicasets.values() if controller_uid(item) == uid}
        return [pod for pod in self._pods.values() if controller_uid(pod) in owners]

    async def current_label(self) -> str:
        """The label that pods of the revision in force carry; empty while the controller has not made it."""
        if not observed(self.obj):
            return ""
        if self.kind != "DaemonSet":
            return revision_in_force(self.obj, self._replicasets.values())
        generation = int(self.obj["metadata"].get("generation") or 0)
        if not self._labels.get(generation):
            self._labels[generation] = revision_in_force(self.obj, await revisions_of(self.cluster, self.obj))
        return self._labels[generation]

    async def current_pods(self) -> list[Object]:
        """Pods of the revision in force that are to stay."""
        label = await self.current_label()
        return [
            pod
            for pod in self.pods
            if label and revision_label(pod, self.kind) == label and not pod["metadata"].get("deletionTimestamp")
        ]

    async def changed(self, timeout: float | None = None) -> bool:
        """Waits for the next change; False when none came within ``timeout`` seconds.

        Raises:
            ObjectNotFound: the workload was deleted.
            BackoutError: it can't be watched any more.
        """
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return False
        if self._error is None:
            await asyncio.sleep(GATHER)
        self._event.clear()
        if self._error is not None:
            raise self._error
        return True

    async def refresh(self) -> None:
        """Reads everything once more, whatever the watches bring.

        Raises:
            ObjectNotFound: the workload was deleted.
            BackoutError: it can't be read.
        """
        meta = self.obj["metadata"]
        stores = [(PODS, self._pods)]
        if self.kind == "Deployment":
            stores.append((REPLICASETS, self._replicasets))
        labels = selector_of(self.obj)
        obj, lists = await asyncio.gather(
            self.cluster.get(WORKLOAD_RESOURCES[self.kind], meta["name"], meta["namespace"]),
            asyncio.gather(
                *(self.cluster.list_all(resource, meta["namespace"], labels=labels) for resource, _ in stores)
            ),
        )
        self.obj = {**obj, "apiVersion": "apps/v1", "kind": self.kind}
        for (resource, store), found in zip(stores, lists, strict=True):
            store.clear()
            store.update({one["metadata"]["uid"]: one for one in found if resource is not PODS or not finished_of(one)})

    async def _follow(self, resource: Resource, store: dict[str, Object], labels: str, synced: asyncio.Event) -> None:
        try:
            async for event in self.cluster.watch(resource, self.obj["metadata"]["namespace"], labels=labels):
                if event.type == "SYNCED":
                    await self._complete(synced)
                elif event.type == "DELETED" or (resource is PODS and finished_of(event.object)):
                    store.pop(event.object["metadata"]["uid"], None)
                else:
                    store[event.object["metadata"]["uid"]] = event.object
                self._event.set()
        except Exception as error:
            # Whatever it is: who waits for a change that can't come any more has to hear of it.
            self._fail(error, synced)

    async def _follow_itself(self, synced: asyncio.Event) -> None:
        meta = self.obj["metadata"]
        resource = WORKLOAD_RESOURCES[self.kind]
        try:
            async for event in self.cluster.watch(resource, meta["namespace"], fields=f"metadata.name={meta['name']}"):
                if event.type == "SYNCED":
                    await self._complete(synced)
                elif event.type == "DELETED":
                    gone = ObjectNotFound(
                        "{kind}/{name} was deleted meanwhile.", kind=self.kind.lower(), name=meta["name"]
                    )
                    self._fail(gone, synced)
                    return
                else:
                    self.obj = {**event.object, "apiVersion": "apps/v1", "kind": self.kind}
                self._event.set()
        except Exception as error:
            # Whatever it is: who waits for a change that can't come any more has to hear of it.
            self._fail(error, synced)

    async def _complete(self, synced: asyncio.Event) -> None:
        """What exists is known. Changes are watched, from there on, when somebody waits for one: where all is well at the
        first look no watch is opened."""
        synced.set()
        self._event.set()
        await self._wanted.wait()

    def _fail(self, error: Exception, synced: asyncio.Event) -> None:
        self._error = self._error or error
        synced.set()
        self._event.set()


@asynccontextmanager
async def following(cluster: ClusterReader, obj: Object) -> AsyncIterator[Live]:
    """A live view that is complete at the start.

    Raises:
        BackoutError: something of it can't be watched.
    """
    live = Live(cluster, obj)
    labels = selector_of(obj)
    views: list[tuple[Resource, dict[str, Object]]] = [(PODS, live._pods)]
    if live.kind == "Deployment":
        views.append((REPLICASETS, live._replicasets))
    synced = [asyncio.Event() for _ in range(len(views) + 1)]
    tasks = [asyncio.create_task(live._follow_itself(synced[0]))]
    for (resource, store), event in zip(views, synced[1:], strict=True):
        tasks.append(asyncio.create_task(live._follow(resource, store, labels, event)))
    try:
        for event in synced:
            await event.wait()
        if live._error is not None:
            raise live._error
        yield live
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
