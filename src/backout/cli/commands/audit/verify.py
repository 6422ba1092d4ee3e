# SPDX-License-Identifier: Apache-2.0
"""`backout audit verify`."""

from __future__ import annotations

from pathlib import Path

import click

from backout.cli.options import Command
from backout.cli.session import open_session

CHANGED = 10
NOT_PROVEN = 7


@click.command("verify", cls=Command)
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@click.option("--run", default="", metavar="RUN", help="The log, and this run alone.")
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="Count signatures by this key alone: ssh-ed25519 …, or a file."
)
@click.option(
    "--head", "heads", multiple=True, metavar="N:HASH", help="A checkpoint that was kept elsewhere has to be in it."
)
def command(file: str | None, run: str, keys: tuple[str, ...], heads: tuple[str, ...]) -> int:
    """Looks for what was changed, removed, added, exchanged or cut off: in the database, or in FILE that `export` wrote.

    Exit code 10 when something was; 7 when nothing was found, and no trusted signature vouches for every run that ended.
    """
    from backout.app.audit.book import verify
    from backout.app.audit.copies import verify_file
    from backout.cli.render.audit import show_verified
    from backout.documents.auditing import verification
    from backout.errors import UsageError

    session = open_session()
    if file and run:
        raise UsageError("A file says itself which runs are in it, so --run can't go with it.")
    found = (
        verify_file(session.workspace, Path(file), keys, heads) if file else verify(session.workspace, run, keys, heads)
    )
    if session.text:
        session.show(lambda screen: show_verified(screen, found))
    else:
        session.document(verification(found))
    return CHANGED if not found.intact else 0 if found.proven else NOT_PROVEN
