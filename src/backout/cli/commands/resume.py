# SPDX-License-Identifier: Apache-2.0
"""`backout resume`: finish what was killed or interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("resume", cls=Command)
@click.argument("run", default="latest")
@click.option("--override-freeze", default="", metavar="REASON", help="Go on in a freeze window; recorded and shown.")
@with_session
async def command(session: Session, run: str, override_freeze: str) -> int:
    """Goes on with RUN where it stopped. Steps that are done are not done again."""
    from backout.app.fleet import joined_since
    from backout.app.running import resume
    from backout.cli.endings import conclude

    ended = await resume(session.workspace, run, override_freeze.strip())
    if (joined := joined_since(session.workspace, ended.operation)) is not None:
        session.note(joined)
    return conclude(session, ended)
