# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot prune`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session

_COUNT = click.IntRange(0, 100_000)


@click.command("prune", cls=Command)
@click.option("--keep-last", default=0, type=_COUNT, metavar="N", help="Keep the newest N.")
@click.option("--keep-daily", default=0, type=_COUNT, metavar="N", help="Keep the newest of each of the last N days.")
@click.option("--keep-weekly", default=0, type=_COUNT, metavar="N", help="Keep the newest of each of the last N weeks.")
@click.option("--keep-tagged", is_flag=True, help="Keep all that have a tag.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@with_session
async def command(
    session: Session, keep_last: int, keep_daily: int, keep_weekly: int, keep_tagged: bool, dry_run: bool, yes: bool
) -> int:
    """Removes snapshots that no --keep option keeps, then what nothing refers to. Without --keep, no snapshot goes.

    Each cluster, namespace and kind (asked for, before a run, of an incident) counts for itself; the newest one that is
    known to be good is always kept.
    """
    from backout.app.snapshots.keeping import Pruning, prune
    from backout.cli.questions import ask
    from backout.cli.render.snapshot import show_pruned
    from backout.documents.snapshots import prune_document

    def confirmed(found: Pruning) -> bool:
        if yes:
            return True
        session.show(lambda screen: show_pruned(screen, found.result, done=False), err=True)
        return ask(session, "Remove these snapshots?")

    found = await prune(
        session.workspace,
        last=keep_last,
        daily=keep_daily,
        weekly=keep_weekly,
        tagged=keep_tagged,
        dry_run=dry_run,
        confirm=confirmed,
    )
    if found.refused:
        session.note("Nothing was removed.")
        return 0
    if session.text:
        session.show(lambda screen: show_pruned(screen, found.result, done=found.done))
    else:
        session.document(prune_document(found))
    return 0
