# SPDX-License-Identifier: Apache-2.0
"""How far a rollback came that did not end: which objects say already what the target says, and which do not yet."""

from __future__ import annotations

import asyncio

from backout.cluster.port import ClusterReader, find
from backout.errors import BackoutError
from backout.helm.manifest import Entry, entries
from backout.helm.payload import Release
from backout.helm.records import Record
from backout.kube.intent import drift
from backout.model.message import Message, few, msg

SHOWN = 10
MOST = 200
"""Objects that are looked at."""


async def halfway(reader: ClusterReader, head: Record, before: Release, wanted: Release) -> Message:
    """The state of the release, and what of the difference between two revisions is there already."""
    state = msg("revision {number}, {status}", number=head.revision, status=head.status)
    namespace = wanted.namespace or head.namespace
    former = {entry.key(namespace): entry.object for entry in entries(before.manifest)}
    target = [entry for entry in entries(wanted.manifest) if former.get(entry.key(namespace)) != entry.object]
    if not target or head.status == "deployed":
        return state

    async def there(entry: Entry) -> bool | None:
        try:
            live = await find(reader, entry.ref(namespace))
        except BackoutError:
            return None
        if live is None:
            return False
        # What others set beside it (replicas of an autoscaler) is no part of what goes back.
        return not [field for field in drift(entry.object, live) if field.before is not None]

    seen = await asyncio.gather(*(there(entry) for entry in target[:MOST]))
    names = [str(entry.ref(namespace)) for entry in target]
    back = [name for name, found in zip(names, seen, strict=False) if found]
    left = [name for name, found in zip(names, seen, strict=False) if found is False]
    if back and left:
        return msg(
            "{state}; back already: {back}; not yet: {left}", state=state, back=few(back, SHOWN), left=few(left, SHOWN)
        )
    if back:
        return msg("{state}; back already: {back}", state=state, back=few(back, SHOWN))
    return msg("{state}; none of it is back yet: {left}", state=state, left=few(left, SHOWN)) if left else state
