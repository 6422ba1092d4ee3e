# SPDX-License-Identifier: Apache-2.0
"""`backout show`: one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.model.run import Run

POLL = 0.5
"""Seconds between two looks at what another process records."""


@click.command("show", cls=Command)
@click.argument("run", default="latest")
@click.option("-f", "--follow", is_flag=True, help="Wait for more until the run ends.")
@with_session
async def command(session: Session, run: str, follow: bool) -> None:
    """Shows RUN (its id, the beginning of it, or "latest") event by event."""
    from backout.app.fleet import joined_since
    from backout.app.runs import run as kept
    from backout.cli.render.run import show_run
    from backout.documents.running import run_document

    found = kept(session.workspace, run)
    if follow:
        await _follow(session, found.run)
        found = kept(session.workspace, found.run.id)
    if (joined := joined_since(session.workspace, found.run.operation)) is not None:
        session.note(joined)
    if session.text:
        session.show(
            lambda screen: show_run(
                screen, found.run, () if follow else found.events, found.events, verbose=session.options.verbose
            )
        )
    else:
        session.document(run_document(found))


async def _follow(session: Session, run: Run) -> None:
    """Shows events as they come; the document of a run that was followed is the one of its end."""
    from backout.app.events import RunBegins, RunPauses, RunTells
    from backout.app.following import follow

    session.console.tell(RunBegins(run))
    async for event in follow(session.workspace, run.id, live=True, pause=POLL):
        session.console.tell(RunTells(event))
    session.console.tell(RunPauses(run.id))
