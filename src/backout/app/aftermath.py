# SPDX-License-Identifier: Apache-2.0
"""What else a diagnosis found broken when the way back was planned: does it still fail once that was gone?

Programs that only need the broken one come back by themselves with their next start; what has a cause of its own does not, and whoever
reads "recovered" must not take it for mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.app.events import StillBroken
from backout.errors import BackoutError

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.diagnosis import Diagnosis, Problem
    from backout.model.run import Run
    from backout.model.target import Target

PATIENCE = 45.0
"""Seconds for a container in back-off to be started again: by then it has been so often that it waits for minutes otherwise."""
LOOK = 3.0


@dataclass(frozen=True, slots=True)
class Other:
    """Something broken that no plan acts on."""

    cluster: str
    namespace: str
    target: Target


def others(diagnosis: Diagnosis, cluster: str, namespace: str, acted_on: Sequence[Target]) -> list[Other]:
    """What the diagnosis found besides."""
    acted = set(acted_on)
    return [
        Other(cluster, namespace, problem.target)
        for problem in diagnosis.problems
        if problem.target not in acted and not acted & set(problem.owners)
    ]


async def tell_what_still_fails(workspace: Workspace, found: Sequence[Other], runs: Sequence[Run]) -> None:
    """Gives the others the time for their next start, and names those that still fail then. Nothing to do where no run recovered."""
    if not any(run.state == "recovered" for run in runs):
        return
    for cluster, namespace in dict.fromkeys((other.cluster, other.namespace) for other in found):
        targets = {other.target for other in found if (other.cluster, other.namespace) == (cluster, namespace)}
        try:
            async with workspace.cluster(cluster) as reached:
                for problem in await _left(reached, namespace, targets):
                    workspace.tell(StillBroken(problem))
        except BackoutError:
            continue  # what can't be read now was told as broken before


async def _left(cluster: Cluster, namespace: str, targets: set[Target]) -> list[Problem]:
    from backout.diagnosis.diagnose import diagnose

    end = asyncio.get_running_loop().time() + PATIENCE
    while True:
        seen = await diagnose(cluster, namespace)
        left = [problem for problem in seen.problems if problem.target in targets]
        if not left or asyncio.get_running_loop().time() > end:
            return left
        await asyncio.sleep(LOOK)
