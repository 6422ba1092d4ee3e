# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot list`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session


@click.command("list", cls=Command)
@click.option("--tag", default="", help="Only those with this tag.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many, at most.")
@with_session
async def command(session: Session, tag: str, limit: int) -> None:
    """Lists the snapshots, newest first; with -n and --context only those of a namespace or cluster."""
    from backout.app.snapshots.reading import snapshots
    from backout.cli.render.snapshot import show_list
    from backout.documents.snapshots import snapshot_list

    found = await snapshots(session.workspace, tag=tag, limit=limit)
    if session.text:
        session.show(lambda screen: show_list(screen, found.snapshots, found.total))
    else:
        session.document(snapshot_list(found))
