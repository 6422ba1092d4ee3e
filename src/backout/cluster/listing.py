# SPDX-License-Identifier: Apache-2.0
"""Lists in pages, decoded from the raw bytes into dicts or into structs of only the needed fields."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from backout.cluster.port import Resource
from backout.cluster.wire import Wire, decode_failed
from backout.errors import Expired, ServerError
from backout.model.decoding import UNREADABLE

T = TypeVar("T")
R = TypeVar("R")
PAGE = 500
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""What to accept when the metadata is enough: data of Secrets is then never sent."""
RESTARTS = 2
"""A list that expires more often than this is asked for in one piece, as client-go's pager does."""


class _Meta(msgspec.Struct):
    resourceVersion: str = ""
    continue_: str = msgspec.field(name="continue", default="")
    remainingItemCount: int | None = None


class _Envelope(msgspec.Struct, Generic[T]):
    """``items`` is null in an empty list of Go's, but never absent: ``{}`` is no list, and says nothing of what exists."""

    items: list[T] | None
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class Page(NamedTuple):
    """Some of the objects, and the version of the whole list."""

    items: list[Any]
    version: str
    first: bool
    """Whether the list starts (or starts again) with this page."""


@cache
def decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    """A decoder; building one takes longer than using it."""
    return msgspec.json.Decoder(type_)


@cache
def _envelope(type_: Any) -> Any:
    generic: Any = _Envelope
    return generic[type_]


def path_of(resource: Resource, name: str = "", namespace: str = "", subresource: str = "") -> str:
    """The path of a collection or of one object. Names are data: what does not belong into a path is quoted."""
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.api_version}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if resource.namespaced and namespace else ""
    path = f"{root}{scope}/{quote(resource.plural, safe='')}"
    if name:
        path += f"/{quote(name, safe='')}"
    return f"{path}/{subresource}" if subresource else path


def selectors(labels: str, fields: str) -> dict[str, str]:
    """Selectors as query parameters."""
    return {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}


@contextmanager
def no_gc() -> Iterator[None]:
    """Building thousands of dicts makes Python's collector run over all of them again and again, for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


async def pages(
    wire: Wire,
    type_: Any,
    resource: Resource,
    namespace: str = "",
    *,
    labels: str = "",
    fields: str = "",
    limit: int = PAGE,
    accept: str = "application/json",
) -> AsyncIterator[Page]:
    """All pages. When the position expires (410) the list starts again: the next page has ``first`` set."""
    path = path_of(resource, namespace=namespace)
    position, restarts, first = "", 0, True
    passed: set[str] = set()
    while True:
        params = selectors(labels, fields)
        if limit and restarts <= RESTARTS:
            params["limit"] = str(limit)
        if position:
            params["continue"] = position
        try:
            response = await wire.request("GET", path, params=params, accept=accept)
        except Expired:
            if not position:
                raise
            position, restarts, first = "", restarts + 1, True
            passed.clear()
            continue
        try:
            with no_gc():
                envelope = decoder(_envelope(type_)).decode(response.content)
        except UNREADABLE:
            raise decode_failed(resource.plural) from None
        del response  # its megabytes would stay until the next page has arrived
        yield Page(envelope.items or [], envelope.metadata.resourceVersion, first)
        position, first = envelope.metadata.continue_, False
        if not position:
            if envelope.metadata.remainingItemCount:
                raise _no_end(resource, "it leaves out objects that it counts")
            return
        if position in passed:
            raise _no_end(resource, "it begins again and again")
        passed.add(position)


def _no_end(resource: Resource, why: str) -> ServerError:
    return ServerError(
        "The API server's list of {what} can't be trusted: {why}.",
        what=resource.plural,
        why=why,
        hint="A proxy may stand in between.",
    )


async def everything(
    wire: Wire,
    type_: Any,
    resource: Resource,
    namespace: str = "",
    *,
    labels: str = "",
    fields: str = "",
    limit: int = PAGE,
    accept: str = "application/json",
) -> tuple[list[Any], str]:
    """One consistent list and its version: what was read before an expiry is thrown away."""
    result: list[Any] = []
    version = ""
    async for page in pages(wire, type_, resource, namespace, labels=labels, fields=fields, limit=limit, accept=accept):
        if page.first:
            result = []
        result += page.items
        version = page.version
    return result, version


async def folded(
    wire: Wire,
    type_: Any,
    resource: Resource,
    fold: Callable[[list[Any]], R],
    namespace: str = "",
    *,
    labels: str = "",
    fields: str = "",
    limit: int = PAGE,
) -> list[R]:
    """What ``fold`` makes of each page; no page is kept, so that memory does not grow with the cluster."""
    result: list[R] = []
    async for page in pages(wire, type_, resource, namespace, labels=labels, fields=fields, limit=limit):
        if page.first:
            result = []
        result.append(fold(page.items))
    return result


def name_kind(objects: list[dict[str, Any]], resource: Resource) -> list[dict[str, Any]]:
    """Items of a list come without ``apiVersion`` and ``kind``; objects that are passed on need them."""
    for obj in objects:
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
    return objects
