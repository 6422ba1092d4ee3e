# SPDX-License-Identifier: Apache-2.0
"""What every control loop shares: the cluster's caches, writes that update them, and the worker loop."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from kubetwin import kinds
from kubetwin.client import MERGE_PATCH, Api, ApiException, Obj, Resource
from kubetwin.events import EventRecorder
from kubetwin.informer import Informer, SharedInformers, key_of
from kubetwin.meta import deleting, namespace_index, owner_index, status_of
from kubetwin.workqueue import WorkQueue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Times are seconds."""

    events: bool = True
    """False writes no Events at all (for very large simulated clusters)."""
    ca_certificate: str = ""
    """PEM put into each namespace's kube-root-ca.crt; empty: not made."""
    load_balancer_prefix: str = "198.51.100."
    """Addresses given to Services of type LoadBalancer (a range reserved for documentation)."""
    workers: int = 4
    provisioners: frozenset[str] = frozenset(("twin.backout.dev/hostpath", "kubernetes.io/host-path"))
    """StorageClass provisioners whose volumes are simulated here."""
    node_startup_grace: float = 60.0
    """After that a node that has not reported yet counts as unreachable."""
    job_backoff_initial: float = 10.0
    job_backoff_max: float = 600.0


@dataclass(slots=True)
class Writer:
    """Writes through the API and feeds the answers to the caches."""

    api: Api
    informers: SharedInformers

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        return self._seen(resource, await self.api.create(resource, obj))

    async def replace(self, resource: Resource, obj: Obj) -> Obj:
        return self._seen(resource, await self.api.replace(resource, obj))

    async def update_status(self, resource: Resource, obj: Obj, status: Obj) -> Obj:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj, "status": status}
        return self._seen(resource, await self.api.replace(resource, body, subresource="status"))

    async def patch(
        self,
        resource: Resource,
        obj: Obj,
        patch: Any,
        *,
        content_type: str = MERGE_PATCH,
        subresource: str | None = None,
    ) -> Obj:
        meta = obj["metadata"]
        answer = await self.api.patch(
            resource, meta["name"], patch, meta.get("namespace"), content_type=content_type, subresource=subresource
        )
        return self._seen(resource, answer)

    async def delete(
        self, resource: Resource, obj: Obj, *, grace_seconds: int | None = None, propagation: str | None = None
    ) -> None:
        """With the uid as precondition. An object that is gone already, or was replaced, is no error."""
        meta = obj["metadata"]
        try:
            answer = await self.api.delete(
                resource,
                meta["name"],
                meta.get("namespace"),
                uid=meta["uid"],
                grace_seconds=grace_seconds,
                propagation=propagation,
            )
        except ApiException as error:
            if error.not_found or error.conflict:
                return
            raise
        if answer.get("kind") == resource.kind and answer["metadata"].get("deletionTimestamp"):
            finalizers = answer["metadata"].get("finalizers")
            grace = answer["metadata"].get("deletionGracePeriodSeconds")
            if finalizers or grace:
                self._seen(resource, answer)

    def _seen(self, resource: Resource, answer: Obj) -> Obj:
        informer = self.informers.existing(resource)
        if informer is not None and answer.get("kind") == resource.kind:
            informer.observe(answer)
        return answer


@dataclass(slots=True)
class Context:
    """One cluster as the controllers see it."""

    api: Api
    informers: SharedInformers
    settings: ControllerSettings = field(default_factory=ControllerSettings)
    _recorders: dict[str, EventRecorder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pods = self.informers.of(kinds.PODS)
        pods.add_index("owner", owner_index)
        pods.add_index("namespace", namespace_index)

    @property
    def pods(self) -> Informer:
        return self.informers.of(kinds.PODS)

    def writer(self, user_agent: str) -> Writer:
        return Writer(self.api.as_component(user_agent), self.informers)

    def recorder(self, component: str, *, user_agent: str, series: bool = False, host: str = "") -> EventRecorder:
        key = f"{component}/{host}"
        recorder = self._recorders.get(key)
        if recorder is None:
            recorder = self._recorders[key] = EventRecorder(
                self.api.as_component(user_agent), component, host=host, series=series, enabled=self.settings.events
            )
        return recorder

    @property
    def recorders(self) -> list[EventRecorder]:
        return list(self._recorders.values())


MANAGER_AGENT = "kube-controller-manager"


class Controller(ABC):
    """A queue of keys and workers that bring each key's object to its desired state."""

    name: str
    component: str = ""
    user_agent: str = MANAGER_AGENT
    series: bool = False
    """Whether its events have the newer form."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.queue = WorkQueue()
        self.write = ctx.writer(self.user_agent)
        self.recorder = ctx.recorder(
            self.component or f"{self.name}-controller", user_agent=self.user_agent, series=self.series
        )
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Register informers, indexes and handlers."""

    @abstractmethod
    async def sync(self, key: str) -> None:
        """Bring the object ``key`` to its desired state once. May raise ApiException: it is retried."""

    def inform(self, resource: Resource) -> Informer:
        return self.ctx.informers.of(resource)

    def enqueue_on(self, resource: Resource) -> Informer:
        """Queue an object of the resource whenever it changes."""
        informer = self.inform(resource)
        informer.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        return informer

    def add_soon(self, key: str, size: int) -> None:
        """Queue a key whose work grows with ``size``: the larger, the more changes are gathered first."""
        if size <= 50:
            self.queue.add(key)
        else:
            self.queue.add_after(key, min(1.0, size / 5000))

    async def run(self) -> None:
        await self.ctx.informers.wait_synced()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.ctx.settings.workers):
                    group.create_task(self._work())
        finally:
            self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self.sync(key)
                self.queue.forget(key)
            except (ApiException, OSError) as error:
                log.debug("%s %s: %s", self.name, key, error)
                self.queue.add_rate_limited(key)
            except Exception:
                # One bad object must not stop the loop for all others.
                log.exception("%s %s failed", self.name, key)
                self.queue.add_rate_limited(key)
            finally:
                self.queue.done(key)


class ObjectController(Controller):
    """Brings the objects of one resource to their desired state, one at a time."""

    resource: Resource
    also_deleted: bool = False
    """Whether it has work on objects that are being deleted."""

    def setup(self) -> None:
        self.objects = self.enqueue_on(self.resource)

    async def sync(self, key: str) -> None:
        found = self.objects.by_key(key)
        if found is not None and (self.also_deleted or not deleting(found)):
            await self.reconcile(found)

    @abstractmethod
    async def reconcile(self, obj: Obj) -> None:
        """As :meth:`Controller.sync`, with the object as the cache has it."""

    async def write_status(self, obj: Obj, status: Obj) -> Obj:
        """The object with that status; written only when it says something new."""
        if status == status_of(obj):
            return obj
        return await self.write.update_status(self.resource, obj, status)
