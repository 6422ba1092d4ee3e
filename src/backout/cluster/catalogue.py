# SPDX-License-Identifier: Apache-2.0
"""Every kind that a cluster serves. A group whose server gives no answer is named; the others are found."""

from __future__ import annotations

import asyncio

import msgspec

from backout.cluster.listing import decoder
from backout.cluster.port import Catalogue, Resource, Served
from backout.cluster.wire import Wire, decode_failed
from backout.errors import ObjectNotFound, ServerError
from backout.model.decoding import UNREADABLE

AT_ONCE = 8


class _Item(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False
    verbs: list[str] | None = None


class _Items(msgspec.Struct):
    resources: list[_Item] | None = None


class _Version(msgspec.Struct):
    groupVersion: str


class _Group(msgspec.Struct):
    name: str
    versions: list[_Version] | None = None
    preferredVersion: _Version | None = None


class _Groups(msgspec.Struct):
    groups: list[_Group] | None = None


async def catalogue(wire: Wire) -> Catalogue:
    """Reads the API server's discovery documents (kubernetes.io/docs/concepts/overview/kubernetes-api).

    Raises:
        BackoutError: the server's own kinds can't be read.
    """
    core, groups = await asyncio.gather(_items(wire, "v1"), wire.request("GET", "/apis"))
    try:
        listed = decoder(_Groups).decode(groups.content).groups or []
    except UNREADABLE:
        raise decode_failed("the API groups") from None
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(version: str) -> list[Served] | None:
        async with gate:
            try:
                return await _items(wire, version)
            except (ServerError, ObjectNotFound):
                return None

    wanted = [(group.name, version) for group in listed for version in _versions(group)]
    found = await asyncio.gather(*(one(version) for _, version in wanted))
    kinds: dict[tuple[str, str], Served] = {("", served.resource.plural): served for served in core}
    broken = []
    for (name, version), items in zip(wanted, found, strict=True):
        if items is None:
            broken.append(version)
        for served in items or ():
            kinds.setdefault((name, served.resource.plural), served)
    return Catalogue(tuple(kinds.values()), tuple(broken))


def _versions(group: _Group) -> list[str]:
    """The preferred version first: a kind that it lacks is taken from another one."""
    every = [version.groupVersion for version in group.versions or ()]
    first = group.preferredVersion.groupVersion if group.preferredVersion else ""
    return sorted(every, key=lambda version: version != first)


async def _items(wire: Wire, version: str) -> list[Served]:
    path = f"/apis/{version}" if "/" in version else f"/api/{version}"
    response = await wire.request("GET", path)
    try:
        items = decoder(_Items).decode(response.content).resources or []
    except UNREADABLE:
        raise decode_failed(version) from None
    return [
        Served(Resource(version, item.kind, item.name, item.namespaced), frozenset(item.verbs or ()))
        for item in items
        if "/" not in item.name
    ]
