# SPDX-License-Identifier: Apache-2.0
"""`backout approve`: say yes to a run that waits for it."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import open_session


@click.command("approve", cls=Command)
@click.argument("run", metavar="RUN|PLAN-FILE")
@click.option("--reason", required=True, metavar="WHY", help="Why; it is kept with the run, and shown.")
def command(run: str, reason: str) -> None:
    """Says yes, as the user of this machine (or the role of the database), to RUN, which policy wants other people to approve.

    The yes is to just this plan. Once enough people said it, the run begins: by a worker, or where --wait-approval waits.
    """
    from backout.app.approving import approve
    from backout.documents.running import RunApproval

    session = open_session()
    found = approve(session.workspace, run, reason)
    if not session.text:
        left = max(0, found.people - found.have)
        session.document(
            RunApproval(
                run=found.run.id, plan=found.run.operation.hash, person=found.person, people=found.people, missing=left
            )
        )
        return
    session.note(
        "Run {run} is approved by {who}: {have} of {people}.",
        run=found.run.id,
        who=found.person,
        have=found.have,
        people=found.people,
    )
    if found.begins:
        session.note("It is left to the workers. `backout show {run} --follow` follows it.", run=found.run.id)
