# SPDX-License-Identifier: Apache-2.0
"""Goes through all objects of a namespace that are worth keeping, page by page, several kinds at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied, ObjectNotFound, ServerError
from backout.kube.groups import custom
from backout.kube.sanitise import kind_skipped, object_skipped
from backout.model.message import Message, msg
from backout.model.snapshot import Skipped
from backout.model.target import ObjectRef

KINDS_AT_ONCE = 3
PAGE = 200
"""Objects of a page; a ConfigMap may hold a mebibyte."""

Sink = Callable[[Resource, list[Object]], Awaitable[None]]


class Skips:
    """What was left out: objects of one kind for one reason are counted, not listed."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], Skipped] = {}
        self.unread: set[tuple[str, str]] = set()
        """Group and kind of what could not be read; whether such an object exists is not known."""
        self.listed = 0
        """How many kinds could be listed."""

    def add(self, ref: ObjectRef, reason: Message) -> None:
        """One object, or a whole kind when ``ref`` has no name."""
        key = (ref.api_version, ref.kind, reason.text, "" if ref.name else "*")
        known = self._found.get(key)
        if known is None:
            self._found[key] = Skipped(ref, reason)
        else:
            whole = ObjectRef(ref.api_version, ref.kind, "", ref.namespace)
            self._found[key] = Skipped(whole, reason, known.count + 1)

    def sorted(self) -> tuple[Skipped, ...]:
        """In the order of kinds."""
        return tuple(sorted(self._found.values(), key=lambda s: (s.ref.kind, s.ref.api_version, s.reason.text)))


async def walk(
    cluster: ClusterReader, namespace: str, sink: Sink, skips: Skips, kinds: Collection[tuple[str, str]] | None = None
) -> set[tuple[str, str]]:
    """Calls ``sink`` with every page of every kind (or of ``kinds``: group and kind), and says which kinds are served.

    Raises:
        BackoutError: one of Kubernetes' own kinds can't be read for another reason than missing rights.
    """
    catalogue = await cluster.catalogue()
    for version in catalogue.broken:
        skips.add(ObjectRef(version, "*", "", namespace), msg("its API server gave no answer"))
        skips.unread.add((version.partition("/")[0], "*"))
    gate = asyncio.Semaphore(KINDS_AT_ONCE)

    async def one(resource: Resource) -> None:
        whole = ObjectRef(resource.api_version, resource.kind, "", namespace)
        async with gate:
            try:
                async for page in cluster.pages(resource, namespace, limit=PAGE):
                    kept = []
                    for obj in page:
                        reason = object_skipped(obj)
                        if reason is None:
                            kept.append(obj)
                        else:
                            skips.add(
                                ObjectRef(resource.api_version, resource.kind, obj["metadata"]["name"], namespace),
                                reason,
                            )
                    if kept:
                        await sink(resource, kept)
            except AccessDenied:
                skips.add(whole, msg("you may not list them"))
            except (ServerError, ObjectNotFound):
                if not custom(resource.api_version):
                    raise
                skips.add(whole, msg("the API server could not list them"))
            else:
                skips.listed += 1
                return
            skips.unread.add((resource.group, resource.kind))

    wanted, served = [], set()
    for found in catalogue.kinds:
        resource = found.resource
        if not resource.namespaced:
            continue
        served.add((resource.group, resource.kind))
        if kinds is not None and (resource.group, resource.kind) not in kinds:
            continue
        reason = kind_skipped(found)
        if reason is None:
            wanted.append(resource)
        elif "list" in found.verbs:
            skips.add(ObjectRef(resource.api_version, resource.kind, "", namespace), reason)
    tasks = [asyncio.create_task(one(resource)) for resource in wanted]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return served
