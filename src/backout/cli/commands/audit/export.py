# SPDX-License-Identifier: Apache-2.0
"""`backout audit export`."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.session import open_session


@click.command("export", cls=Command)
@click.option("--run", default="", metavar="RUN", help="The log, and the records of this run alone.")
@click.option("--out", default="", metavar="FILE", help="Write it there, readable by you alone; else to stdout.")
def command(run: str, out: str) -> None:
    """Writes a copy as JSON lines, whatever -o says: the log, then the events of each run. No secret is in it.

    `backout audit verify FILE` proves it without the database.
    """
    from backout.app.audit.copies import export
    from backout.app.files import write_private
    from backout.cli.output import send
    from backout.model.plaintext import escaped

    session = open_session()
    lines = export(session.workspace, run)
    # What a terminal would obey stands in it as an escape: a program reads the same.
    text = "".join(f"{escaped(line.decode())}\n" for line in lines)
    if not out:
        send(text)
        return
    write_private(out, text)
    session.note("Written: {file}, {count} lines. `backout audit verify {file}` proves it.", file=out, count=len(lines))
