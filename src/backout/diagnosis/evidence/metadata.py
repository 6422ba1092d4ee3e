# SPDX-License-Identifier: Apache-2.0
"""The ConfigMaps and Secrets of a namespace as far as a diagnosis needs them: that they exist, and who wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from backout.changes.writers import Entry, Written, last_write
from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader, Object, Resource
from backout.errors import AccessDenied, NotFoundError
from backout.kube.projections import Name
from backout.kube.resources import OBJECT_RESOURCES
from backout.model.target import OBJECTS, ObjectRef

API_VERSIONS = {kind: version for version, kind in OBJECTS.values()}


class ManagedMeta(msgspec.Struct, rename="camel", frozen=True):
    """Metadata with its writers."""

    name: str
    namespace: str = ""
    uid: str = ""
    creation_timestamp: datetime | None = None
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[dict[str, Any], ...] = ()
    managed_fields: tuple[Entry, ...] = ()

    def written(self, kind: str) -> Written | None:
        """The last write of its content."""
        return last_write(kind, self.managed_fields, self.creation_timestamp)

    def as_object(self, kind: str, api_version: str, namespace: str) -> Object:
        """What `backout.ownership.owner` needs to tell the owner."""
        meta = {
            "name": self.name,
            "namespace": self.namespace or namespace,
            "uid": self.uid,
            "labels": self.labels,
            "annotations": self.annotations,
            "ownerReferences": list(self.owner_references),
        }
        return {"apiVersion": api_version, "kind": kind, "metadata": meta}


class Managed(msgspec.Struct, frozen=True):
    """An object of which only metadata was read."""

    metadata: ManagedMeta


class Packed(msgspec.Struct, frozen=True):
    """The same, as it came."""

    metadata: msgspec.Raw


_META = msgspec.json.Decoder(ManagedMeta)
_NAMED = msgspec.json.Decoder(Name)


class Known:
    """Metadata by kind and name. Kept as it came, and decoded when it is asked for: few of tens of thousands are."""

    def __init__(self) -> None:
        self._packed: dict[tuple[str, str], msgspec.Raw] = {}

    def add(self, kind: str, found: Iterable[Packed]) -> None:
        """More objects of a kind."""
        for item in found:
            self._packed[kind, _NAMED.decode(item.metadata).name] = item.metadata

    def get(self, key: tuple[str, str]) -> ManagedMeta | None:
        """The metadata of one; None when it is not known."""
        packed = self._packed.get(key)
        return None if packed is None else _META.decode(packed)

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._packed

    def __len__(self) -> int:
        return len(self._packed)


class MetadataIndex:
    """Reads each namespace once, when it is asked for. ``unread`` are kinds, by namespace, that may not be listed."""

    def __init__(self, cluster: ClusterReader) -> None:
        self._cluster = cluster
        self._known: dict[str, asyncio.Task[Known]] = {}
        self.unread: set[tuple[str, str]] = set()

    async def of(self, namespace: str) -> Known:
        """The ConfigMaps and Secrets of a namespace; Helm's release records are left out."""
        if namespace not in self._known:
            self._known[namespace] = asyncio.create_task(self._read(namespace))
        return await asyncio.shield(self._known[namespace])

    async def _read(self, namespace: str) -> Known:
        kinds = (CONFIGMAPS, SECRETS)
        lists = await asyncio.gather(*(self._list(kind, namespace, labels="owner!=helm") for kind in kinds))
        known = Known()
        for kind, items in zip(kinds, lists, strict=True):
            known.add(kind.kind, items)
        return known

    async def confirm(self, refs: Iterable[ObjectRef], known: Known) -> None:
        """Adds to ``known`` those of ``refs`` that exist all the same: made a moment ago, or labelled as Helm's own."""

        async def one(ref: ObjectRef) -> list[Packed]:
            return await self._list(OBJECT_RESOURCES[ref.kind], ref.namespace, fields=f"metadata.name={ref.name}")

        unknown = [ref for ref in refs if ref.kind in ("ConfigMap", "Secret") and (ref.kind, ref.name) not in known]
        for ref, found in zip(unknown, await asyncio.gather(*(one(ref) for ref in unknown)), strict=True):
            known.add(ref.kind, found)

    async def _list(self, resource: Resource, namespace: str, *, labels: str = "", fields: str = "") -> list[Packed]:
        try:
            return await self._cluster.list_as(
                Packed, resource, namespace, labels=labels, fields=fields, metadata_only=True
            )
        except AccessDenied:
            self.unread.add((namespace, resource.kind))
            return []

    def readable(self, namespace: str, kind: str) -> bool:
        """False when nothing can be said of what does not exist."""
        return (namespace, kind) not in self.unread

    async def close(self) -> None:
        """Ends what nobody waits for any more."""
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)


async def live(cluster: ClusterReader, ref: ObjectRef) -> Object | None:
    """The object with its content, with apiVersion and kind; None when it is not there or may not be read."""
    try:
        found = await cluster.get(OBJECT_RESOURCES[ref.kind], ref.name, ref.namespace)
    except (NotFoundError, AccessDenied):
        return None
    return {**found, "apiVersion": OBJECT_RESOURCES[ref.kind].api_version, "kind": ref.kind}


def reference(kind: str, name: str, namespace: str) -> ObjectRef:
    """The reference of a ConfigMap, Secret, Service or Ingress."""
    return ObjectRef(API_VERSIONS[kind], kind, name, namespace)
