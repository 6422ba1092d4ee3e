# SPDX-License-Identifier: Apache-2.0
"""What the Helm release that an object belongs to says of it: at its next upgrade, and now, past whom somebody changed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import AccessDenied, BackoutError, NotFoundError
from backout.helm.records import Record, Records
from backout.kube.intent import canonical
from backout.kube.names import HELM_NAMESPACE, HELM_RELEASE
from backout.kube.templates import covers
from backout.mechanisms.objects.content import Declared, FromRelease, manifest_object, of_release
from backout.model.message import Message, msg
from backout.model.target import ObjectRef
from backout.ownership.owners import Owned


class HelmSays(msgspec.Struct, frozen=True, kw_only=True):
    """``agrees``: the manifest of the release's newest revision holds the same content; None when it is not known.

    ``server_side``: the release is written by server-side apply, which minds who wrote a field last.
    """

    release: str
    revision: int = 0
    agrees: bool | None = None
    server_side: bool = False


async def release_says(
    cluster: ClusterReader, ref: ObjectRef, live: Object | None, past: Sequence[Object]
) -> Declared | None:
    """What the release says that has an object, by its marks (``past``: what the object was, oldest first); of one that is
    gone and was never seen, whichever release of the namespace has it. None where none has it, or Helm is at work or
    failed: then its newest revision is not in force."""
    known = live if live is not None else past[-1] if past else None
    try:
        if known is not None:
            notes = known["metadata"].get("annotations") or {}
            name, place = str(notes.get(HELM_RELEASE) or ""), str(notes.get(HELM_NAMESPACE) or ref.namespace)
            return await _of_release(Records(cluster, place), name, ref) if name else None
        records = Records(cluster, ref.namespace)
        for _, name in sorted(await records.releases()):
            if (found := await _of_release(records, name, ref)) is not None:
                return found
    except BackoutError:
        # Without it there are the snapshots all the same.
        return None
    return None


def is_of_release(live: Object) -> bool:
    """Whether the object has the marks of a release, be it one that can't be read."""
    return HELM_RELEASE in (live["metadata"].get("annotations") or {})


async def _of_release(records: Records, name: str, ref: ObjectRef) -> Declared | None:
    head: Record = await records.head(name)
    if head.status != "deployed":
        return None
    manifest = await manifest_object(records, head, ref)
    if manifest is None or manifest.get("apiVersion") != ref.api_version:
        # Two versions of an API are not held against each other.
        return None
    release, origin = await records.load(head), FromRelease(name, records.namespace, head.revision)
    return Declared(origin=origin, content=of_release(manifest, ref, origin), since=release.deployed_at or head.created)


async def helm_says(cluster: ClusterReader, owner: Owned, content: Object) -> HelmSays | None:
    """Holds the content against the release that owns the object; None when no release does."""
    if owner.kind != "helm":
        return None
    release, namespace = owner.name.partition("/")[2], str(content["metadata"].get("namespace") or "")
    annotations = content["metadata"].get("annotations") or {}
    place = str(annotations.get(HELM_NAMESPACE) or namespace)
    records = Records(cluster, place)
    try:
        head = await records.head(release)
        loaded = await records.load(head)
        ref = ObjectRef.of(content)
        mine = await manifest_object(records, head, msgspec.structs.replace(ref, namespace=namespace or place))
    except (AccessDenied, NotFoundError):
        return HelmSays(release=release)
    except BackoutError:
        return HelmSays(release=release)
    if mine is not None and mine.get("apiVersion") != content.get("apiVersion"):
        return HelmSays(release=release, revision=head.revision, server_side=loaded.server_side)
    agrees = covers(_content(content), _content(mine)) if mine is not None else False
    return HelmSays(release=release, revision=head.revision, agrees=agrees, server_side=loaded.server_side)


def _content(obj: Object) -> dict[str, Any]:
    return {key: value for key, value in canonical(obj).items() if key != "metadata"}


def consequence(says: HelmSays) -> Message:
    """What the reader has to know of the release."""
    if says.agrees is None:
        return msg(
            "It belongs to the Helm release {name}, whose manifest could not be read: its next upgrade or "
            "rollback writes what the chart says.",
            name=says.release,
        )
    if says.agrees:
        return msg(
            "It belongs to the Helm release {name}, and revision {number} of that has the same content: Helm "
            "will agree.",
            name=says.release,
            number=says.revision,
        )
    return msg(
        "It belongs to the Helm release {name}, whose revision {number} has other content: the next upgrade or "
        "rollback writes that again. Change the chart's values before.",
        name=says.release,
        number=says.revision,
    )
