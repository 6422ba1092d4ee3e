# SPDX-License-Identifier: Apache-2.0
"""A cluster that objects are applied to: which kinds it has, what lives there, and writing as an applier does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from kubetwin.client import APPLY_PATCH, MERGE_PATCH, Api, ApiException, Obj, Resource
from kubetwin.gitops.documents import Key
from kubetwin.gitops.merging import compared, last_applied, merge_patch, merged, with_last_applied
from kubetwin.informer import Informer, SharedInformers
from kubetwin.kinds import CRDS

SYNC_TIMEOUT = 60.0
Changed = Callable[[Resource, Obj | None, Obj | None], None]
"""Called with the resource of an object that changed, the object before and after."""


@dataclass(frozen=True, slots=True)
class Applier:
    """How objects are applied. ``server_side``: by server-side apply, with conflicts forced."""

    manager: str
    server_side: bool = False
    replace: bool = False
    force: bool = False
    """Delete and create where an update is refused for an immutable field."""


class Cluster:
    """One destination. Kinds are watched from the moment that somebody asks for them."""

    def __init__(self, api: Api, informers: SharedInformers) -> None:
        self.api = api
        self._informers = informers
        self._kinds: dict[str, dict[str, Resource]] = {}
        self._watched: dict[Resource, Informer] = {}
        self._changed: list[Changed] = []
        self._resolving = asyncio.Lock()
        self._dropping: set[asyncio.Task[None]] = set()
        informers.of(CRDS).add_handler(self._definition)

    def on_change(self, changed: Changed) -> None:
        """Call ``changed`` for every change of a watched object."""
        self._changed.append(changed)

    def _definition(self, old: Obj | None, new: Obj | None) -> None:
        about = (new or old or {})["spec"]
        for version in about.get("versions") or ():
            self._kinds.pop(f"{about['group']}/{version['name']}", None)
        if new is None:
            for resource in [
                r for r in self._watched if (r.group, r.plural) == (about["group"], about["names"]["plural"])
            ]:
                del self._watched[resource]
                task = asyncio.get_running_loop().create_task(self._informers.drop(resource))
                self._dropping.add(task)
                task.add_done_callback(self._dropping.discard)

    async def resource(self, api_version: str, kind: str) -> Resource | None:
        """The resource of a kind; None when this cluster has none."""
        known = self._kinds.get(api_version)
        if known is None or kind not in known:
            async with self._resolving:
                known = self._kinds.get(api_version)
                if known is None or kind not in known:
                    known = await self._discover(api_version)
        return known.get(kind)

    async def _discover(self, api_version: str) -> dict[str, Resource]:
        group, _, version = api_version.rpartition("/")
        try:
            listing = await self.api.request("GET", f"/apis/{api_version}" if group else f"/api/{api_version}")
        except ApiException as error:
            if error.not_found:
                return {}
            raise
        found = {
            each["kind"]: Resource(group, version, each["name"], each["kind"], bool(each.get("namespaced")))
            for each in listing.get("resources") or ()
            if "/" not in each["name"]
        }
        self._kinds[api_version] = found
        return found

    async def watch(self, resources: Iterable[Resource]) -> None:
        """Watches these kinds from now on, and waits until what is there is known.

        Raises:
            TimeoutError: a kind that was there a moment ago is not answered for (its definition went).
        """
        for resource in resources:
            informer = self._watched.get(resource)
            if informer is None:
                informer = self._watched[resource] = self._informers.of(resource)
                informer.add_handler(partial(self._dispatch, resource))
            async with asyncio.timeout(SYNC_TIMEOUT):
                await informer.synced.wait()

    def _dispatch(self, resource: Resource, old: Obj | None, new: Obj | None) -> None:
        for changed in self._changed:
            changed(resource, old, new)

    @property
    def watched(self) -> tuple[Resource, ...]:
        """The kinds that are watched."""
        return tuple(self._watched)

    def get(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        """An object of a watched kind."""
        return self._watched[resource].get(name, namespace if resource.namespaced else None)

    def all(self, resource: Resource) -> list[Obj]:
        """Every object of a watched kind."""
        return self._watched[resource].all()

    def watched_as(self, key: Key) -> Resource | None:
        """The watched resource of a kind in whatever version."""
        return next((r for r in self._watched if (r.group, r.kind) == (key.group, key.kind)), None)

    # writing

    async def apply(
        self, resource: Resource, target: Obj, live: Obj | None, how: Applier, *, dry_run: bool = False
    ) -> Obj:
        """The object after the target was applied; ``live`` is what is there now.

        Raises:
            ApiException: the server refused it.
        """
        if how.server_side:
            return await self._send("PATCH", resource, target, target, how, dry_run, content_type=APPLY_PATCH)
        try:
            if live is None:
                return await self._send("POST", resource, target, with_last_applied(target), how, dry_run)
            if how.replace:
                version = {"resourceVersion": live["metadata"]["resourceVersion"]}
                body = {**target, "metadata": {**target["metadata"], **version}}
                return await self._send("PUT", resource, target, body, how, dry_run)
            patch = merge_patch(live, merged(with_last_applied(target), live, last=last_applied(live)))
            if not patch:
                return live
            return await self._send("PATCH", resource, target, patch, how, dry_run, content_type=MERGE_PATCH)
        except ApiException as error:
            if live is None or not how.force or error.code != 422 or dry_run:
                raise
        await self.delete(resource, live, propagation="Background", wait=True)
        return await self._send("POST", resource, target, with_last_applied(target), how, dry_run)

    async def drifted(self, resource: Resource, target: Obj, live: Obj, how: Applier) -> bool:
        """Whether applying the target would change the object.

        The server is asked only where the merge alone says so: it may be a difference of defaults and of spelling.
        """
        if not how.server_side:
            plain = compared(live)
            if not merge_patch(plain, merged(compared(target), plain, last=compared(last_applied(live)))):
                return False
        try:
            predicted = await self.apply(resource, target, live, _patching(how), dry_run=True)
        except ApiException as error:
            if error.code in (409, 422):
                return True
            raise
        return compared(predicted) != compared(live)

    async def delete(
        self, resource: Resource, live: Obj, *, propagation: str = "Foreground", wait: bool = False
    ) -> None:
        """Deletes this very object; one that is gone already is no error. ``wait``: until it is gone."""
        meta = live["metadata"]
        try:
            await self.api.delete(
                resource, meta["name"], meta.get("namespace"), uid=meta.get("uid"), propagation=propagation
            )
        except ApiException as error:
            if not error.not_found and not error.conflict:
                raise
        if wait and resource in self._watched:
            informer = self._watched[resource]
            await informer.wait_for(
                lambda: (
                    (informer.get(meta["name"], meta.get("namespace")) or {}).get("metadata", {}).get("uid")
                    != meta["uid"]
                )
            )

    async def _send(
        self,
        method: str,
        resource: Resource,
        target: Obj,
        body: Obj,
        how: Applier,
        dry_run: bool,
        *,
        content_type: str = "application/json",
    ) -> Obj:
        meta = target["metadata"]
        query = [("fieldManager", how.manager)]
        if dry_run:
            query.append(("dryRun", "All"))
        if content_type == APPLY_PATCH:
            query.append(("force", "true"))
        path = resource.path(meta.get("namespace"), None if method == "POST" else meta["name"])
        answer = await self.api.request(method, path, query=query, body=body, content_type=content_type)
        informer = self._watched.get(resource)
        if informer is not None and not dry_run:
            informer.observe(dict(answer, metadata=dict(answer["metadata"])))
        return answer


def _patching(how: Applier) -> Applier:
    return Applier(how.manager, how.server_side)
