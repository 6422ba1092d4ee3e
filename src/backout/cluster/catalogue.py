# SPDX-License-Identifier: Apache-2.0
"""Every kind that a cluster serves. A group whose server gives no answer is named; the others are found.

Servers from 1.27 on tell everything in two documents ("aggregated discovery"); of older ones, and of groups that the
aggregator has no fresh answer of, each group version is asked for itself.
"""

from __future__ import annotations

import asyncio

import httpx2
import msgspec

from backout.cluster.listing import decoder
from backout.cluster.port import Catalogue, Resource, Served
from backout.cluster.wire import Wire, decode_failed
from backout.errors import ObjectNotFound, ServerError
from backout.model.decoding import UNREADABLE

AT_ONCE = 8
AGGREGATED = ",".join(
    [
        *(f"application/json;g=apidiscovery.k8s.io;v={v};as=APIGroupDiscoveryList" for v in ("v2", "v2beta1")),
        "application/json",
    ]
)


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


class _Kind(msgspec.Struct):
    kind: str = ""


class _FoundSubresource(msgspec.Struct):
    subresource: str = ""


class _FoundResource(msgspec.Struct):
    """``responseKind`` is missing where only subresources can be used (k8s.io/api/apidiscovery)."""

    resource: str
    scope: str = ""
    responseKind: _Kind | None = None
    verbs: list[str] | None = None
    subresources: list[_FoundSubresource] | None = None


class _FoundVersion(msgspec.Struct):
    version: str
    freshness: str = ""
    resources: list[_FoundResource] | None = None


class _Name(msgspec.Struct):
    name: str = ""


class _FoundGroup(msgspec.Struct):
    """``versions`` in the server's order of preference."""

    metadata: _Name
    versions: list[_FoundVersion] | None = None


class _Found(msgspec.Struct):
    kind: str = ""
    items: list[_FoundGroup] | None = None


Wanted = list[tuple[str, str, list[Served] | None]]
"""Group, its version, and what it serves; None where that has to be asked for."""


async def catalogue(wire: Wire) -> Catalogue:
    """Reads the API server's discovery documents (kubernetes.io/docs/concepts/overview/kubernetes-api).

    Raises:
        BackoutError: the server's own kinds can't be read.
    """
    own, groups = await asyncio.gather(
        wire.request("GET", "/api", accept=AGGREGATED), wire.request("GET", "/apis", accept=AGGREGATED)
    )
    core, aggregated = _aggregated(own), _aggregated(groups)
    wanted = _each(groups) if aggregated is None else aggregated
    return await _completed(wire, [*(core or [("", "v1", None)]), *wanted])


def _aggregated(response: httpx2.Response) -> Wanted | None:
    """None when the server answered in the old way."""
    try:
        found = decoder(_Found).decode(response.content)
    except UNREADABLE:
        raise decode_failed("the API groups") from None
    if found.kind != "APIGroupDiscoveryList":
        return None
    every: Wanted = []
    for group in found.items or ():
        for version in group.versions or ():
            name = f"{group.metadata.name}/{version.version}" if group.metadata.name else version.version
            every.append((group.metadata.name, name, None if version.freshness == "Stale" else _served(name, version)))
    return every


def _served(name: str, version: _FoundVersion) -> list[Served]:
    return [
        Served(
            Resource(name, item.responseKind.kind, item.resource, item.scope == "Namespaced"),
            frozenset(item.verbs or ()),
            any(sub.subresource == "status" for sub in item.subresources or ()),
        )
        for item in version.resources or ()
        if item.responseKind is not None and item.responseKind.kind
    ]


def _each(response: httpx2.Response) -> Wanted:
    try:
        listed = decoder(_Groups).decode(response.content).groups or []
    except UNREADABLE:
        raise decode_failed("the API groups") from None
    return [(group.name, version, None) for group in listed for version in _versions(group)]


async def _completed(wire: Wire, wanted: Wanted) -> Catalogue:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(group: str, version: str) -> list[Served] | None:
        async with gate:
            try:
                return await _items(wire, version)
            except (ServerError, ObjectNotFound):
                if not group:
                    raise
                return None

    asked = [(group, version) for group, version, known in wanted if known is None]
    answers = dict(zip(asked, await asyncio.gather(*(one(*entry) for entry in asked)), strict=True))
    kinds: dict[tuple[str, str], Served] = {}
    broken = []
    for group, version, known in wanted:
        items = known if known is not None else answers[group, version]
        if items is None:
            broken.append(version)
        for served in items or ():
            kinds.setdefault((group, served.resource.plural), served)
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
    names = {item.name for item in items}
    return [
        Served(
            Resource(version, item.kind, item.name, item.namespaced),
            frozenset(item.verbs or ()),
            f"{item.name}/status" in names,
        )
        for item in items
        if "/" not in item.name
    ]
