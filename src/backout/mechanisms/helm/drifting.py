# SPDX-License-Identifier: Apache-2.0
"""Single objects of a release that somebody changed or deleted past it: what a rollback to the same revision is too much for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from backout.cluster.port import ClusterReader
from backout.errors import AccessDenied, BackoutError, ObjectNotFound
from backout.helm.manifest import Entry, entries
from backout.helm.records import Records
from backout.kube.intent import drift
from backout.kube.resources import OBJECT_RESOURCES
from backout.model.target import OBJECTS, Target

AT_ONCE = 16
_NAMES = {kind: name for name, (_, kind) in OBJECTS.items()}


async def past_it(reader: ClusterReader, target: Target) -> Sequence[Target]:
    """Those of the release's own namespace, in the order in which they need each other; none where Helm is at work or failed.

    Raises:
        BackoutError: the release can't be read.
    """
    records = Records(reader, target.namespace)
    head = await records.head(target.name)
    if head.status != "deployed":
        return ()
    manifest = (await records.load(head)).manifest
    mine = [
        entry
        for entry in entries(manifest, set(OBJECT_RESOURCES))
        if entry.namespace(target.namespace) == target.namespace
        and entry.api_version == OBJECT_RESOURCES[entry.kind].api_version
    ]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(entry: Entry) -> bool:
        async with gate:
            resource = OBJECT_RESOURCES[entry.kind]
            try:
                found = await reader.get(resource, entry.name, target.namespace)
            except ObjectNotFound:
                return True
            except (AccessDenied, BackoutError):
                return False
        return bool(drift(entry.object, {"apiVersion": resource.api_version, "kind": resource.kind, **found}))

    strayed = await asyncio.gather(*(one(entry) for entry in mine))
    found = [entry for entry, is_so in zip(mine, strayed, strict=True) if is_so]
    order = list(OBJECT_RESOURCES)
    found.sort(key=lambda entry: (order.index(entry.kind), entry.name))
    return [Target(_NAMES[entry.kind], entry.name, target.namespace, target.cluster) for entry in found]
