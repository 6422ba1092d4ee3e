# SPDX-License-Identifier: Apache-2.0
"""Absent is not healthy: before anything is called well, what was named has to be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.app.whereabouts import sought
from backout.cluster.namespaces import require_namespace
from backout.errors import BackoutError, NotFoundError

if TYPE_CHECKING:
    from backout.cluster.port import ClusterReader
    from backout.model.target import Target


async def require_there(cluster: ClusterReader, namespace: str, targets: Sequence[Target] = ()) -> None:
    """Makes sure that the namespace (empty: all of them) and the targets exist.

    What can't be read is not called absent: that it can't is said elsewhere.

    Raises:
        NotFoundError: one is not there.
        BackoutError: the cluster can't be asked.
    """
    from backout.mechanisms import registry
    from backout.mechanisms.port import Options, current_revision

    for place in dict.fromkeys([target.namespace for target in targets] or [namespace]):
        if place:
            await require_namespace(cluster, place)
    for target in targets:
        try:
            async with sought(cluster, target):
                reading = await registry.of_kind(target.kind).read(cluster, target, options=Options(present=True))
        except NotFoundError:
            raise
        except BackoutError:
            continue
        current = current_revision(reading.revisions)
        if current is not None and current.removed:
            raise NotFoundError(
                "{target} is {status}; only its history is kept.",
                target=str(target),
                status=current.status,
                hint="Install it again to have it back.",
            )
