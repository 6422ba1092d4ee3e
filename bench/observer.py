# SPDX-License-Identifier: Apache-2.0
"""An independent look at a namespace: raw watches that note when each change arrived, judged afterwards.

What arrives here was committed a moment before, on the same machine; nothing nearer to the commit can be had from
outside, since timestamps in objects have whole seconds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kubetwin.client import Api, ApiException, Resource
from kubetwin.kinds import DAEMONSETS, DEPLOYMENTS, PODS, STATEFULSETS
from kubetwin.transport import HttpTransport

WATCHED = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS, PODS)
Obj = dict[str, Any]


class Change(NamedTuple):
    """One event of a watch; ``at`` in seconds since 1970; ``obj`` is None when it was deleted."""

    at: float
    kind: str
    name: str
    obj: Obj | None


class Observer:
    """Watches one namespace in a thread of its own, from entry to exit."""

    def __init__(self, kubeconfig: Path, context: str, namespace: str) -> None:
        self.namespace = namespace
        self.initial: list[Change] = []
        self.changes: list[Change] = []
        self._kubeconfig, self._context = kubeconfig, context
        self._synced = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Observer:
        self._thread.start()
        if not self._synced.wait(30):
            raise TimeoutError(f"namespace {self.namespace} can't be watched")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None and self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        api = Api(HttpTransport.from_kubeconfig(self._kubeconfig, self._context), user_agent="bench-observer")
        tasks = []
        for resource in WATCHED:
            listed = await api.list(resource, self.namespace)
            now = time.time()
            self.initial += [Change(now, resource.kind, item["metadata"]["name"], item) for item in listed["items"]]
            version = listed["metadata"]["resourceVersion"]
            tasks.append(asyncio.create_task(self._follow(api, resource, version)))
        self._synced.set()
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await api.close()

    async def _follow(self, api: Api, resource: Resource, version: str) -> None:
        with suppress(ApiException, OSError):
            async for type, obj in api.watch(resource, self.namespace, resource_version=version):
                at = time.time()
                if type != "BOOKMARK":
                    name = obj["metadata"]["name"]
                    self.changes.append(Change(at, resource.kind, name, None if type == "DELETED" else obj))

    def turned(self, holds: Callable[[dict[tuple[str, str], Obj]], bool], since: float = 0.0) -> float | None:
        """When the condition became true for the last time; None while it is not true, or never was false."""
        return turned(self.initial, self.changes, holds, since)

    def first_write(self, since: float) -> float | None:
        """When the first workload showed a new spec."""
        return first_write(self.initial, self.changes, since)


def turned(
    initial: list[Change],
    changes: list[Change],
    holds: Callable[[dict[tuple[str, str], Obj]], bool],
    since: float = 0.0,
) -> float | None:
    """When, after ``since``, a condition on all objects came true for the last time; None if it is not true at last."""
    state = {(change.kind, change.name): change.obj for change in initial if change.obj is not None}
    before = holds(state)
    at: float | None = None
    for change in sorted(changes, key=lambda entry: entry.at):
        if change.obj is None:
            state.pop((change.kind, change.name), None)
        else:
            state[change.kind, change.name] = change.obj
        now = holds(state)
        if now and not before and change.at >= since:
            at = change.at
        if not now:
            at = None
        before = now
    return at


def first_write(initial: list[Change], changes: list[Change], since: float) -> float | None:
    """When, after ``since``, a workload first had a higher generation than at the start, or came or went."""
    known = {
        (change.kind, change.name): change.obj["metadata"].get("generation", 0)
        for change in initial
        if change.obj is not None and change.kind != "Pod"
    }
    for change in sorted(changes, key=lambda entry: entry.at):
        if change.at < since or change.kind == "Pod":
            continue
        generation = change.obj["metadata"].get("generation", 0) if change.obj else -1
        if generation != known.get((change.kind, change.name)):
            return change.at
    return None


def complete(obj: Obj) -> bool:
    """What `kubectl rollout status` waits for (kubectl pkg/polymorphichelpers/rollout_status.go)."""
    spec, status = obj["spec"], obj.get("status") or {}
    if (status.get("observedGeneration") or 0) < obj["metadata"].get("generation", 0):
        return False
    if obj.get("kind") == "DaemonSet" or "desiredNumberScheduled" in status:
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) == wanted == status.get("numberAvailable", 0))
    wanted = spec.get("replicas", 1)
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return all(status.get(name, 0) == wanted for name in names)


def settled(state: dict[tuple[str, str], Obj]) -> bool:
    """Every workload is complete, every pod ready, none on its way out: what Backout's checks ask for."""
    return bool(state) and all(_steady(obj) if kind == "Pod" else complete(obj) for (kind, _), obj in state.items())


def _steady(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
