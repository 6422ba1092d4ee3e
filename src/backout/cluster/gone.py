# SPDX-License-Identifier: Apache-2.0
"""Waits until a deleted object is gone: with ``Orphan`` or ``Foreground`` the API server answers while it still is."""

from __future__ import annotations

import asyncio
from typing import Final

from backout.cluster.port import ClusterReader, Resource
from backout.errors import TimedOut
from backout.model.target import ObjectRef

GONE_WITHIN: Final = 60.0
"""Seconds within which an object that was deleted is gone, so that it can be made anew."""


async def until_gone(cluster: ClusterReader, resource: Resource, ref: ObjectRef, uid: str) -> None:
    """Returns once the object with that uid does not exist any more.

    Raises:
        TimedOut: something keeps it from being deleted.
    """
    seen = False
    try:
        async with asyncio.timeout(GONE_WITHIN):
            async for event in cluster.watch(resource, ref.namespace, fields=f"metadata.name={ref.name}"):
                mine = event.type != "SYNCED" and event.object["metadata"]["uid"] == uid
                if (event.type == "DELETED" and mine) or (event.type == "SYNCED" and not seen):
                    return
                seen = seen or mine
    except TimeoutError:
        raise TimedOut(
            "{ref} was deleted, but is still there after {seconds} s.",
            ref=str(ref),
            seconds=GONE_WITHIN,
            hint="Look at its finalizers: kubectl get {kind} {name} -n {namespace} -o yaml",
            kind=ref.kind.lower(),
            name=ref.name,
            namespace=ref.namespace,
        ) from None
