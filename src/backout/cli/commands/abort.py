# SPDX-License-Identifier: Apache-2.0
"""`backout abort`: stop a run at its next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("abort", cls=Command)
@click.argument("run")
@with_session
async def command(session: Session, run: str) -> None:
    """Stops RUN for good at its next step. What it has done stays; `undo` takes it back.

    Of a run over many clusters, --cluster NAME stops that one alone.
    """
    from backout.app.running import abort
    from backout.documents.running import RunAbort
    from backout.model.run import ENDED

    found = await abort(session.workspace, run)
    if not session.text:
        session.document(RunAbort(run=found.id, requested=True, state=found.state))
    elif found.state not in ENDED and found.operation.fleet is not None and session.workspace.where.contexts:
        names = ", ".join(session.workspace.where.contexts)
        session.note("Run {run} stops on {names} at the next step there; the others go on.", run=found.id, names=names)
    elif found.state not in ENDED:
        session.note("Run {run} stops at its next step.", run=found.id)
    else:
        session.note(
            "Run {run} has ended: {state}. What it changed stays; `backout undo {run}` takes it back.",
            run=found.id,
            state=found.state,
        )
