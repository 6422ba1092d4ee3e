# SPDX-License-Identifier: Apache-2.0
"""List+watch caches shared by everything that runs against one cluster."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

from kubetwin.client import Api, ApiException, Obj, Resource, retry_delay

log = logging.getLogger(__name__)

Handler = Callable[[Obj | None, Obj | None], None]
"""Called with (old, new): old is None for an added object, new is None for a deleted one."""
Indexer = Callable[[Obj], Iterable[str]]

_REMEMBERED_DELETIONS = 4096


def key_of(obj: Obj) -> str:
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else meta["name"]


def split_key(key: str) -> tuple[str, str]:
    """(namespace, name); the namespace is empty for cluster-scoped objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def version_of(obj: Obj) -> int:
    # Resource versions are comparable as integers by contract since Kubernetes 1.35 (KEP-5504), in etcd always.
    try:
        return int(obj["metadata"].get("resourceVersion") or 0)
    except ValueError:
        return 0


class Informer:
    """A cache of one resource, kept by list+watch, with indexes and synchronous handlers.

    Writers hand in the server's answers with :meth:`observe`, so the cache never lags behind this process's own
    writes; the watch event that follows is recognised by its resourceVersion and changes nothing.
    """

    def __init__(
        self, api: Api, resource: Resource, *, field_selector: str = "", label_selector: str = "", accept: str = ""
    ) -> None:
        self.api = api
        self.resource = resource
        self.field_selector = field_selector
        self.label_selector = label_selector
        self.accept = accept or "application/json"
        self.synced = asyncio.Event()
        self._objects: dict[str, Obj] = {}
        self._indexers: dict[str, Indexer] = {}
        self._indexes: dict[str, dict[str, dict[str, Obj]]] = {}
        self._handlers: list[Handler] = []
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._waiters: list[asyncio.Future[None]] = []

    def add_index(self, name: str, indexer: Indexer) -> None:
        if name in self._indexers:
            return
        self._indexers[name] = indexer
        index: dict[str, dict[str, Obj]] = {}
        for key, obj in self._objects.items():
            for value in indexer(obj):
                index.setdefault(value, {})[key] = obj
        self._indexes[name] = index

    def add_handler(self, handler: Handler) -> None:
        """Existing objects are replayed as added."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    def get(self, name: str, namespace: str | None = None) -> Obj | None:
        return self._objects.get(f"{namespace}/{name}" if namespace else name)

    def by_key(self, key: str) -> Obj | None:
        return self._objects.get(key)

    def by_index(self, index: str, value: str) -> list[Obj]:
        found = self._indexes[index].get(value)
        return list(found.values()) if found else []

    def index_size(self, index: str, value: str) -> int:
        found = self._indexes[index].get(value)
        return len(found) if found else 0

    def all(self) -> list[Obj]:
        return list(self._objects.values())

    def __len__(self) -> int:
        return len(self._objects)

    def observe(self, obj: Obj) -> None:
        """Take over an object answered by the server to a write of this process."""
        if not self.field_selector and not self.label_selector:
            self._put(obj)

    def observe_deleted(self, obj: Obj) -> None:
        self._remove(obj)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until ``condition()`` holds; it is evaluated after each change of this cache."""
        while not condition():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def run(self) -> None:
        """List and watch for ever; after an error or an expired watch, list again."""
        attempt = 0
        while True:
            try:
                version = await self._list()
                attempt = 0
                while True:
                    version = await self._watch(version)
            except ApiException as error:
                if not error.expired:
                    log.debug("watch %s: %s", self.resource.plural, error)
                    await asyncio.sleep(retry_delay(attempt))
                    attempt += 1
            except (OSError, EOFError) as error:
                log.debug("watch %s: %s", self.resource.plural, error)
                await asyncio.sleep(retry_delay(attempt))
                attempt += 1

    async def _list(self) -> str:
        result = await self.api.list(
            self.resource, field_selector=self.field_selector, label_selector=self.label_selector, accept=self.accept
        )
        items = result["items"]
        listed = {key_of(obj) for obj in items}
        for key, obj in list(self._objects.items()):
            if key not in listed:
                self._remove(obj)
        for obj in items:
            self._put(obj)
        self.synced.set()
        self._wake()
        return str(result["metadata"].get("resourceVersion") or "")

    async def _watch(self, version: str) -> str:
        # A random length keeps many watches from ending in the same second.
        timeout = random.randint(1800, 3600)
        async for kind, obj in self._events(version, timeout):
            version = obj["metadata"].get("resourceVersion") or version
            if kind == "DELETED":
                self._remove(obj)
            elif kind != "BOOKMARK":
                self._put(obj)
        return version

    def _events(self, version: str, timeout: int) -> AsyncIterator[tuple[str, Obj]]:
        return self.api.watch(
            self.resource,
            resource_version=version,
            field_selector=self.field_selector,
            label_selector=self.label_selector,
            timeout_seconds=timeout,
            accept=self.accept,
        )

    def _put(self, obj: Obj) -> None:
        meta = obj["metadata"]
        uid = meta.get("uid") or ""
        if uid in self._gone:
            return
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None:
            if old["metadata"].get("uid") == uid:
                if version_of(obj) <= version_of(old):
                    return
            elif version_of(obj) < version_of(old):
                return
            else:
                self._remove(old)
                old = None
        # Nobody here reads managedFields, and they are half of a small object.
        meta.pop("managedFields", None)
        # Items of a list carry no type of their own.
        obj.setdefault("kind", self.resource.kind)
        obj.setdefault("apiVersion", self.resource.api_version)
        self._objects[key] = obj
        self._reindex(key, old, obj)
        self._dispatch(old, obj)

    def _remove(self, obj: Obj) -> None:
        uid = obj["metadata"].get("uid") or ""
        self._gone[uid] = None
        if len(self._gone) > _REMEMBERED_DELETIONS:
            self._gone.popitem(last=False)
        key = key_of(obj)
        old = self._objects.get(key)
        if old is None or old["metadata"].get("uid") != uid:
            return
        del self._objects[key]
        self._reindex(key, old, None)
        self._dispatch(old, None)

    def _reindex(self, key: str, old: Obj | None, new: Obj | None) -> None:
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            before = set(indexer(old)) if old is not None else set()
            after = set(indexer(new)) if new is not None else set()
            for value in before - after:
                bucket = index.get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del index[value]
            if new is not None:
                for value in after:
                    index.setdefault(value, {})[key] = new

    def _dispatch(self, old: Obj | None, new: Obj | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:
                log.exception("handler of %s failed", self.resource.plural)
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class SharedInformers:
    """One informer a resource, started on first use."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._informers: dict[Resource, Informer] = {}
        self._tasks: dict[Resource, asyncio.Task[None]] = {}
        self._started = False

    def of(self, resource: Resource) -> Informer:
        informer = self._informers.get(resource)
        if informer is None:
            informer = self._informers[resource] = Informer(self.api, resource)
            if self._started:
                self._start(resource, informer)
        return informer

    def existing(self, resource: Resource) -> Informer | None:
        return self._informers.get(resource)

    def start(self) -> None:
        self._started = True
        for resource, informer in self._informers.items():
            self._start(resource, informer)

    def _start(self, resource: Resource, informer: Informer) -> None:
        if resource not in self._tasks:
            self._tasks[resource] = asyncio.create_task(informer.run(), name=f"informer {resource.plural}")

    async def wait_synced(self) -> None:
        for informer in list(self._informers.values()):
            await informer.synced.wait()

    async def drop(self, resource: Resource) -> None:
        """Stop watching a resource that no longer exists."""
        informer = self._informers.pop(resource, None)
        task = self._tasks.pop(resource, None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if informer is not None:
            for obj in informer.all():
                informer.observe_deleted(obj)

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
