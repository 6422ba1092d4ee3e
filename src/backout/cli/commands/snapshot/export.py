# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot export`."""

from __future__ import annotations

from pathlib import Path

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session


@click.command("export", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("snapshots", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All snapshots, or all of -n and --context.")
@click.option("--recipient", "recipients", multiple=True, metavar="KEY", help="Who else can open it; may be repeated.")
@with_session
async def command(
    session: Session, file: Path, snapshots: tuple[str, ...], everything: bool, recipients: tuple[str, ...]
) -> None:
    """Writes SNAPSHOTS into a new FILE, encrypted with a key of its own for the recipients of the repository."""
    from backout.app.snapshots.keeping import export
    from backout.cli.render.snapshot_work import show_exported
    from backout.documents.snapshots import export_document

    result = await export(session.workspace, file, snapshots, everything=everything, recipients=recipients)
    if session.text:
        session.show(lambda screen: show_exported(screen, result))
    else:
        session.document(export_document(result))
