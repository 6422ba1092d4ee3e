# SPDX-License-Identifier: Apache-2.0
"""The owner of each object of a snapshot, in words that are kept with it."""

from __future__ import annotations

from typing import NamedTuple

from backout.cluster.port import ClusterReader, Object
from backout.kube.names import HELM_RELEASE
from backout.kube.sanitise import controller, helm_record
from backout.ownership.owner import Ownership
from backout.ownership.signs import managers

_CERTIFICATE = "cert-manager.io/certificate-name"


class Owned(NamedTuple):
    """``name`` as ``helm/thanos`` or ``prometheus/main``; ``kind`` as `backout.ownership.owner` tells it."""

    name: str = ""
    kind: str = "none"


NOBODY = Owned()


class Owners:
    """The owners of one namespace's objects."""

    def __init__(self, reader: ClusterReader) -> None:
        self._ownership = Ownership(reader)

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
        if HELM_RELEASE not in annotations and not managers(obj):
            return NOBODY
        owner = await self._ownership.of(obj)
        if owner.target is not None:
            return Owned(str(owner.target), owner.kind)
        return Owned(owner.manager.name, owner.kind) if owner.manager is not None else NOBODY
