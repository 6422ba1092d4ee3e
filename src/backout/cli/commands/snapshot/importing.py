# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot import`."""

from __future__ import annotations

from pathlib import Path

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session


@click.command("import", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--foreign", is_flag=True, help="Accept it although this repository can't prove that it is its own.")
@with_session
async def command(session: Session, file: Path, foreign: bool) -> None:
    """Takes over the snapshots of an archive FILE that are not here yet. All of it is checked first."""
    from backout.app.snapshots.keeping import import_
    from backout.cli.render.snapshot_work import show_imported
    from backout.documents.snapshots import import_document

    result = await import_(session.workspace, file, foreign=foreign)
    if session.text:
        session.show(lambda screen: show_imported(screen, result))
    else:
        session.document(import_document(result))
