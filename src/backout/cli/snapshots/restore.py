# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backout.cluster.port import Cluster
    from backout.model.snapshot import Snapshot
    from backout.snapshots.repository import Repository
    from backout.snapshots.restore_plan import RestoreItem


@click.command("restore")
@click.argument("snapshot")
@click.argument("objects", nargs=-1, metavar="[KIND/NAME]...")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="All objects of this kind; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Compare, let the server try every write, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", "approved", multiple=True, metavar="CODE", help="Say yes to a risk: recreate.")
@click.option("--include-owned", is_flag=True, help="Also what controllers made, and Helm's own history.")
@click.option("--partial", is_flag=True, help="Go on without the objects that can't be put back.")
@click.option("--no-snapshot", is_flag=True, help="Take no snapshot of the present state first.")
@common_options
@with_session
async def command(
    session: Session,
    snapshot: str,
    objects: tuple[str, ...],
    kinds: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    approved: tuple[str, ...],
    include_owned: bool,
    partial: bool,
    no_snapshot: bool,
) -> int:
    """Puts objects back exactly as SNAPSHOT has them: all, those of kinds, or single ones.

    Keys that were added since go away. Objects that were created since stay. The present state is kept in a snapshot
    first. What is written is reserved as runs do it: exit code 6 when somebody works on it. Exit code 8 when only a
    part was put back.
    """
    import asyncio

    from backout.cli.running import actor, ask
    from backout.cli.snapshots.opening import cluster_of, find, opened
    from backout.snapshots.reservation import reserved
    from backout.snapshots.restore import carry_out, require_possible
    from backout.snapshots.restore_plan import plan_restore
    from backout.snapshots.selection import Selection

    selection = Selection(objects, kinds)
    async with opened(session) as repository:
        found = await find(session, repository, snapshot)
        async with cluster_of(session, found) as cluster:
            _refuse_protected(session, found)
            plan = await plan_restore(cluster, repository, found, selection, include_owned=include_owned)
            if not dry_run:
                if session.text:
                    _show(session, found, plan.items, err=True)
                require_possible(plan, approved, partial=partial)
            writes = sum(1 for item in plan.items if item.writes)
            if dry_run or not writes:
                return _tell(session, found, plan.items, dry_run=dry_run)
            if not yes and not ask(session, "Put these objects back?"):
                session.note("Nothing was written.")
                return 0
            async with reserved(cluster, plan, actor=actor()) as guard:
                before = "" if no_snapshot else await _before(session, cluster, repository, found)
                try:
                    await carry_out(cluster, plan, guard=guard)
                except asyncio.CancelledError:
                    _tell(session, found, plan.items, dry_run=False, before=before)
                    raise
            return _tell(session, found, plan.items, dry_run=False, before=before)


def _refuse_protected(session: Session, snapshot: Snapshot) -> None:
    from backout.errors import RefusedError

    if snapshot.namespace in session.settings.policy.protected:
        raise RefusedError(
            "The namespace {namespace} is protected: nothing is written there.",
            namespace=snapshot.namespace,
            hint="policy.protected in the configuration lists these namespaces",
        )


async def _before(session: Session, cluster: Cluster, repository: Repository, snapshot: Snapshot) -> str:
    """The present state, so that the restore itself can be taken back."""
    from backout.cli.snapshots.create import taken

    message = session.page().say("before the restore of {id}", id=snapshot.short)
    result = await taken(session, cluster, repository, snapshot.namespace, kind="run", message=message, incident=True)
    session.note("The present state is kept in snapshot {id}.", id=result.snapshot.short)
    return result.snapshot.id


def _show(session: Session, snapshot: Snapshot, items: Sequence[RestoreItem], *, err: bool = False) -> None:
    from backout.cli.views.snapshot_work import show_restore

    page = session.page()
    show_restore(page, snapshot, items)
    click.echo("\n".join(page.lines), err=err)


def _tell(
    session: Session, snapshot: Snapshot, items: Sequence[RestoreItem], *, dry_run: bool, before: str = ""
) -> int:
    from backout.cli.output import versioned

    lost = any(item.state in ("failed", "unknown", "not-reached") for item in items)
    blocked = any(item.action == "blocked" for item in items)
    done = any(item.state == "done" for item in items)
    code = 8 if (lost or blocked) and (done or any(item.state == "unknown" for item in items)) else 5 if lost else 0
    if blocked and not code:
        code = 5
    if session.text:
        _show(session, snapshot, items)
    else:
        session.document(
            versioned(
                "SnapshotRestore", snapshot=snapshot.id, dryRun=dry_run, before=before, items=items, exitCode=code
            )
        )
    return code
