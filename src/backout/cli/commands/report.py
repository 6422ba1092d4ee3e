# SPDX-License-Identifier: Apache-2.0
"""`backout report`: the write-up of one run."""

from __future__ import annotations

import click

from backout.cli.options import Command
from backout.cli.output import print_page
from backout.cli.session import open_session


@click.command("report", cls=Command)
@click.argument("run", default="latest")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write it to a file, not to stdout.")
def command(run: str, out: str | None) -> None:
    """Writes up RUN (its id, the beginning of it, or "latest") in Markdown.

    Timeline, cause, evidence, what was done, the verdict with measured values, and the checklist, ticked by evidence.
    """
    from backout.app.files import write_private
    from backout.app.runs import report
    from backout.app.runs import run as kept
    from backout.documents.running import run_document

    session = open_session()
    if not session.text:
        session.document(run_document(kept(session.workspace, run)))
        return
    text = report(session.workspace, run, session.lang)
    if out:
        write_private(out, text)
        session.note("Written to {file}.", file=out)
    else:
        print_page(text)
