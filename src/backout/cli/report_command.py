# SPDX-License-Identifier: Apache-2.0
"""`backout report`: the write-up of one run."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.session import open_session


@click.command("report")
@click.argument("run", default="latest")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write it to a file, not to stdout.")
@common_options
def command(run: str, out: str | None) -> None:
    """Writes up RUN (its id, the beginning of it, or "latest") in Markdown.

    Timeline, cause, evidence, what was done, the verdict with measured values, and the checklist, ticked by evidence.
    """
    from backout.cli.output import with_kind, write_private
    from backout.cli.store import open_store
    from backout.report import render

    session = open_session()
    with open_store(session) as store:
        found = store.get(store.find(run))
        events = store.events(found.id)
    if not session.text:
        session.document(with_kind("Run", found, events=events))
        return
    text = render(found, events, session.lang)
    if out:
        write_private(out, text)
        session.note("Written to {file}.", file=out)
    else:
        click.echo(text)
