# SPDX-License-Identifier: Apache-2.0
"""`backout runs`: what was done so far."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.session import open_session


@click.command("runs")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, at most.")
@common_options
def command(limit: int) -> None:
    """Lists the latest runs, newest first."""
    from backout.cli.output import versioned
    from backout.cli.store import open_store
    from backout.cli.views.run import show_runs

    session = open_session()
    with open_store(session) as store:
        found = store.summaries(limit)
    if session.text:
        page = session.page()
        show_runs(page, found)
        page.show()
    else:
        session.document(versioned("RunList", items=found))
