# SPDX-License-Identifier: Apache-2.0
"""What a namespace's events tell, read once: warnings, and the starts and changes that give them their meaning."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from backout.cluster.port import EVENTS, ClusterReader
from backout.errors import AccessDenied
from backout.kube.projections import Event

PAGE = 2000
"""Events are small and many, and their pages come one after the other."""
TELLING = frozenset({"Started", "Killing", "ScalingReplicaSet", "FailedBinding", "WaitForFirstConsumer"})
"""Ordinary events that are kept beside the warnings."""


class Events:
    """Events by the object that they are about, oldest first."""

    def __init__(self, found: Iterable[Event] = (), *, readable: bool = True) -> None:
        self.readable = readable
        self._about: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
        for event in sorted(found, key=lambda one: one.last.timestamp() if one.last else 0.0):
            involved = event.involved_object
            self._about[involved.namespace, involved.kind, involved.name].append(event)

    def about(self, namespace: str, kind: str, name: str) -> list[Event]:
        """Everything kept about one object."""
        return self._about.get((namespace, kind, name), [])

    def warnings(self, namespace: str, kind: str, name: str) -> list[Event]:
        """The warnings about one object."""
        return [event for event in self.about(namespace, kind, name) if event.type == "Warning"]

    def all(self, kind: str = "") -> Iterable[Event]:
        """All of them, or those about objects of one kind."""
        for (_, about, _), found in self._about.items():
            if not kind or about == kind:
                yield from found

    def first(
        self, namespace: str, kind: str, name: str, reasons: Iterable[str], container: str = "", uid: str = ""
    ) -> datetime | None:
        """When one of ``reasons`` was seen first of an object, of one of its containers where that is told.

        ``uid`` keeps a pod apart from one of the same name before it, as StatefulSets make them.
        """
        wanted = set(reasons)
        times = [
            event.first
            for event in self.about(namespace, kind, name)
            if event.reason in wanted
            and event.first is not None
            and _of(event, container)
            and (not uid or event.involved_object.uid in ("", uid))
        ]
        return min(times, default=None)


def _of(event: Event, container: str) -> bool:
    field = event.involved_object.field_path
    return not container or not field or f"{{{container}}}" in field


class EventIndex:
    """The events of each namespace that somebody asks for, read once."""

    def __init__(self, cluster: ClusterReader) -> None:
        self._cluster = cluster
        self._known: dict[str, asyncio.Task[Events]] = {}

    def begin(self, namespace: str) -> asyncio.Task[Events]:
        """Begins to read those of one namespace, beside whatever is done next."""
        if namespace not in self._known:
            self._known[namespace] = asyncio.create_task(read_events(self._cluster, namespace))
        return self._known[namespace]

    async def of(self, namespace: str) -> Events:
        """Those of one namespace."""
        return await asyncio.shield(self.begin(namespace))

    async def __aenter__(self) -> EventIndex:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends what nobody waits for any more."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)


async def read_events(cluster: ClusterReader, namespace: str) -> Events:
    """All that is worth keeping of one namespace (of all when it is empty); none when they may not be read."""

    def keep(page: list[Event]) -> list[Event]:
        return [event for event in page if event.type == "Warning" or event.reason in TELLING]

    try:
        pages = await cluster.fold(Event, EVENTS, keep, namespace, limit=PAGE)
    except AccessDenied:
        return Events(readable=False)
    return Events(event for page in pages for event in page)
