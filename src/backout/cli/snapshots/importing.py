# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot import`."""

from __future__ import annotations

from pathlib import Path

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--foreign", is_flag=True, help="Accept it although this repository can't prove that it is its own.")
@common_options
@with_session
async def command(session: Session, file: Path, foreign: bool) -> None:
    """Takes over the snapshots of an archive FILE that are not here yet. All of it is checked first."""
    from backout.cli.output import versioned
    from backout.cli.snapshots.opening import opened
    from backout.cli.views.snapshot import as_item, show_list
    from backout.snapshots.repository.keys import read_identities
    from backout.snapshots.repository.opening import identity_file
    from backout.snapshots.repository.transfer import import_

    async with opened(session, create=True) as repository:
        path = identity_file(session.settings.snapshots)
        result = await import_(repository, file, identities=read_identities(path), identity=str(path), foreign=foreign)
    if not session.text:
        session.document(
            versioned(
                "SnapshotImport",
                imported=[as_item(snapshot) for snapshot in result.snapshots],
                present=result.present,
                source=result.source,
                foreign=result.foreign,
            )
        )
        return
    page = session.page()
    page.told(
        "Snapshots imported: {count}; here already: {present}", count=len(result.snapshots), present=len(result.present)
    )
    if result.foreign and result.snapshots:
        page.told("They are marked as foreign: latest, good and tags never mean them.", 2, style="warn")
    if result.snapshots:
        show_list(page, list(result.snapshots), len(result.snapshots))
    page.show()
