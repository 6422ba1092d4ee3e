# SPDX-License-Identifier: Apache-2.0
"""`backout abort`: stop a run at its next step."""

from __future__ import annotations

import click

from backout.cli.options import common_options
from backout.cli.session import open_session


@click.command("abort")
@click.argument("run")
@common_options
def command(run: str) -> None:
    """Asks RUN to stop at its next step. What it has done stays; `undo` takes it back."""
    import getpass

    from backout.cli.output import versioned
    from backout.cli.store import open_store
    from backout.errors import RefusedError
    from backout.model.run import ENDED

    session = open_session()
    with open_store(session, create=True) as store:
        found = store.get(store.find(run))
        if found.state in ENDED:
            raise RefusedError(
                "Run {run} has ended already: {state}.",
                run=found.id,
                state=found.state,
                hint="To take back what it did: backout undo {run}",
            )
        store.owners.request_abort(found.id, getpass.getuser())
    if session.text:
        session.note("Run {run} stops at its next step.", run=found.id)
    else:
        session.document(versioned("Abort", run=found.id, requested=True))
