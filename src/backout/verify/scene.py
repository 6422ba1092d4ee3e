# SPDX-License-Identifier: Apache-2.0
"""What the checks look at, kept up to date by watches: measuring again costs no request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import BackoutError, TimedOut

View = tuple[Resource, str]
SYNC_TIMEOUT = 30.0
SETTLE_PAUSE = 0.02
"""Seconds in which further changes are gathered before measuring again."""


class Scene:
    """Objects by kind and namespace. ``changed`` is set at every change."""

    def __init__(self, cluster: ClusterReader) -> None:
        self.cluster = cluster
        self.changed = asyncio.Event()
        self._objects: dict[View, dict[tuple[str, str], Object]] = {}
        self._synced: dict[View, asyncio.Event] = {}
        self._errors: dict[View, BackoutError] = {}
        self.restarts: dict[tuple[str, str], int] | None = None
        """Restart counts when the soak began, by pod uid and container; None before."""
        self.restarted: dict[tuple[str, str], str] = {}
        """Containers of pods that are gone which restarted during the soak → the pod's name."""

    def objects(self, resource: Resource, namespace: str) -> list[Object]:
        """All of a kind.

        Raises:
            BackoutError: they could not be read.
        """
        view = (resource, namespace)
        if view in self._errors:
            raise self._errors[view]
        if not self._synced[view].is_set():
            raise TimedOut("The cluster did not answer in {seconds} s.", seconds=SYNC_TIMEOUT)
        return list(self._objects[view].values())

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object, None when there is none."""
        self.objects(resource, namespace)
        return self._objects[(resource, namespace)].get((namespace, name))

    async def follow(self, resource: Resource, namespace: str) -> None:
        """Watches until it is cancelled."""
        view = (resource, namespace)
        known = self._objects[view]
        try:
            async for event in self.cluster.watch(resource, namespace):
                if event.type == "SYNCED":
                    self._synced[view].set()
                else:
                    meta = event.object["metadata"]
                    key = (meta.get("namespace", ""), meta["name"])
                    if event.type == "DELETED":
                        known.pop(key, None)
                    else:
                        known[key] = event.object
                    if self.restarts is not None and resource.kind == "Pod":
                        self._note(event.object)
                self.changed.set()
        except BackoutError as error:
            self._errors[view] = error
            self._synced[view].set()
            self.changed.set()

    async def refresh(self) -> None:
        """Reads everything once more: a watch that brings nothing must not look like a cluster in which nothing happens."""

        async def one(view: View) -> None:
            resource, namespace = view
            try:
                found = await self.cluster.list_all(resource, namespace)
            except BackoutError as error:
                self._errors[view] = error
                return
            known = self._objects[view]
            known.clear()
            known.update({(obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in found})
            self._synced[view].set()
            if self.restarts is not None and resource.kind == "Pod":
                for pod in found:
                    self._note(pod)

        await asyncio.gather(*(one(view) for view in self._objects))

    def begin_soak(self) -> None:
        """From now on a restart is a new one."""
        self.restarts = {}
        for (resource, _), objects in self._objects.items():
            if resource.kind == "Pod":
                for pod in objects.values():
                    for name, count in restart_counts(pod):
                        self.restarts[(pod["metadata"].get("uid", ""), name)] = count

    def _note(self, pod: Object) -> None:
        """Keeps restarts of a pod that may be gone when the soak ends."""
        assert self.restarts is not None
        meta = pod["metadata"]
        for container, count in restart_counts(pod):
            if count > self.restarts.get((meta.get("uid", ""), container), 0):
                self.restarted[(meta.get("uid", ""), container)] = meta["name"]

    async def next_change(self, until: float) -> bool:
        """Waits for a change; False when the loop's time ``until`` came first."""
        loop = asyncio.get_running_loop()
        if loop.time() >= until:
            return False
        try:
            async with asyncio.timeout_at(until):
                await self.changed.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(min(SETTLE_PAUSE, max(0.0, until - loop.time())))
        self.changed.clear()
        return True

    def _prepare(self, view: View) -> None:
        self._objects[view] = {}
        self._synced[view] = asyncio.Event()

    async def _sync(self) -> None:
        try:
            async with asyncio.timeout(SYNC_TIMEOUT):
                for event in self._synced.values():
                    await event.wait()
        except TimeoutError:
            pass  # `objects` says it for each view that is missing


def restart_counts(pod: dict[str, Any]) -> list[tuple[str, int]]:
    """Container → restarts so far. Init containers count too: a sidecar is one."""
    status = pod.get("status") or {}
    return [
        (entry["name"], int(entry.get("restartCount") or 0))
        for field in ("initContainerStatuses", "containerStatuses")
        for entry in status.get(field) or ()
    ]


@asynccontextmanager
async def watching(cluster: ClusterReader, views: Iterable[View]) -> AsyncIterator[Scene]:
    """A scene that is complete (or says why not) and stays up to date."""
    scene = Scene(cluster)
    wanted = list(dict.fromkeys(views))
    for view in wanted:
        scene._prepare(view)
    tasks = [asyncio.create_task(scene.follow(*view)) for view in wanted]
    try:
        await scene._sync()
        yield scene
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
