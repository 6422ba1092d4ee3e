# SPDX-License-Identifier: Apache-2.0
"""The garbage collector: dependents follow their owners, by uid (facts: pkg/controller/garbagecollector).

A graph of all objects with owners is kept by the shared informers and, for kinds that nobody else watches, by informers
of metadata. Custom resources join when their definition is established.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from kubetwin.client import MERGE_PATCH, ApiException, Obj, Resource, retry_delay
from kubetwin.controllers.base import Context, Controller
from kubetwin.controllers.discovery import discover, of_crd
from kubetwin.informer import Informer, version_of
from kubetwin.kinds import CRDS, EVENTS
from kubetwin.meta import deleting, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_FOREGROUND = "foregroundDeletion"
_ORPHAN = "orphan"


@dataclass(slots=True)
class _Item:
    """One object with its place in the graph."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    owners: list[Obj]
    finalizers: tuple[str, ...]
    deleting: bool
    dependents: set[str] = field(default_factory=set)


class GarbageCollector(Controller):
    name = "garbagecollector"
    component = "garbage-collector-controller"

    def __init__(self, ctx: Context) -> None:
        self._items: dict[str, _Item] = {}
        self._waiting: dict[str, set[str]] = {}
        self._absent: dict[str, None] = {}
        self._kinds: dict[tuple[str, str], Resource] = {}
        self._own: dict[Resource, tuple[Informer, asyncio.Task[None]]] = {}
        super().__init__(ctx)

    def setup(self) -> None:
        self.definitions = self.inform(CRDS)
        self.definitions.add_handler(self._definition_changed)

    # -- the graph -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        await self.ctx.informers.wait_synced()
        attempt = 0
        while True:
            try:
                found = await discover(self.write.api)
                break
            except (ApiException, OSError):
                await asyncio.sleep(retry_delay(attempt))
                attempt += 1
        for item in found:
            if item.collectable and item.resource.plural != EVENTS.plural:
                self._watch(item.resource)
        try:
            await asyncio.gather(*(informer.synced.wait() for informer, _ in self._own.values()))
            await super().run()
        finally:
            for _, task in self._own.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._own.values()), return_exceptions=True)

    def _watch(self, resource: Resource) -> None:
        key = (resource.api_version, resource.kind)
        if key in self._kinds:
            return
        self._kinds[key] = resource
        handler = self._handler(resource)
        shared = self.ctx.informers.existing(resource)
        if shared is not None:
            shared.add_handler(handler)
            return
        informer = Informer(self.write.api, resource, accept=_METADATA)
        informer.add_handler(handler)
        self._own[resource] = (informer, asyncio.create_task(informer.run(), name=f"gc {resource.plural}"))

    def _definition_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            if old is not None:
                self._forget(old["spec"]["group"], old["spec"]["names"]["plural"])
            return
        resource = of_crd(new)
        if resource is not None:
            self._watch(resource)

    def _forget(self, group: str, plural: str) -> None:
        for key, resource in list(self._kinds.items()):
            if (resource.group, resource.plural) == (group, plural):
                del self._kinds[key]
                owned = self._own.pop(resource, None)
                if owned is not None:
                    owned[1].cancel()
                    for obj in owned[0].all():
                        owned[0].observe_deleted(obj)

    def _handler(self, resource: Resource) -> Callable[[Obj | None, Obj | None], None]:
        def handle(old: Obj | None, new: Obj | None) -> None:
            if new is None:
                if old is not None:
                    self._removed(uid_of(old))
                return
            self._put(resource, new, old)

        return handle

    def _put(self, resource: Resource, obj: Obj, old: Obj | None) -> None:
        meta = obj["metadata"]
        uid = uid_of(obj)
        owners = list(meta.get("ownerReferences") or ())
        item = self._items.get(uid)
        if item is None:
            item = _Item(resource, namespace_of(obj), name_of(obj), uid, owners, (), False)
            item.dependents = self._waiting.pop(uid, set())
            self._items[uid] = item
            self._absent.pop(uid, None)
            before: set[str] = set()
        else:
            before = {r["uid"] for r in item.owners}
        after = {r["uid"] for r in owners}
        item.owners = owners
        finalizers = tuple(meta.get("finalizers") or ())
        ending = deleting(obj) and (not item.deleting or finalizers != item.finalizers)
        item.finalizers = finalizers
        item.deleting = deleting(obj)
        for owner in before - after:
            self._dependents(owner).discard(uid)
            self._unblock(owner)
        for owner in after - before:
            self._dependents(owner).add(uid)
        if before != after and after:
            self.queue.add(uid)
        if ending:
            for owner in after:
                self._unblock(owner)
            if _FOREGROUND in finalizers or _ORPHAN in finalizers:
                self.queue.add(uid)

    def _removed(self, uid: str) -> None:
        item = self._items.pop(uid, None)
        if item is None:
            return
        self._absent[uid] = None
        if len(self._absent) > 10_000:
            del self._absent[next(iter(self._absent))]
        for ref in item.owners:
            self._dependents(ref["uid"]).discard(uid)
            self._unblock(ref["uid"])
        if item.dependents:
            self._waiting[uid] = item.dependents
            for dependent in item.dependents:
                self.queue.add(dependent)

    def _dependents(self, uid: str) -> set[str]:
        item = self._items.get(uid)
        if item is not None:
            return item.dependents
        return self._waiting.setdefault(uid, set())

    def _unblock(self, owner: str) -> None:
        """A dependent left: an owner that waits for its dependents may go on."""
        item = self._items.get(owner)
        if item is None:
            if not self._waiting.get(owner):
                self._waiting.pop(owner, None)
        elif item.deleting and _FOREGROUND in item.finalizers:
            self.queue.add(owner)

    # -- one object ------------------------------------------------------------------------------------------------

    async def sync(self, key: str) -> None:
        item = self._items.get(key)
        if item is None:
            return
        if item.deleting and _ORPHAN in item.finalizers:
            await self._orphan(item)
            return
        if item.deleting and _FOREGROUND in item.finalizers:
            await self._foreground(item)
        if not item.deleting or _FOREGROUND in item.finalizers:
            await self._attempt_delete(item)

    async def _attempt_delete(self, item: _Item) -> None:
        if not item.owners or (item.deleting and _FOREGROUND not in item.finalizers):
            return
        solid: list[Obj] = []
        dangling: list[Obj] = []
        waiting: list[Obj] = []
        for ref in item.owners:
            state = await self._owner_state(item, ref)
            {"solid": solid, "absent": dangling, "waiting": waiting}[state].append(ref)
        if item.deleting:
            return
        if solid:
            if dangling or waiting:
                gone = {r["uid"] for r in (*dangling, *waiting)}
                await self._set_owners(item, [r for r in item.owners if r["uid"] not in gone])
            return
        if waiting and item.dependents:
            # A dependent that itself waits would make a circle: nobody must block then.
            if any(self._waits(d) for d in item.dependents):
                await self._unblock_owners(item)
            await self._delete(item, "Foreground")
            return
        if _ORPHAN in item.finalizers:
            policy = "Orphan"
        elif _FOREGROUND in item.finalizers:
            policy = "Foreground"
        else:
            policy = "Background"
        await self._delete(item, policy)

    async def _owner_state(self, item: _Item, ref: Obj) -> str:
        uid = ref["uid"]
        if uid in self._absent:
            return "absent"
        owner = self._items.get(uid)
        if owner is not None:
            if owner.namespace and owner.namespace != item.namespace:
                return "absent"
            return "waiting" if owner.deleting and _FOREGROUND in owner.finalizers else "solid"
        # Not seen by any watch: only the server can say that it is absent.
        resource = self._kinds.get((ref["apiVersion"], ref["kind"]))
        if resource is None:
            resource = await self._resource_of(ref)
            if resource is None:
                return "solid"
        namespace = item.namespace if resource.namespaced else None
        if resource.namespaced and not namespace:
            return "solid"
        try:
            live = await self.write.api.get(resource, ref["name"], namespace)
        except ApiException as error:
            if not error.not_found:
                raise
            self._absent[uid] = None
            return "absent"
        if uid_of(live) != uid:
            self._absent[uid] = None
            return "absent"
        terminating = deleting(live) and _FOREGROUND in (live["metadata"].get("finalizers") or ())
        return "waiting" if terminating else "solid"

    async def _resource_of(self, ref: Obj) -> Resource | None:
        """An owner named by a version that is not the preferred one; None when no such kind exists."""
        group, _, _ = str(ref["apiVersion"]).rpartition("/")
        for (api_version, kind), resource in self._kinds.items():
            if kind == ref["kind"] and api_version.rpartition("/")[0] == group:
                return resource
        return None

    def _blocks(self, dependent: str, owner: str) -> bool:
        item = self._items.get(dependent)
        return item is not None and any(r["uid"] == owner and r.get("blockOwnerDeletion") for r in item.owners)

    def _waits(self, uid: str) -> bool:
        item = self._items.get(uid)
        return item is not None and item.deleting and _FOREGROUND in item.finalizers

    async def _foreground(self, item: _Item) -> None:
        """Delete what depends on it, and let it go when nothing that blocks is left."""
        blocking = [d for d in item.dependents if self._blocks(d, item.uid)]
        if not blocking:
            await self._remove_finalizer(item, _FOREGROUND)
            return
        for dependent in blocking:
            found = self._items.get(dependent)
            if found is not None and not found.deleting:
                self.queue.add(dependent)

    async def _orphan(self, item: _Item) -> None:
        for dependent in list(item.dependents):
            found = self._items.get(dependent)
            if found is not None:
                await self._set_owners(found, [r for r in found.owners if r["uid"] != item.uid])
        await self._remove_finalizer(item, _ORPHAN)

    # -- writes ----------------------------------------------------------------------------------------------------

    async def _delete(self, item: _Item, policy: str) -> None:
        try:
            await self.write.api.delete(
                item.resource, item.name, item.namespace or None, uid=item.uid, propagation=policy
            )
        except ApiException as error:
            if not error.not_found and not error.conflict:
                raise

    async def _set_owners(self, item: _Item, owners: list[Obj]) -> None:
        await self._patch(item, {"ownerReferences": owners or None})

    async def _unblock_owners(self, item: _Item) -> None:
        await self._patch(item, {"ownerReferences": [{**r, "blockOwnerDeletion": False} for r in item.owners]})

    async def _remove_finalizer(self, item: _Item, finalizer: str) -> None:
        namespace = item.namespace or None
        try:
            live = await self.write.api.get(item.resource, item.name, namespace)
        except ApiException as error:
            if error.not_found:
                return
            raise
        finalizers = live["metadata"].get("finalizers") or []
        if uid_of(live) != item.uid or finalizer not in finalizers:
            return
        rest = [f for f in finalizers if f != finalizer]
        patch = {"metadata": {"uid": item.uid, "resourceVersion": str(version_of(live)), "finalizers": rest or None}}
        await self._send(item, patch)

    async def _patch(self, item: _Item, metadata: Obj) -> None:
        await self._send(item, {"metadata": {"uid": item.uid, **metadata}})

    async def _send(self, item: _Item, patch: Obj) -> None:
        try:
            await self.write.api.patch(
                item.resource, item.name, patch, item.namespace or None, content_type=MERGE_PATCH
            )
        except ApiException as error:
            if not error.not_found:
                raise
