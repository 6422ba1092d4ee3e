# SPDX-License-Identifier: Apache-2.0
"""What a workload is declared to be: by the release that has it, else by the last good snapshot of a workload made anew.

It is a way back of its own where somebody edited the workload by hand: just that is taken back. A snapshot may be older
than changes that were meant, so it speaks only where the history holds nothing else, and for what was changed together
with the template in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backout.changes.authors import Author, author_of, authors
from backout.cluster.port import ClusterReader, Object
from backout.errors import BackoutError
from backout.helm.manifest import entries
from backout.helm.records import Records
from backout.kube.diff import diff_objects
from backout.kube.intent import drift
from backout.kube.names import HELM_RELEASE
from backout.kube.templates import digest_of, plain_template
from backout.mechanisms.workload.change import dry_run
from backout.model.message import Message, msg
from backout.model.target import ObjectRef
from backout.snapshots import source

SETTABLE = ("replicas", "strategy", "updateStrategy", "minReadySeconds", "progressDeadlineSeconds", "paused")
"""Parts of the spec beside the template that may be changed, and that hold no secret."""
TOGETHER = timedelta(seconds=5)


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """``template`` as the server stores it, with its digest; ``parts`` of the spec to be set with it (None: taken away).

    ``origin`` says where a step finds it again: ``release`` and ``revision``, or ``snapshot``.
    """

    template: dict[str, Any]
    digest: str
    parts: dict[str, Any]
    label: Message
    origin: dict[str, Any]

    @property
    def release(self) -> str:
        """The release that declares it; empty for a snapshot."""
        return str(self.origin.get("release") or "")


async def declared(reader: ClusterReader, obj: Object, digest: str, kept: Iterable[str]) -> Declared | None:
    """What the live workload should be, where it is something else; ``kept`` are digests of templates in its history."""
    name = str((obj["metadata"].get("annotations") or {}).get(HELM_RELEASE) or "")
    try:
        if name and (found := await _by_release(reader, obj, name)) is not None:
            return found
        return None if name else await _by_snapshot(reader, obj, digest, set(kept))
    except BackoutError:
        # Without it there is the history all the same.
        return None


async def _by_release(reader: ClusterReader, obj: Object, name: str) -> Declared | None:
    manifest, revision = await release_object(reader, obj, name)
    if manifest is None:
        return None
    changed = [field for field in drift(manifest, obj) if field.path.startswith("spec") and _by_hand(obj, field.path)]
    if not changed:
        return None
    parts = {_part(field.path) for field in changed}
    template, wanted = obj["spec"]["template"], manifest.get("spec") or {}
    if "template" in parts:
        stored = await dry_run(reader, obj, plain_template(wanted.get("template") or {}), "")
        template = stored["spec"]["template"]
    plain = plain_template(template)
    return Declared(
        template=plain,
        digest=digest_of(plain),
        parts={part: wanted.get(part, _DEFAULTS.get(part)) for part in SETTABLE if part in parts},
        label=msg("Revision {number} of helm/{release} says so.", number=revision, release=name),
        origin={"release": name, "revision": revision},
    )


_DEFAULTS = {"replicas": 1}


async def release_object(reader: ClusterReader, obj: Object, name: str) -> tuple[Object | None, int]:
    """The workload in the manifest of the revision that Helm calls deployed, and the number of that."""
    namespace = obj["metadata"]["namespace"]
    records = Records(reader, namespace)
    history = await records.history(name)
    record = next((one for one in reversed(history) if one.status == "deployed"), None)
    if record is None or record is not history[-1]:
        return None, 0
    release = await records.load(record)
    mine = (obj["kind"], obj["metadata"]["name"])
    found = next((e.object for e in entries(release.manifest, {obj["kind"]}) if (e.kind, e.name) == mine), None)
    return found, record.revision


async def _by_snapshot(reader: ClusterReader, obj: Object, digest: str, kept: set[str]) -> Declared | None:
    found, snapshot = await snapshot_object(reader, obj)
    if found is None:
        return None
    template = plain_template(found["spec"].get("template") or {})
    mine = digest_of(template)
    fields = [f for f in diff_objects(_beside(found), _beside(obj)) if f.path.startswith("spec")]
    parts = {_part(field.path) for field in fields if _together(obj, field.path)}
    if mine not in kept and len(kept) > 1:
        return None
    if mine == digest and not parts:
        return None
    return Declared(
        template=template,
        digest=mine,
        parts={part: found["spec"].get(part) for part in SETTABLE if part in parts},
        label=msg("Snapshot {id} holds it, which was taken while everything was healthy.", id=snapshot),
        origin={"snapshot": snapshot},
    )


async def snapshot_object(reader: ClusterReader, obj: Object) -> tuple[Object | None, str]:
    """The workload in the last good snapshot of its namespace, and the snapshot's short id."""
    ref = ObjectRef.of(obj)
    async with source.opened() as repository:
        if repository is None:
            return None, ""
        snapshots = await repository.snapshots(await reader.identity(), ref.namespace)
        good = next((one for one in snapshots if one.vouches), None)
        if good is None:
            return None, ""
        async for entry in repository.entries(good):
            if (entry.ref.kind, entry.ref.name) == (ref.kind, ref.name):
                (content,) = await repository.get_many([entry])
                found: Object = msgspec.json.decode(content)
                return found, good.short
    return None, ""


def _by_hand(obj: Object, path: str) -> bool:
    """False for what only controllers wrote, such as the replicas that an autoscaler sets."""
    owning = [author for author in authors(obj) if author.owns(path)]
    return not owning or any(author.by != "cluster" for author in owning)


def _together(obj: Object, path: str) -> bool:
    """True for what was changed together with the template in force, and for replicas that are 0."""
    if path == "spec.replicas" and obj["spec"].get("replicas") == 0:
        return True
    found = authors(obj)
    author, template = author_of(found, path), _newest(found)
    return author is not None and template is not None and abs(author.at - template) <= TOGETHER


def _newest(found: Iterable[Author]) -> datetime | None:
    return max((a.at for a in found if a.by == "other" and a.owns("spec.template")), default=None)


def _beside(obj: Object) -> Object:
    return {"spec": {key: value for key, value in obj["spec"].items() if key in SETTABLE}}


def _part(path: str) -> str:
    return path.removeprefix("spec.").partition(".")[0].partition("[")[0]
