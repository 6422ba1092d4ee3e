# SPDX-License-Identifier: Apache-2.0
"""`backout show`: one run."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.session import open_session


@click.command("show")
@click.argument("run", default="latest")
@common_options
def command(run: str) -> None:
    """Shows RUN (its id, the beginning of it, or "latest") event by event."""
    from backout.cli.output import with_kind
    from backout.cli.store import open_store
    from backout.cli.views.run import show_run

    session = open_session()
    with open_store(session) as store:
        found = store.get(store.find(run))
        events = store.events(found.id)
    if session.text:
        page = session.page()
        show_run(page, found, events)
        page.show()
    else:
        session.document(with_kind("Run", found, events=events))
