# SPDX-License-Identifier: Apache-2.0
"""Who would undo a change of an object, for thousands of objects: each release and application is looked up once."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from backout.cluster.port import Cluster, Object
from backout.kube.sanitise import controller, helm_record
from backout.ownership.owner import INSTANCE, RELEASE_NAME, RELEASE_NAMESPACE, TRACKING, owner_of

_CERTIFICATE = "cert-manager.io/certificate-name"


class Owned(NamedTuple):
    """``name`` as ``helm/thanos`` or ``prometheus/main``; ``kind`` as `backout.ownership.owner` tells it."""

    name: str = ""
    kind: str = "none"


NOBODY = Owned()


class Owners:
    """The owners of one namespace's objects."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[str, str, str], asyncio.Task[Owned]] = {}

    async def of(self, obj: Object) -> Owned:
        """The owner of an object as the API gave it."""
        above = controller(obj)
        if above is not None:
            return Owned(f"{str(above['kind']).lower()}/{above['name']}", "operator")
        meta = obj["metadata"]
        annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
        if helm_record(obj):
            return Owned(f"helm/{labels.get('name', '')}", "helm")
        if obj["kind"] == "Secret" and _CERTIFICATE in annotations:
            return Owned(f"certificate/{annotations[_CERTIFICATE]}", "operator")
        marks = (
            str(annotations.get(TRACKING, "")).partition(":")[0] or str(labels.get(INSTANCE, "")),
            str(annotations.get(RELEASE_NAME, "")),
            str(annotations.get(RELEASE_NAMESPACE, "")),
        )
        if not marks[0] and not marks[1]:
            return NOBODY
        if marks not in self._known:
            self._known[marks] = asyncio.create_task(self._ask(obj))
        return await self._known[marks]

    async def _ask(self, obj: Object) -> Owned:
        owner = await owner_of(self._cluster, obj)
        return Owned(str(owner.target), owner.kind) if owner.target is not None else NOBODY
