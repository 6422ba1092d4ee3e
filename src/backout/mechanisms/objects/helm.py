# SPDX-License-Identifier: Apache-2.0
"""What the Helm release that an object belongs to would make of it at its next upgrade."""

from __future__ import annotations

from typing import Any

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import AccessDenied, BackoutError, NotFoundError
from backout.helm.manifest import entries
from backout.helm.records import Records
from backout.kube.intent import canonical
from backout.kube.names import HELM_NAMESPACE
from backout.kube.templates import covers
from backout.model.message import Message, msg
from backout.ownership.owners import Owned


class HelmSays(msgspec.Struct, frozen=True, kw_only=True):
    """``agrees``: the manifest of the release's newest revision holds the same content; None when it is not known.

    ``server_side``: the release is written by server-side apply, which minds who wrote a field last.
    """

    release: str
    revision: int = 0
    agrees: bool | None = None
    server_side: bool = False


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
        mine = [
            entry.object
            for entry in entries(loaded.manifest, {str(content["kind"])})
            if entry.name == content["metadata"]["name"] and entry.namespace(place) == (namespace or place)
        ]
    except (AccessDenied, NotFoundError):
        return HelmSays(release=release)
    except BackoutError:
        return HelmSays(release=release)
    agrees = covers(_content(content), _content(mine[0])) if mine else False
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
