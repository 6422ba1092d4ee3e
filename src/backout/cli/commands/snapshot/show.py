# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot show`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session


@click.command("show", cls=Command)
@click.argument("snapshot")
@click.option("--objects", is_flag=True, help="List every object, not only how many of each kind.")
@with_session
async def command(session: Session, snapshot: str, objects: bool) -> None:
    """Shows what SNAPSHOT holds, what was left out and why, and the state around it. Contents are never shown."""
    from backout.app.snapshots.reading import show
    from backout.cli.render.snapshot import show_snapshot
    from backout.documents.snapshots import snapshot_document

    found = await show(session.workspace, snapshot, objects=objects)
    if session.text:
        session.show(lambda screen: show_snapshot(screen, found.snapshot, found.kinds, found.entries))
    else:
        session.document(snapshot_document(found))
