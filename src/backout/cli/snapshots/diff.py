# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot diff`."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session

DIFFERENT = 10


@click.command("diff")
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", default="live")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only objects of this kind; may be repeated.")
@common_options
@with_session
async def command(session: Session, before: str, after: str, kinds: tuple[str, ...]) -> int:
    """Shows what changed from snapshot A to snapshot B, or to the cluster as it is now (live).

    Values of Secrets are never shown, only that they changed. Exit code 10 when there is a difference.
    """
    from backout.cli.output import versioned
    from backout.cli.snapshots.opening import cluster_of, find, opened
    from backout.cli.views.snapshot_work import show_comparison
    from backout.snapshots.diff import between, with_live
    from backout.snapshots.selection import Selection

    wanted = Selection(kinds=kinds)
    async with opened(session) as repository:
        old = await find(session, repository, before)
        if after == "live":
            async with cluster_of(session, old) as cluster:
                result = await with_live(cluster, repository, old, wanted)
        else:
            result = await between(repository, old, await find(session, repository, after), wanted)
    if session.text:
        page = session.page()
        show_comparison(page, result)
        page.show()
    else:
        session.document(
            versioned(
                "SnapshotDiff",
                before=old.id,
                after=after,
                differences=result.differences,
                compared=result.compared,
                notes=result.notes,
            )
        )
    return DIFFERENT if result.differences else 0
