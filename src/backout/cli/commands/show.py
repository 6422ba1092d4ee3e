# SPDX-License-Identifier: Apache-2.0
"""`backout show`: one run."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import open_session


@click.command("show", cls=Command)
@click.argument("run", default="latest")
def command(run: str) -> None:
    """Shows RUN (its id, the beginning of it, or "latest") event by event."""
    from backout.app.runs import run as kept
    from backout.cli.render.run import show_run
    from backout.documents.running import run_document

    session = open_session()
    found = kept(session.workspace, run)
    if session.text:
        session.show(lambda screen: show_run(screen, found.run, found.events))
    else:
        session.document(run_document(found))
