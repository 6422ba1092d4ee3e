# SPDX-License-Identifier: Apache-2.0
"""What is known of a namespace's baseline: its last good snapshot, and what Helm holds to be installed.

Read only when something of the present looks wrong. Snapshots that can't be read leave it unknown, with a note.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError
from backout.kube.groups import custom
from backout.kube.intent import drift
from backout.kube.names import LAST_APPLIED
from backout.kube.resources import OBJECT_RESOURCES
from backout.model.message import Message, msg
from backout.model.snapshot import Entry, Snapshot
from backout.model.target import ObjectRef, Target

if TYPE_CHECKING:
    from backout.snapshots.repository import Repository

Key = tuple[str, str]
"""Kind and name."""
_COMPARED = frozenset(
    {
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Service",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "NetworkPolicy",
        "ResourceQuota",
        "LimitRange",
        "HorizontalPodAutoscaler",
        "PersistentVolumeClaim",
        "Ingress",
        "CronJob",
        "Job",
    }
)
ROUTES = frozenset({"Service", "Ingress"})
"""Kinds of which it is asked what earlier revisions of a release held: where requests went is nowhere else."""
LOOKED_BACK = 20
"""Snapshots in which an object is sought that the last good one does not have."""
REVISIONS = 10
"""Revisions of a release in which an earlier state of an object is sought."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What an object should hold. ``good`` is True when a good snapshot says so, and not a Helm release's manifest."""

    content: Object
    source: Message
    good: bool


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What the revision of a release that is in force holds of one object."""

    release: Target
    revision: int
    content: Object


class Baseline:
    """The baseline of one namespace. ``good`` is the newest snapshot known to be healthy; None when there is none."""

    def __init__(self, snapshots: Iterable[Snapshot] = (), note: Message | None = None) -> None:
        self.snapshots = tuple(snapshots)
        self.good = next((snapshot for snapshot in self.snapshots if snapshot.good), None)
        self.note = note
        self.installed: dict[Key, Installed] = {}
        self.removed: dict[Key, Target] = {}
        """Objects that an earlier revision of a release held, and the one in force does not."""
        self.earlier: dict[Key, list[Installed]] = {}
        """What revisions held before the one in force, where that was something else, the newest first: of `ROUTES`."""
        self.applied: dict[Key, Object] = {}
        """What was last given to `kubectl apply`, where somebody changed it otherwise since: of `ROUTES`."""
        self.attempted: dict[Key, list[Object]] = {}
        """What revisions hold that came after the one in force: a change that is under way, or that failed half-way."""
        self.entries: dict[Key, Entry] = {}
        """Everything that the last good snapshot holds, where all of it was asked for."""
        self._contents: dict[Key, Object] = {}
        self._seen: dict[Key, Snapshot] = {}

    def kept(self, ref: ObjectRef) -> Object | None:
        """What the last good snapshot holds of an object; None when it holds none."""
        return self._contents.get((ref.kind, ref.name))

    def seen(self, ref: ObjectRef) -> Snapshot | None:
        """The newest snapshot that holds the object, good or not."""
        return self._seen.get((ref.kind, ref.name))

    def expected(self, ref: ObjectRef) -> Expected | None:
        """What the object should hold: by the last good snapshot, else by the Helm release that has it."""
        kept = self.kept(ref)
        if kept is not None and self.good is not None:
            source = msg("snapshot {snapshot}", snapshot=self.good.short)
            return Expected(content=kept, source=source, good=True)
        there = self.installed.get((ref.kind, ref.name))
        if there is not None:
            return _of_revision(there)
        applied = self.applied.get((ref.kind, ref.name))
        return Expected(content=applied, source=msg("what was applied"), good=False) if applied is not None else None

    def pasts(self, ref: ObjectRef) -> tuple[Expected, ...]:
        """Everything that is known of what it was or should be, what is trusted most first."""
        first = self.expected(ref)
        more = [_of_revision(one) for one in self.earlier.get((ref.kind, ref.name), ())]
        there = self.installed.get((ref.kind, ref.name))
        if first is not None and first.good and there is not None:
            more.insert(0, _of_revision(there))
        return (*((first,) if first is not None else ()), *more)

    def add_applied(self, ref: ObjectRef, live: Object) -> None:
        """Remembers what was last applied of an object, where it says something else than what is live."""
        note = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        if ref.kind not in ROUTES or not note:
            return
        try:
            applied = json.loads(note)
        except ValueError:
            return
        if isinstance(applied, dict) and drift(applied, live):
            self.applied[ref.kind, ref.name] = {**applied, "apiVersion": live["apiVersion"], "kind": ref.kind}

    def changed(self, ref: ObjectRef, live: Object) -> bool | None:
        """True when a ConfigMap or Secret holds other content than it should; None when nothing says what it should."""
        expected = self.expected(ref)
        return None if expected is None else contents(expected.content) != contents(live)

    def past_owner(self, ref: ObjectRef, live: Object) -> bool:
        """True when a ConfigMap or Secret of a Helm release holds what no revision gave it that may be what is live."""
        there = self.installed.get((ref.kind, ref.name))
        given = self.attempted.get((ref.kind, ref.name), [])
        return there is not None and all(contents(one) != contents(live) for one in (there.content, *given))

    def key_differs(self, ref: ObjectRef, live: Object, key: str) -> bool | None:
        """True when one key of it holds something else than it should, or is not there; None when nothing says what."""
        expected = self.expected(ref)
        if expected is None:
            return None
        good, now = contents(expected.content), contents(live)
        return any(good[part].get(key) != now[part].get(key) for part in ("data", "binaryData"))

    async def read_snapshots(self, repository: Repository, keys: set[Key]) -> None:
        """What the good snapshot holds of these, and when those that it lacks were there last."""
        if self.good is not None:
            wanted = [entry async for entry in repository.entries(self.good) if _key(entry) in keys]
            for entry, content in zip(wanted, await repository.get_many(wanted), strict=True):
                self._contents[_key(entry)] = msgspec.json.decode(content)
        for snapshot in self.snapshots[:LOOKED_BACK]:
            if keys <= self._seen.keys():
                return
            async for entry in repository.entries(snapshot):
                if _key(entry) in keys:
                    self._seen.setdefault(_key(entry), snapshot)

    async def read_whole(self, repository: Repository) -> None:
        """The names of everything in the good snapshot, and what it holds of the kinds that are compared as a whole."""
        if self.good is None:
            return
        wanted = []
        async for entry in repository.entries(self.good):
            self.entries[entry.ref.kind, entry.ref.name] = entry
            if entry.ref.kind in _COMPARED or custom(entry.ref.api_version):
                wanted.append(entry)
        for entry, content in zip(wanted, await repository.get_many(wanted), strict=True):
            self._contents[entry.ref.kind, entry.ref.name] = msgspec.json.decode(content)

    async def read_releases(self, cluster: ClusterReader, namespace: str, keys: set[Key]) -> None:
        """What the releases of the namespace hold of these; what can't be read is left out."""
        from backout.helm.records import Records

        try:
            records = Records(cluster, namespace)
            newest = await records.releases()
        except BackoutError:
            return
        await asyncio.gather(*(self._read_release(cluster, records, name, keys) for _, name in newest))

    def add_earlier(self, key: Key, there: Installed) -> None:
        """Remembers what an earlier revision held, unless that is known."""
        known = [self.installed.get(key), *self.earlier.get(key, ())]
        if all(one is None or one.content != there.content for one in known):
            self.earlier.setdefault(key, []).append(there)

    async def _read_release(self, cluster: ClusterReader, records: Any, name: str, keys: set[Key]) -> None:
        from backout.helm.manifest import entries

        target = Target("helm", name, records.namespace, cluster.name)
        kinds = {kind for kind, _ in keys}
        try:
            history = await records.history(name)
            at = next((i for i in reversed(range(len(history))) if history[i].status == "deployed"), len(history) - 1)
            for record in history[at + 1 :]:
                release = await records.load(record)
                for entry in entries(release.manifest, kinds):
                    if (entry.kind, entry.name) in keys and entry.namespace(records.namespace) == records.namespace:
                        self.attempted.setdefault((entry.kind, entry.name), []).append(entry.object)
            missing = set(keys)
            for record in reversed(history[: at + 1]):
                release = await records.load(record)
                for entry in entries(release.manifest, kinds):
                    key = (entry.kind, entry.name)
                    if key not in missing or entry.namespace(records.namespace) != records.namespace:
                        continue
                    there = Installed(release=target, revision=record.revision, content=entry.object)
                    missing.discard(key)
                    if record is history[at]:
                        self.installed[key] = there
                    else:
                        self.removed[key] = target
                if not missing:
                    break
            routes = {key for key in keys if key[0] in ROUTES and key in self.installed}
            for record in reversed(history[max(0, at - REVISIONS) : at] if routes else ()):
                release = await records.load(record)
                for entry in entries(release.manifest, set(ROUTES)):
                    key = (entry.kind, entry.name)
                    if key in routes and entry.namespace(records.namespace) == records.namespace:
                        self.add_earlier(key, Installed(release=target, revision=record.revision, content=entry.object))
        except BackoutError:
            return


