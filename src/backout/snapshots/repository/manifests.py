# SPDX-License-Identifier: Apache-2.0
"""Summaries and pages of snapshots, and finding one by what people call it."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Iterable

import msgspec

from backout.errors import RepositoryDamaged, SnapshotNotFound, UsageError
from backout.model.decoding import UNREADABLE
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Entry, Snapshot
from backout.snapshots.repository.backend import Backend, Missing
from backout.snapshots.repository.crypto import Keyring
from backout.snapshots.repository.format import (
    ADDRESS,
    CONTEXT,
    HEADER,
    ID,
    MAX_CONTENT,
    SNAPSHOTS,
    Kind,
    damaged,
    header,
    read_header,
)
from backout.snapshots.repository.objects import AT_ONCE, Reader
from backout.snapshots.repository.pages import Page, decode_page, entry_digest

# Made here and not at the first use: two threads that make msgspec's description of a type at the same time crash.
_DECODER = msgspec.json.Decoder(Snapshot)
_PREFIX = re.compile(r"[0-9a-f]{4,31}", re.ASCII)


class Manifests:
    """The summaries of a repository. Those that were read are kept: they never change."""

    def __init__(self, backend: Backend, keyring: Keyring, reader: Reader) -> None:
        self._backend = backend
        self._keyring = keyring
        self._reader = reader
        self._known: dict[str, Snapshot] = {}
        self.unreadable: dict[str, RepositoryDamaged] = {}
        """Summaries that the last listing could not read."""

    async def save(self, snapshot: Snapshot) -> None:
        """Writes the summary. Everything that it refers to must be stored already."""
        generation = self._keyring.current
        context = generation.context(snapshot.identity, snapshot.namespace)
        sealed = generation.seal(Kind.SUMMARY, bytes.fromhex(snapshot.id) + context, msgspec.json.encode(snapshot))
        content = header(Kind.SUMMARY, generation.id) + context + sealed
        await self._backend.put(SNAPSHOTS + snapshot.id, content, create=True)
        self._known[snapshot.id] = snapshot

    async def remove(self, id_: str) -> None:
        """Removes a summary."""
        await self._backend.delete(SNAPSHOTS + id_)
        self._known.pop(id_, None)

    async def read(self, id_: str) -> Snapshot:
        """One summary.

        Raises:
            SnapshotNotFound: there is none of that id.
            RepositoryDamaged: altered, cut, or another snapshot's.
        """
        if id_ in self._known:
            return self._known[id_]
        name = SNAPSHOTS + id_
        try:
            content = await self._backend.get(name, MAX_CONTENT)
        except Missing:
            raise SnapshotNotFound("{where} has no snapshot {name}.", where=self._backend.where, name=id_) from None
        snapshot = await asyncio.to_thread(self._decode, id_, name, content)
        self._known[id_] = snapshot
        return snapshot

    def _decode(self, id_: str, name: str, content: bytes) -> Snapshot:
        generation = self._keyring.generation(read_header(content, Kind.SUMMARY, name), name)
        context = content[HEADER.size : HEADER.size + CONTEXT]
        plain = generation.open(
            Kind.SUMMARY, bytes.fromhex(id_) + context, content[HEADER.size + CONTEXT :], f"the summary {name}"
        )
        try:
            snapshot = _DECODER.decode(plain)
        except UNREADABLE:
            raise damaged(name, "it does not describe a snapshot") from None
        bound = generation.context(snapshot.identity, snapshot.namespace)
        if snapshot.id != id_ or not hmac.compare_digest(bound, context):
            raise damaged(name, "it belongs to another snapshot, cluster or namespace")
        if not all(map(ADDRESS.fullmatch, references(snapshot))):
            raise damaged(name, "it refers to what is no address")
        return snapshot

    async def all(self) -> list[Snapshot]:
        """Every summary that can be read, newest first; the others are in `unreadable`."""
        listed = [item.name.removeprefix(SNAPSHOTS) for item in await self._backend.listing(SNAPSHOTS)]
        slots = asyncio.Semaphore(AT_ONCE)
        self.unreadable = {}

        async def one(id_: str) -> Snapshot | None:
            async with slots:
                try:
                    return await self.read(id_)
                except SnapshotNotFound:
                    return None
                except RepositoryDamaged as error:
                    self.unreadable[id_] = error
                    return None

        found = await asyncio.gather(*(one(id_) for id_ in listed if ID.fullmatch(id_)))
        return sorted((s for s in found if s is not None), key=lambda s: (s.taken_at, s.id), reverse=True)

    async def entries(self, snapshot: Snapshot) -> AsyncIterator[Entry]:
        """What a snapshot holds, page by page.

        Raises:
            RepositoryDamaged: a page is missing or altered.
        """
        changes = [await self.page(snapshot, address) for address in snapshot.changes]
        without = {digest for page in changes for digest in page.without}
        for address in snapshot.pages:
            page = await self.page(snapshot, address)
            for entry in page.entries:
                if not without or entry_digest(entry) not in without:
                    yield entry
        for page in changes:
            for entry in page.entries:
                yield entry

    async def page(self, snapshot: Snapshot, address: str) -> Page:
        """One page; ``snapshot`` is for the error that names it."""
        label = f"a page of snapshot {snapshot.short}"
        content = await self._reader.get(Kind.PAGE, bytes.fromhex(address), label)
        page = decode_page(content, label)
        if not all(ADDRESS.fullmatch(entry.address) for entry in page.entries):
            raise damaged(label, "it refers to what is no address")
        return page


def references(snapshot: Snapshot) -> list[str]:
    """Addresses that the summary itself names: pages, and the records of releases."""
    return [
        *snapshot.pages,
        *snapshot.changes,
        *(release.address for release in snapshot.pointers.releases if release.address),
    ]


def chosen(
    snapshots: list[Snapshot],
    name: str,
    where: str,
    *,
    identity: ClusterIdentity | None = None,
    namespace: str | None = None,
    cluster: str | None = None,
) -> Snapshot:
    """The snapshot that people mean: an id or its start (four characters or more), ``latest``, ``good``, or a tag.

    ``latest`` is the newest, ``good`` the newest that is known to be a good state. Neither these nor a tag mean a
    snapshot that was imported from a foreign repository. They mean one that was taken before a run only when there is
    no other, since no run is begun without a reason; and one of an incident only when there is not even that.

    Raises:
        SnapshotNotFound: none, or only in other namespaces.
        UsageError: several ids start like that.
    """
    for snapshot in snapshots:
        if snapshot.id == name:
            return snapshot
    here = selected(snapshots, identity, namespace, cluster)
    own = [s for s in here if not s.imported_from]
    if name == "good":
        found = [s for s in own if s.good][:1]
    else:
        named = [s for s in own if name == "latest" or name in s.tags]
        calm = [s for s in named if not (s.incident or s.kind == "incident")]
        found = [s for s in calm if s.kind != "run"][:1] or calm[:1] or named[:1]
    if not found and _PREFIX.fullmatch(name):
        found = [s for s in snapshots if s.id.startswith(name)]
        if len(found) > 1:
            raise UsageError(
                "{count} snapshots start with {name}: {ids}.",
                count=len(found),
                name=name,
                ids=", ".join(s.id[:12] for s in found[:10]),
                hint="write more of the id",
            )
    if not found:
        elsewhere = [s for s in snapshots if name in s.tags and s not in here]
        raise SnapshotNotFound(
            "{where} has no snapshot {name}.",
            where=where,
            name=name,
            found=f"the tag is on {len(elsewhere)} snapshots of other namespaces or clusters" if elsewhere else "",
            hint="backout snapshot list",
        )
    return found[0]


def selected(
    snapshots: Iterable[Snapshot],
    identity: ClusterIdentity | None = None,
    namespace: str | None = None,
    cluster: str | None = None,
) -> list[Snapshot]:
    """Those of a cluster (by what it is, or by its name) and a namespace; None stands for every one."""
    return [
        snapshot
        for snapshot in snapshots
        if (identity is None or snapshot.identity.same_as(identity))
        and (namespace is None or snapshot.namespace == namespace)
        and (cluster is None or snapshot.cluster == cluster)
    ]


__all__ = ["Manifests", "chosen", "references", "selected"]
