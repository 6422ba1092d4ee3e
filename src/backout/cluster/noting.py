# SPDX-License-Identifier: Apache-2.0
"""A reader that notes what its user may not read. Whoever goes on without an answer has to say so, and need not each say it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from backout.cluster.forwarding import ForwardingReader
from backout.cluster.port import ClusterReader, Object, Resource
from backout.errors import AccessDenied
from backout.model.message import Message, msg

LOGS = Resource("v1", "Pod", "pods/log")
T = TypeVar("T")
R = TypeVar("R")


def no_right(plural: str, namespace: str) -> Message:
    """That a kind may not be read in a namespace (empty: in all of them)."""
    return msg(
        "{resource} in {where} can't be read: no permission.", resource=plural, where=namespace or "all namespaces"
    )


class NotingReader(ForwardingReader):
    """Every question goes on as it is, and so does every answer; refusals for want of a right are noted."""

    def __init__(self, reader: ClusterReader) -> None:
        super().__init__(reader)
        self._denied: dict[tuple[Resource, str], None] = {}

    @property
    def denied(self) -> tuple[tuple[Resource, str], ...]:
        """The kinds that were asked for and may not be read, each with the namespace, sorted."""
        return tuple(sorted(self._denied))

    async def logs(
        self, pod: str, namespace: str, container: str = "", *, previous: bool = False, tail: int = 20
    ) -> str:
        """See `ClusterReader.logs`."""
        found = super().logs(pod, namespace, container, previous=previous, tail=tail)
        return await self._asked(LOGS, namespace, found)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        """See `ClusterReader.get`."""
        return await self._asked(resource, namespace, super().get(resource, name, namespace))

    async def get_as(self, type: type[T], resource: Resource, name: str, namespace: str = "") -> T:
        """See `ClusterReader.get_as`."""
        return await self._asked(resource, namespace, super().get_as(type, resource, name, namespace))

    async def pages(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", limit: int = 500
    ) -> AsyncIterator[list[Object]]:
        """See `ClusterReader.pages`."""
        try:
            async for page in super().pages(resource, namespace, labels=labels, fields=fields, limit=limit):
                yield page
        except AccessDenied:
            self._denied[resource, namespace] = None
            raise

    async def list_all(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """See `ClusterReader.list_all`."""
        return await self._asked(
            resource, namespace, super().list_all(resource, namespace, labels=labels, fields=fields)
        )

    async def list_as(
        self,
        type: type[T],
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[T]:
        """See `ClusterReader.list_as`."""
        found = super().list_as(type, resource, namespace, labels=labels, fields=fields, metadata_only=metadata_only)
        return await self._asked(resource, namespace, found)

    async def fold(
        self,
        type: type[T],
        resource: Resource,
        fold: Callable[[list[T]], R],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
    ) -> list[R]:
        """See `ClusterReader.fold`."""
        found = super().fold(type, resource, fold, namespace, labels=labels, fields=fields, limit=limit)
        return await self._asked(resource, namespace, found)

    async def _asked(self, resource: Resource, namespace: str, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except AccessDenied:
            self._denied[resource, namespace] = None
            raise
