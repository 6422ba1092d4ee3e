# SPDX-License-Identifier: Apache-2.0
"""Takes a run back: the plan of it first, which is then carried out as any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.app.running import carry_out, preload
from backout.app.store import open_store

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.plan import Plan
    from backout.model.run import Run


@dataclass(frozen=True, slots=True)
class Undo:
    """The plan that takes a run back, over an open connection."""

    plan: Plan
    workspace: Workspace
    cluster: Cluster

    async def carry_out(self) -> Run:
        """As `backout.app.running.carry_out`."""
        return await carry_out(self.workspace, self.cluster, self.plan)


@asynccontextmanager
async def undo(workspace: Workspace, name: str = "latest") -> AsyncIterator[Undo]:
    """The way forward again for a run; nothing is written until it is carried out.

    Raises:
        RunNotFound: no such run.
        NothingToDo: it changed nothing.
        RefusedError: it is not over, was taken back already, or can't be taken back.
        CaptureError: what it had kept is needed, and can't be read.
    """
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.undo import undo_plan

    with open_store(workspace) as store:
        found = store.get(store.find(name))
        events, digest = store.events(found.id), store.capture_digest(found.id)
    preload()
    async with workspace.cluster(workspace.contexts[0] or found.plan.cluster) as cluster:
        yield Undo(undo_plan(found, events, await cluster.server_time(), CaptureStore(), digest), workspace, cluster)
