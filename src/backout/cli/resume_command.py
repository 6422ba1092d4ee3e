# SPDX-License-Identifier: Apache-2.0
"""`backout resume`: finish what was killed or interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("resume")
@click.argument("run", default="latest")
@common_options
@with_session
async def command(session: Session, run: str) -> int:
    """Goes on with RUN where it stopped. Steps that are done are not done again."""
    from backout.cli.running import carry_on, conclude
    from backout.cli.store import open_store
    from backout.engine.dbos_engine import preload

    preload()
    with open_store(session) as store:
        found = store.get(store.find(run))
    name = session.contexts[0] or found.plan.cluster
    async with session.cluster(name) as cluster:
        ended = await carry_on(session, cluster, found)
    return conclude(session, ended)
