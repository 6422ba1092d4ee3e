# SPDX-License-Identifier: Apache-2.0
"""`backout runs prune`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from backout.cli.options import Command, Duration
from backout.cli.session import open_session

if TYPE_CHECKING:
    from backout.app.runs import Pruning


@click.command("prune", cls=Command)
@click.option("--keep-last", default=0, type=click.IntRange(0, 1_000_000), metavar="N", help="Keep the newest N.")
@click.option("--older-than", default=None, type=Duration(), metavar="DURATION", help="Remove only older ones: 30d.")
@click.option("--undoable", is_flag=True, help="Also runs that could still be taken back.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(keep_last: int, older_than: timedelta | None, undoable: bool, dry_run: bool, yes: bool) -> None:
    """Removes old runs: their records, what the engine kept of them, and their captures.

    A run that is not over always stays. So does the last one that changed a target and was not taken back, unless
    --undoable says otherwise. Snapshots that runs took are another matter: `backout snapshot prune`.
    """
    from backout.app.runs import prune
    from backout.cli.questions import ask
    from backout.cli.render.run import show_pruned_runs
    from backout.documents.running import prune_document

    session = open_session()

    def confirmed(found: Pruning) -> bool:
        if yes:
            return True
        if session.text:
            session.show(lambda screen: show_pruned_runs(screen, found), err=True)
        return ask(session, "Remove these runs?")

    found = prune(
        session.workspace, last=keep_last, older_than=older_than, undoable=undoable, confirm=confirmed, dry_run=dry_run
    )
    if found.refused:
        session.note("Nothing was removed.")
    elif session.text:
        session.show(lambda screen: show_pruned_runs(screen, found))
    else:
        session.document(prune_document(found))
