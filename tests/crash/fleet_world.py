# SPDX-License-Identifier: Apache-2.0
"""Operations over several small clusters, each with one file to write; what carries them out is the real thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rollback_world import part as plain_part
from rollback_world import sealed

from backout.model.fleet import Fleet, Wave
from backout.model.operation import Operation
from backout.model.part import Compensation, Part
from backout.model.scope import ClusterIdentity, ClusterScope


def of(cluster: str, *needs: str, name: str = "", **more: Any) -> Part:
    """A part on one cluster, which writes one file, called as the cluster is."""
    plain = plain_part()
    file = name or cluster
    step = msgspec.structs.replace(
        plain.steps[0],
        id="write",
        params={"name": file, "text": "new"},
        compensation=Compensation("file.write", {"name": file, "text": "old"}),
    )
    scope = ClusterScope(cluster=cluster, namespace="monitoring", identity=ClusterIdentity(f"uid-{cluster}", "ca"))
    return plain_part(id=f"{cluster}/{name or 'web'}", needs=needs, scope=scope, steps=(step,), **more)


def fleet(*waves: Sequence[Part], **more: Any) -> Operation:
    """The operation of these waves; what else there is to say of a fleet as ``more``."""
    values: dict[str, Any] = {
        "parallel": 10,
        "max_failures": 0,
        "on_failure": "stop",
        "soak": 0.0,
        "deadline": 0.0,
        "unplanned": "refuse",
    }
    made = tuple(Wave(asked=str(len(wave)), parts=tuple(part.id for part in wave)) for wave in waves)
    return sealed(*(part for wave in waves for part in wave), fleet=Fleet(waves=made, **(values | more)))


def restored(made: Operation) -> Any:
    """What stands for the reading of a workload whose former content is in force again."""

    async def read(self: Any, cluster: Any, target: Any, *_: Any) -> Any:
        from types import SimpleNamespace

        former = msgspec.structs.replace(made.parts[0].revision, digest="bad", current=True)
        return SimpleNamespace(revisions=(former,))

    return read
