# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot verify`."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session


@click.command("verify")
@click.option("--read-data", is_flag=True, help="Read, decrypt and check every byte.")
@click.option("--read-data-subset", default="", metavar="PART", help="Read only a part: 2/7, or a random 10%.")
@common_options
@with_session
async def command(session: Session, read_data: bool, read_data_subset: str) -> int:
    """Proves that every snapshot is whole: keys, summaries, pages, and that each object is there.

    Exit code 10 when something is damaged or missing; everything that is affected is named.
    """
    from backout.cli.output import with_kind
    from backout.cli.snapshots.opening import opened
    from backout.cli.views.snapshot import show_verified
    from backout.errors import UsageError
    from backout.snapshots.repository.verify import Subset, verify

    if read_data and read_data_subset:
        raise UsageError("--read-data reads everything; --read-data-subset a part of it.", expected="one of them")
    subset = Subset.parse(read_data_subset) if read_data_subset else Subset() if read_data else None
    async with opened(session) as repository:
        report = await verify(repository, subset)
    if session.text:
        page = session.page()
        show_verified(page, report)
        page.show()
    else:
        session.document(with_kind("SnapshotVerification", report, ok=not report.problems))
    return 10 if report.problems else 0
