# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot show`."""

from __future__ import annotations

from collections import Counter

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session


@click.command("show")
@click.argument("snapshot")
@click.option("--objects", is_flag=True, help="List every object, not only how many of each kind.")
@common_options
@with_session
async def command(session: Session, snapshot: str, objects: bool) -> None:
    """Shows what SNAPSHOT holds, what was left out and why, and the state around it. Contents are never shown."""
    from backout.cli.output import versioned
    from backout.cli.snapshots.opening import find, opened
    from backout.cli.views.snapshot import as_entry, as_item, show_snapshot

    async with opened(session) as repository:
        found = await find(session, repository, snapshot)
        kinds: Counter[str] = Counter()
        entries = []
        async for entry in repository.entries(found):
            kinds[entry.ref.kind] += 1
            if objects:
                entries.append(entry)
    if session.text:
        page = session.page()
        show_snapshot(page, found, kinds, entries)
        page.show()
        return
    fields = as_item(found) | {"kinds": dict(sorted(kinds.items())), "skipped": found.skipped}
    if objects:
        fields["entries"] = [as_entry(entry) for entry in entries]
    session.document(versioned("Snapshot", **fields, pointers=found.pointers))
