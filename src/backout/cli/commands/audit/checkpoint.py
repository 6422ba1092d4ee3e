# SPDX-License-Identifier: Apache-2.0
"""`backout audit checkpoint`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import open_session


@click.command("checkpoint", cls=Command)
def command() -> None:
    """Signs everything up to here with your key; the end of each run is signed by itself.

    Keep what it prints where nobody who can write to the database can: `backout audit verify --head` holds the database to it.
    """
    from backout.app.audit.book import checkpoint
    from backout.cli.render.audit import show_checkpoint
    from backout.documents.auditing import checkpoint_document

    session = open_session()
    found = checkpoint(session.workspace)
    if session.text:
        session.show(lambda screen: show_checkpoint(screen, found))
    else:
        session.document(checkpoint_document(found))
