# SPDX-License-Identifier: Apache-2.0
"""Takes a run back: the plan of it first, which is then carried out as any other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backout.app.running import carry_out, connected, preload
from backout.app.store import open_store, run_to_undo

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.model.operation import Operation
    from backout.model.run import Run
    from backout.scopes.port import Scopes


@dataclass(frozen=True, slots=True)
class Undo:
    """The plan that takes a run back, over an open connection."""

    plan: Operation
    workspace: Workspace
    scopes: Scopes

    async def carry_out(self) -> Run:
        """As `backout.app.running.carry_out`."""
        return await carry_out(self.workspace, self.scopes, self.plan)


@asynccontextmanager
async def undo(workspace: Workspace, name: str = "latest") -> AsyncIterator[Undo]:
    """The way forward again for a run, of the clusters alone that were named where it went over many; nothing is written until
    it is carried out.

    Raises:
        RunNotFound: no such run.
        UsageError: the latest command made several.
        NothingToDo: it changed nothing.
        RefusedError: it is not over, was taken back already, or can't be taken back.
        CaptureError: what it had kept is needed, and can't be read.
    """
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.undo import undo_operation

    with open_store(workspace) as store:
        found = store.get(run_to_undo(workspace, store, name))
        events = store.events(found.id)
    preload()
    async with connected(workspace, found.operation) as scopes:
        fleet = found.operation.fleet is not None
        # Of many clusters one may be out of reach: that is no reason to take none of them back.
        made_at = datetime.now(UTC) if fleet else await scopes.open(found.operation.parts[0].scope).clock()
        only = workspace.where.contexts if fleet else ()
        yield Undo(undo_operation(found, events, made_at, CaptureStore(), only), workspace, scopes)
