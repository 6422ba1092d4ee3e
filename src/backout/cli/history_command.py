# SPDX-License-Identifier: Apache-2.0
"""`backout history`: the revisions of one target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("history")
@click.argument("target")
@common_options
@with_session
async def command(session: Session, target: str) -> None:
    """Lists the revisions of TARGET, and says which of them are proven good, and why."""
    from backout.cli.output import versioned
    from backout.cli.targets import read_targets
    from backout.cli.views.plan import show_history
    from backout.mechanisms import registry
    from backout.workflows.prepare import mechanism_of

    async with session.cluster() as cluster:
        named = read_targets(session, cluster, (target,))[0]
        revisions = await registry.get(mechanism_of(named)).history(cluster, named)
    if session.text:
        page = session.page()
        show_history(page, revisions, verbose=session.verbose)
        page.show()
    else:
        session.document(versioned("History", target=named, revisions=revisions))
