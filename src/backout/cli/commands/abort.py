# SPDX-License-Identifier: Apache-2.0
"""`backout abort`: stop a run at its next step."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import open_session


@click.command("abort", cls=Command)
@click.argument("run")
def command(run: str) -> None:
    """Asks RUN to stop at its next step. What it has done stays; `undo` takes it back."""
    from backout.app.runs import abort
    from backout.documents.running import RunAbort

    session = open_session()
    found = abort(session.workspace, run)
    if session.text:
        session.note("Run {run} stops at its next step.", run=found.id)
    else:
        session.document(RunAbort(run=found.id, requested=True))
