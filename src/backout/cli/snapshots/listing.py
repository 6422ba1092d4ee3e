# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot list`."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session


@click.command("list")
@click.option("--tag", default="", help="Only those with this tag.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many, at most.")
@common_options
@with_session
async def command(session: Session, tag: str, limit: int) -> None:
    """Lists the snapshots, newest first; with -n and --context only those of a namespace or cluster."""
    from backout.cli.output import versioned
    from backout.cli.snapshots.opening import chosen_cluster, chosen_namespace, opened, warn_unreadable
    from backout.cli.views.snapshot import as_item, show_list
    from backout.snapshots.repository.manifests import selected

    async with opened(session) as repository:
        every = await repository.snapshots()
        warn_unreadable(session, repository)
        unreadable = sorted(repository.unreadable)
    found = selected(every, namespace=chosen_namespace(session), cluster=chosen_cluster(session))
    found = [snapshot for snapshot in found if not tag or tag in snapshot.tags]
    if session.text:
        page = session.page()
        show_list(page, found[:limit], len(found))
        page.show()
    else:
        items = [as_item(snapshot) for snapshot in found[:limit]]
        session.document(versioned("SnapshotList", items=items, total=len(found), unreadable=unreadable))
