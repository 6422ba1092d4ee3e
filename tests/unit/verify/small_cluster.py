# SPDX-License-Identifier: Apache-2.0
"""A cluster of a few objects in memory, for tests of what reads one. Failures are arguments."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from backout.cluster.port import AccessAnswer, Catalogue, Object, ProxyAnswer, Resource, Served, WatchEvent
from backout.errors import BackoutError, LeaseLost, LockedError, ObjectNotFound
from backout.model.scope import ClusterIdentity


class SmallCluster:
    """Speaks the part of the cluster port that reading takes."""

    name = context = "small"
    kubeconfig = ""

    def __init__(
        self,
        *objects: tuple[Resource, Object],
        denied: dict[str, BackoutError] | None = None,
        silent: tuple[str, ...] = (),
        answers: dict[str, Any] | None = None,
        faults: dict[str, list[Exception]] | None = None,
    ) -> None:
        """``faults``: what the named call (``identity``, ``may``, ``lease``, ``get``) raises, each once.

        ``answers``: ``KIND/NAMESPACE/NAME:PORT/PATH`` → a ProxyAnswer, an error, or what gives one when called.

        The last of a list stays; whatever is not in it refuses the connection.
        """
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._kinds: dict[str, Resource] = {}
        self._denied = denied or {}
        self._silent = silent
        self.faults = faults or {}
        self._answers = {
            key: list(found) if isinstance(found, list) else [found] for key, found in (answers or {}).items()
        }
        self.logged: dict[tuple[str, str], str] = {}
        self.asked: list[str] = []
        self._watchers: list[tuple[Resource, str, asyncio.Queue[WatchEvent]]] = []
        self.who = ClusterIdentity("uid-1", "ca-1")
        self.leases: dict[str, str] = {}
        self.tokens = 0
        self.lost = False
        self.left: BackoutError | None = None
        self.may_not: set[str] = set()
        for resource, obj in objects:
            self.put(resource, obj)

    def put(self, resource: Resource, obj: Object) -> None:
        self._kinds.setdefault(resource.kind, resource)
        meta = obj["metadata"]
        key = (resource.kind, meta.get("namespace", ""), meta["name"])
        type_ = "MODIFIED" if key in self._objects else "ADDED"
        self._objects[key] = copy.deepcopy(obj)
        self._tell(resource, WatchEvent(type_, copy.deepcopy(obj)))  # type: ignore[arg-type]

    def drop(self, resource: Resource, name: str, namespace: str = "") -> None:
        obj = self._objects.pop((resource.kind, namespace, name))
        self._tell(resource, WatchEvent("DELETED", obj))

    def _tell(self, resource: Resource, event: WatchEvent) -> None:
        for watched, namespace, queue in self._watchers:
            if watched.kind == resource.kind and namespace in ("", event.object["metadata"].get("namespace", "")):
                queue.put_nowait(event)

    def _check(self, resource: Resource) -> None:
        if resource.kind in self._denied:
            raise self._denied[resource.kind]

    def _of(self, resource: Resource, namespace: str) -> list[Object]:
        self._check(resource)
        return [
            copy.deepcopy(obj)
            for (kind, where, _), obj in sorted(self._objects.items())
            if kind == resource.kind and namespace in ("", where)
        ]

    def _fault(self, call: str) -> None:
        if left := self.faults.get(call):
            raise left.pop(0)

    async def identity(self) -> ClusterIdentity:
        self._fault("identity")
        return self.who

    async def server_time(self) -> Any:
        from datetime import UTC, datetime

        return datetime.now(UTC)

    async def catalogue(self) -> Catalogue:
        verbs = frozenset({"list", "create", "update"})
        return Catalogue(tuple(Served(kind, verbs, status=True) for kind in self._kinds.values()))

    async def get_as(self, type: Any, resource: Resource, name: str, namespace: str = "") -> Any:
        return msgspec.convert(await self.get(resource, name, namespace), type, strict=False)

    async def resource(self, api_version: str, kind: str) -> Resource:
        return Resource(api_version, kind, kind.lower() + "s")

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        self._check(resource)
        self._fault("get")
        try:
            return copy.deepcopy(self._objects[(resource.kind, namespace, name)])
        except KeyError:
            raise ObjectNotFound("{kind} {name} does not exist.", kind=resource.kind, name=name) from None

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        wanted = dict(part.split("=") for part in labels.split(",") if part)
        return [
            obj
            for obj in self._of(resource, namespace)
            if all((obj["metadata"].get("labels") or {}).get(k) == v for k, v in wanted.items())
        ]

    async def list_as(
        self,
        type: Any,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[Any]:
        return [msgspec.convert(obj, type, strict=False) for obj in self._of(resource, namespace)]

    async def fold(
        self,
        type: Any,
        resource: Resource,
        fold: Any,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
    ) -> list[Any]:
        return [fold(await self.list_as(type, resource, namespace, labels=labels, fields=fields))]

    async def watch(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        self._check(resource)
        if resource.kind in self._silent:
            await asyncio.Event().wait()
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watchers.append((resource, namespace, queue))
        for obj in self._of(resource, namespace):
            yield WatchEvent("ADDED", obj)
        yield WatchEvent("SYNCED", {})
        while True:
            yield await queue.get()

    async def proxied(
        self, kind: str, name: str, namespace: str, port: int | str, path: str = "/", **_: Any
    ) -> ProxyAnswer:
        key = f"{kind}/{namespace}/{name}:{port}{path}"
        self.asked.append(key)
        found = self._answers.get(key)
        if not found:
            return ProxyAnswer(503, refusal="error trying to reach service: dial tcp: connect: connection refused")
        answer = found.pop(0) if len(found) > 1 else found[0]
        answer = answer() if callable(answer) else answer
        if isinstance(answer, BackoutError):
            raise answer
        return answer

    async def logs(
        self, pod: str, namespace: str, container: str = "", *, previous: bool = False, tail: int = 20
    ) -> str:
        """What ``logged`` holds for (pod, container)."""
        if "logs" in self._denied:
            raise self._denied["logs"]
        return "\n".join(self.logged.get((pod, container), "").splitlines()[-tail:])

    async def may(self, accesses: Any) -> list[AccessAnswer]:
        self._fault("may")
        return [AccessAnswer(access, access.resource not in self.may_not) for access in accesses]

    @asynccontextmanager
    async def lease(self, target: str, namespace: str, *, holder: str, about: Any) -> AsyncIterator[Any]:
        self._fault("lease")
        held = self.leases.get(target)
        if held and held != holder:
            raise LockedError("{target} is held by {who}.", target=target, who=held)
        self.leases[target] = holder
        self.tokens += 1
        cluster, token_now = self, self.tokens

        class Held:
            token = token_now
            left = cluster.left

            async def confirm(self) -> None:
                if cluster.lost or cluster.leases.get(target) != holder:
                    raise LeaseLost("The lock on {target} is lost.", target=target)

        try:
            yield Held()
        finally:
            if self.left is None and self.leases.get(target) == holder:
                del self.leases[target]

    async def give_back(self, target: str, namespace: str, *, holder: str) -> BackoutError | None:
        if self.left is None and self.leases.get(target) == holder:
            del self.leases[target]
        return self.left

    async def close(self) -> None:
        return None
