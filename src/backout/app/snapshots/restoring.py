# SPDX-License-Identifier: Apache-2.0
"""Puts objects back exactly as a snapshot has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.app.events import LocksLeft, StateKept
from backout.app.running import actor
from backout.app.snapshots.opening import cluster_of, find, opened
from backout.app.snapshots.taking import taken
from backout.errors import RefusedError
from backout.model.message import msg

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.cluster.port import Cluster
    from backout.model.snapshot import Snapshot
    from backout.snapshots.repository import Repository
    from backout.snapshots.restore_plan import RestoreItem

PARTLY = 8
REFUSED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What is to be done to each object, or what was done; ``before`` is the snapshot of the state before.

    ``refused``: somebody was asked and said no, so nothing was written.
    """

    snapshot: Snapshot
    items: tuple[RestoreItem, ...]
    dry_run: bool = False
    before: str = ""
    refused: bool = False

    @property
    def exit_code(self) -> int:
        """0 when all that was asked for is so."""
        lost = any(item.state in ("failed", "unknown", "not-reached") for item in self.items)
        blocked = any(item.action == "blocked" for item in self.items)
        done = any(item.state == "done" for item in self.items)
        unknown = any(item.state == "unknown" for item in self.items)
        if (lost or blocked) and (done or unknown):
            return PARTLY
        return REFUSED if lost or blocked else 0


async def restore(
    workspace: Workspace,
    name: str,
    objects: Sequence[str] = (),
    *,
    kinds: Sequence[str] = (),
    approved: Sequence[str] = (),
    include_owned: bool = False,
    partial: bool = False,
    keep_state: bool = True,
    dry_run: bool = False,
    show: Callable[[Restored], None] = lambda found: None,
    stopped: Callable[[Restored], None] = lambda found: None,
    confirm: Callable[[], bool] = lambda: True,
) -> Restored:
    """Puts objects back as snapshot ``name`` has them: all, those of ``kinds``, or single ones (kind/name).

    ``show`` gets what is to be done before anything is refused or asked for; ``confirm`` is asked before the first
    write; ``stopped`` gets how far it came when it is cancelled. With ``keep_state`` the present state is kept in a snapshot first.

    Raises:
        RefusedError: a risk was not approved, or an object can't be put back and ``partial`` is False.
        LockedError: somebody works on what would be written.
        BackoutError: the cluster or the repository can't be used.
    """
    from backout.snapshots.reservation import reserved
    from backout.snapshots.restore import carry_out, require_possible
    from backout.snapshots.restore_plan import plan_restore
    from backout.snapshots.selection import Selection

    selection = Selection(tuple(objects), tuple(kinds))
    async with opened(workspace) as repository:
        found = await find(workspace, repository, name)
        async with cluster_of(workspace, found) as cluster:
            _refuse_protected(workspace, found)
            plan = await plan_restore(cluster, repository, found, selection, include_owned=include_owned)
            if not dry_run:
                show(Restored(snapshot=found, items=plan.items))
                require_possible(plan, tuple(approved), partial=partial)
            if dry_run or not any(item.writes for item in plan.items):
                return Restored(snapshot=found, items=plan.items, dry_run=dry_run)
            if not confirm():
                return Restored(snapshot=found, items=plan.items, refused=True)
            async with reserved(cluster, plan, actor=actor()) as guard:
                before = await _before(workspace, cluster, repository, found) if keep_state else ""
                try:
                    await carry_out(cluster, plan, guard=guard)
                except asyncio.CancelledError:
                    stopped(Restored(snapshot=found, items=plan.items, before=before))
                    raise
            if guard.left is not None:
                workspace.tell(LocksLeft(guard.left))
            return Restored(snapshot=found, items=plan.items, before=before)


def _refuse_protected(workspace: Workspace, snapshot: Snapshot) -> None:
    if snapshot.namespace in workspace.settings.policy.protected:
        raise RefusedError(
            "The namespace {namespace} is protected: nothing is written there.",
            namespace=snapshot.namespace,
            hint="policy.protected in the configuration lists these namespaces",
        )


async def _before(workspace: Workspace, cluster: Cluster, repository: Repository, snapshot: Snapshot) -> str:
    """The present state, so that the restore itself can be taken back."""
    message = msg("before the restore of {id}", id=snapshot.short).text
    result = await taken(workspace, cluster, repository, snapshot.namespace, kind="run", message=message, incident=True)
    workspace.tell(StateKept(result.snapshot.short))
    return result.snapshot.id
