# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot prune`."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session

_COUNT = click.IntRange(0, 100_000)


@click.command("prune")
@click.option("--keep-last", default=0, type=_COUNT, metavar="N", help="Keep the newest N.")
@click.option("--keep-daily", default=0, type=_COUNT, metavar="N", help="Keep the newest of each of the last N days.")
@click.option("--keep-weekly", default=0, type=_COUNT, metavar="N", help="Keep the newest of each of the last N weeks.")
@click.option("--keep-tagged", is_flag=True, help="Keep all that have a tag.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common_options
@with_session
async def command(
    session: Session, keep_last: int, keep_daily: int, keep_weekly: int, keep_tagged: bool, dry_run: bool, yes: bool
) -> int:
    """Removes snapshots that no --keep option keeps, then what nothing refers to. Without --keep, no snapshot goes.

    Each cluster, namespace and kind (asked for, before a run, of an incident) counts for itself; the newest one that is
    known to be good is always kept.
    """
    from backout.cli.output import versioned
    from backout.cli.running import ask
    from backout.cli.snapshots.opening import opened
    from backout.cli.views.snapshot import as_item, show_pruned
    from backout.snapshots.repository.prune import prune
    from backout.snapshots.repository.retention import Policy

    policy = Policy(last=keep_last, daily=keep_daily, weekly=keep_weekly, tagged=keep_tagged)
    async with opened(session) as repository:
        result = await prune(repository, policy, dry_run=True)
        if not dry_run:
            if result.removed and not yes:
                page = session.page()
                show_pruned(page, result, done=False)
                click.echo("\n".join(page.lines), err=True)
                if not ask(session, "Remove these snapshots?"):
                    session.note("Nothing was removed.")
                    return 0
            result = await prune(repository, policy)
    if session.text:
        page = session.page()
        show_pruned(page, result, done=not dry_run)
        page.show()
        return 0
    session.document(
        versioned(
            "SnapshotPrune",
            dry_run=dry_run,
            removed=[as_item(snapshot) for snapshot in result.removed],
            kept=result.kept,
            packs_removed=result.packs_removed,
            packs_rewritten=result.packs_rewritten,
            objects_removed=result.objects_removed,
            freed=result.freed,
            left_alone=result.left_alone,
        )
    )
    return 0
