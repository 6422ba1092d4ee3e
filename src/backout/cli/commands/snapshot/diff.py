# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot diff`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session

DIFFERENT = 10


@click.command("diff", cls=Command)
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", default="live")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only objects of this kind; may be repeated.")
@with_session
async def command(session: Session, before: str, after: str, kinds: tuple[str, ...]) -> int:
    """Shows what changed from snapshot A to snapshot B, or to the cluster as it is now (live).

    Values of Secrets are never shown, only that they changed. Exit code 10 when there is a difference.
    """
    from backout.app.snapshots.reading import diff
    from backout.cli.render.snapshot_work import show_comparison
    from backout.documents.snapshots import diff_document

    found = await diff(session.workspace, before, after, kinds)
    result = found.comparison
    if session.text:
        session.show(lambda screen: show_comparison(screen, result))
    else:
        session.document(diff_document(found))
    return DIFFERENT if result.differences else 0