def _of_revision(there: Installed) -> Expected:
    source = msg("revision {number} of {release}", number=there.revision, release=str(there.release))
    return Expected(content=there.content, source=source, good=False)


def _key(entry: Entry) -> Key:
    return (entry.ref.kind, entry.ref.name) if entry.ref.kind in OBJECT_RESOURCES else ("", "")


def contents(obj: Object) -> dict[str, Any]:
    """What a ConfigMap or Secret holds, as the API server stores it: text that was given plain is encoded."""
    data = dict(obj.get("data") or {})
    if obj.get("kind") == "Secret":
        for key, value in (obj.get("stringData") or {}).items():
            data[key] = base64.b64encode(str(value).encode()).decode()
    kind = (obj.get("type") or "Opaque") if obj.get("kind") == "Secret" else ""
    return {
        "data": data,
        "binaryData": obj.get("binaryData") or {},
        "type": kind,
        "immutable": bool(obj.get("immutable")),
    }


class Baselines:
    """Reads the baseline of each namespace that somebody asks for."""

    def __init__(self, cluster: ClusterReader) -> None:
        self._cluster = cluster

    async def of(self, namespace: str, refs: Iterable[ObjectRef]) -> Baseline:
        """What is known of these objects of one namespace of this cluster."""
        keys = {(ref.kind, ref.name) for ref in refs}
        if not keys:
            return Baseline()
        baseline = await self._snapshots(namespace, keys)
        await baseline.read_releases(self._cluster, namespace, keys)
        return baseline

    async def whole(self, namespace: str) -> Baseline:
        """Everything that the last good snapshot of a namespace holds, by name."""
        return await self._snapshots(namespace, None)

    async def _snapshots(self, namespace: str, keys: set[Key] | None) -> Baseline:
        """Snapshots that an archive brought from elsewhere say nothing of this cluster's baseline: they are left out."""
        from backout.snapshots import source

        try:
            async with source.opened() as repository:
                if repository is None:
                    return Baseline()
                found = await repository.snapshots(await self._cluster.identity(), namespace)
                baseline = Baseline(snapshot for snapshot in found if not snapshot.imported_from)
                if keys is None:
                    await baseline.read_whole(repository)
                else:
                    await baseline.read_snapshots(repository, keys)
                return baseline
        except BackoutError as error:
            return Baseline(
                note=msg("The snapshots can't be read, so they say nothing of what it was: {why}", why=error.message)
            )
