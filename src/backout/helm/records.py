# SPDX-License-Identifier: Apache-2.0
"""Release records in Secrets or ConfigMaps, listed by their labels and decoded only when asked for.

A record is an object ``sh.helm.release.v1.NAME.vN`` with the labels owner=helm, name, status, version and createdAt or
modifiedAt (helm pkg/storage/driver). The status stands twice: in the label and inside the payload.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from backout.cluster.port import CONFIGMAPS, SECRETS, ClusterReader, Object, Resource
from backout.errors import (
    AccessDenied,
    Invalid,
    ObjectNotFound,
    RefusedError,
    ReleaseNotFound,
    RevisionNotFound,
    TooLarge,
)
from backout.helm.crds import definitions_in
from backout.helm.payload import Release, decode
from backout.helm.staying import with_manifest
from backout.kube.projections import Projection, VersionedMeta
from backout.model.target import ObjectRef

PENDING = frozenset({"pending-install", "pending-upgrade", "pending-rollback"})

_DRIVERS = {"": SECRETS, "secret": SECRETS, "secrets": SECRETS, "configmap": CONFIGMAPS, "configmaps": CONFIGMAPS}


class _Label(Projection, frozen=True):
    metadata: VersionedMeta


class _Data(Projection, frozen=True):
    release: str | None = None


class _Full(Projection, frozen=True):
    metadata: VersionedMeta
    data: _Data | None = None


_Shape = TypeVar("_Shape", _Label, _Full)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record is that Helm's history has no more: ids of a repository and of the newest snapshot in it that has
    the record, when that was taken, and the address of the record. Nothing secret."""

    repository: str
    snapshot: str
    taken: datetime
    address: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record by its labels. ``created`` is the API server's clock, ``modified`` the Helm client's.

    ``kept`` when it is not in the cluster any more but in a snapshot; then it has no uid and no resourceVersion.
    """

    name: str
    namespace: str
    release: str
    revision: int
    status: str
    uid: str
    resource_version: str
    created: datetime | None = None
    modified: datetime | None = None
    kept: Kept | None = None

    @property
    def pending(self) -> bool:
        """True when Helm began something and did not write that it ended."""
        return self.status in PENDING

    @property
    def key(self) -> tuple[str, str]:
        """Changes whenever the record does."""
        return ("kept", self.kept.address) if self.kept else (self.uid, self.resource_version)


def driver(environment: dict[str, str] | None = None) -> Resource:
    """Where Helm keeps its records, by ``HELM_DRIVER``.

    Raises:
        RefusedError: a driver whose records are not in the cluster.
    """
    chosen = (os.environ if environment is None else environment).get("HELM_DRIVER", "").lower()
    if chosen in _DRIVERS:
        return _DRIVERS[chosen]
    raise RefusedError(
        "HELM_DRIVER is {driver}: those release records are not in the cluster.",
        driver=chosen,
        expected="secret or configmap",
        found=chosen,
        hint="Roll back with `helm rollback RELEASE REVISION` itself, with a revision that you know to be good.",
    )


class Records:
    """The records of one namespace. Payloads are kept once decoded: a record's content never changes under its key."""

    def __init__(self, cluster: ClusterReader, namespace: str, resource: Resource | None = None) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.resource = resource or driver()
        self._bodies: dict[tuple[str, str], str] = {}
        self._decoded: dict[tuple[str, str], Release] = {}

    @property
    def driver_name(self) -> str:
        """The value of ``HELM_DRIVER`` that makes helm read the same records."""
        return "configmap" if self.resource is CONFIGMAPS or self.resource.kind == "ConfigMap" else "secret"

    async def releases(self) -> dict[tuple[str, str], Record]:
        """The newest record of every release by its namespace and name: names are unique in one namespace only."""
        return {key: max(found, key=lambda record: record.revision) for key, found in (await self.listed()).items()}

    async def listed(self) -> dict[tuple[str, str], list[Record]]:
        """The records of every release by its namespace and name, in no order."""
        found: dict[tuple[str, str], list[Record]] = {}
        for label in await self._list(_Label, "owner=helm", metadata_only=True):
            record = _record(label.metadata, self.namespace)
            if record is not None:
                found.setdefault((record.namespace, record.release), []).append(record)
        return found

    async def history(self, release: str) -> list[Record]:
        """All records of ``release``, oldest first.

        Raises:
            ReleaseNotFound: there is none.
        """
        found = []
        for full in await self._list(_Full, f"owner=helm,name={release}"):
            record = _record(full.metadata, self.namespace)
            if record is None:
                continue
            found.append(record)
            if full.data and full.data.release and record.key not in self._decoded:
                # The list brought it along; to inflate and parse it can wait until somebody asks.
                self._bodies[record.key] = full.data.release
        if not found:
            await self._missing(release)
        return sorted(found, key=lambda record: record.revision)

    async def head(self, release: str) -> Record:
        """The newest record, whatever its status. The payloads, which may be large, are not read.

        Raises:
            ReleaseNotFound: there is none.
        """
        return (await self.numbered(release))[-1]

    async def numbered(self, release: str) -> list[Record]:
        """All records of ``release``, oldest first, without their payloads.

        Raises:
            ReleaseNotFound: there is none.
        """
        labels = await self._list(_Label, f"owner=helm,name={release}", metadata_only=True)
        found = [record for label in labels if (record := _record(label.metadata, self.namespace)) is not None]
        if not found:
            await self._missing(release)
        return sorted(found, key=lambda record: record.revision)

    async def load(self, record: Record) -> Release:
        """Decodes one record.

        Raises:
            RevisionNotFound: it is gone.
            TooLarge, Invalid: it can't be read.
        """
        if (known := self._decoded.get(record.key)) is not None:
            return known
        body = self._bodies.pop(record.key, None)
        key = record.key
        if body is None:
            body, key = await self._fetch(record)
        release = decode(body, record.name, wrapped=self.resource.kind == "Secret")
        self._decoded[key] = release
        return release

    async def definitions(self, record: Record) -> tuple[Object, ...]:
        """The definitions in the ``crds/`` folder of a record's chart; none of a record that is in a snapshot only.

        Raises:
            RevisionNotFound: it is gone.
            TooLarge, Invalid: it can't be read.
        """
        if record.kept is not None:
            return ()
        body, _ = await self._fetch(record)
        return definitions_in(body, record.name, wrapped=self.resource.kind == "Secret")

    async def rewritten(self, record: Record, manifest: str) -> Object:
        """The object of a record as it would be with another manifest; nothing is written.

        Raises:
            ObjectNotFound: it is gone.
            TooLarge, Invalid: it can't be read.
        """
        found = await self.cluster.get(self.resource, record.name, self.namespace)
        wrapped = self.resource.kind == "Secret"
        text = with_manifest(str((found.get("data") or {}).get("release")), record.name, manifest, wrapped=wrapped)
        kind = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        return {**kind, **found, "data": {**found["data"], "release": text}}

    def remember(self, record: Record, content: Release) -> None:
        """Keeps what is in a record that was read elsewhere, so that `load` finds it."""
        self._decoded[record.key] = content

    async def _fetch(self, record: Record) -> tuple[str, tuple[str, str]]:
        try:
            full = await self.cluster.get_as(_Full, self.resource, record.name, self.namespace)
        except ObjectNotFound as error:
            raise RevisionNotFound(
                "Revision {revision} of helm/{release} is not in its history any more.",
                revision=record.revision,
                release=record.release,
                hint="Look at `backout history helm/{release}` for those that are.",
            ) from error
        if full.data is None or full.data.release is None:
            raise Invalid("{name} holds no release.", name=record.name)
        return full.data.release, (full.metadata.uid, full.metadata.resource_version)

    async def load_all(self, records: Iterable[Record]) -> dict[int, Release | TooLarge | Invalid]:
        """Decodes many, by revision; one that can't be read stands as its error."""
        found: dict[int, Release | TooLarge | Invalid] = {}
        for record in records:
            try:
                found[record.revision] = await self.load(record)
            except (TooLarge, Invalid) as error:
                found[record.revision] = error
            except RevisionNotFound:
                continue
        return found

    def reference(self, record: Record) -> ObjectRef:
        """The object that holds the record."""
        return ObjectRef(self.resource.api_version, self.resource.kind, record.name, self.namespace, record.uid)

    async def _list(self, shape: type[_Shape], selector: str, *, metadata_only: bool = False) -> list[_Shape]:
        try:
            return await self.cluster.list_as(
                shape, self.resource, self.namespace, labels=selector, metadata_only=metadata_only
            )
        except AccessDenied as error:
            raise AccessDenied(
                "The release records of namespace {namespace} can't be read: no permission to list {plural}.",
                namespace=self.namespace,
                plural=self.resource.plural,
                expected="the right to get and list {plural}",
                hint="`backout doctor` prints the Role that is missing.",
            ) from error

    async def _missing(self, release: str) -> None:
        names = sorted(name for _, name in await self.releases())
        raise ReleaseNotFound(
            "Namespace {namespace} holds no record of a release {release}.",
            namespace=self.namespace,
            release=release,
            names=", ".join(names),
            expected="a release of that name",
            found="{names}" if names else "no Helm release in this namespace",
            hint="Name another namespace with -n. A chart that Argo CD renders leaves no release record.",
        )


def record_of(obj: Object, namespace: str) -> Record | None:
    """The record that an object is by its labels; None for any other."""
    return _record(msgspec.convert(obj, _Label).metadata, namespace)


def _record(meta: VersionedMeta, namespace: str) -> Record | None:
    labels = meta.labels or {}
    version = labels.get("version", "")
    if not version.isdecimal() or "name" not in labels:
        return None
    stamp = labels.get("modifiedAt") or labels.get("createdAt") or ""
    modified = msgspec.convert(int(stamp), datetime, strict=False) if stamp.isdecimal() and len(stamp) < 12 else None
    return Record(
        name=meta.name,
        namespace=meta.namespace or namespace,
        release=labels["name"],
        revision=int(version),
        status=labels.get("status", "unknown"),
        uid=meta.uid,
        resource_version=meta.resource_version,
        created=meta.creation_timestamp,
        modified=modified,
    )
