# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot verify`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session


@click.command("verify", cls=Command)
@click.option("--read-data", is_flag=True, help="Read, decrypt and check every byte.")
@click.option("--read-data-subset", default="", metavar="PART", help="Read only a part: 2/7, or a random 10%.")
@with_session
async def command(session: Session, read_data: bool, read_data_subset: str) -> int:
    """Proves that every snapshot is whole: keys, summaries, pages, and that each object is there.

    Exit code 10 when something is damaged or missing; everything that is affected is named.
    """
    from backout.app.snapshots.reading import verify
    from backout.cli.render.snapshot import show_verified
    from backout.documents.snapshots import verification

    report = await verify(session.workspace, read_data=read_data, part=read_data_subset)
    if session.text:
        session.show(lambda screen: show_verified(screen, report))
    else:
        session.document(verification(report))
    return 10 if report.problems else 0
