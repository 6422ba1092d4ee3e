# SPDX-License-Identifier: Apache-2.0
"""`backout history`: the revisions of one target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("history", cls=Command)
@click.argument("target")
@with_session
async def command(session: Session, target: str) -> None:
    """Lists the revisions of TARGET, and says which of them are proven good, and why."""
    from backout.app.reading import history
    from backout.cli.render.plan import show_history
    from backout.documents.reading import history_document

    found = await history(session.workspace, target)
    if session.text:
        session.show(lambda screen: show_history(screen, found.revisions, verbose=session.options.verbose))
    else:
        session.document(history_document(found))
