# SPDX-License-Identifier: Apache-2.0
"""`backout undo`: take a run back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("undo")
@click.argument("run", default="latest")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", multiple=True, metavar="CODE", help="Say yes to a risk that needs it; may be repeated.")
@common_options
@with_session
async def command(session: Session, run: str, yes: bool, approve: tuple[str, ...]) -> int:
    """Puts back the state from before RUN, which was broken: forward again.

    Verified means here that the former content is in force, not that it is healthy.
    """
    from backout.cli.batch import report
    from backout.cli.running import ask, carry_out, conclude, require_approval, require_tools
    from backout.cli.store import open_store
    from backout.cli.views.plan import show_plan
    from backout.engine.dbos_engine import preload
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.undo import undo_plan

    with open_store(session) as store:
        found = store.get(store.find(run))
        events, digest = store.events(found.id), store.capture_digest(found.id)
    preload()
    name = session.contexts[0] or found.plan.cluster
    async with session.cluster(name) as cluster:
        plan = undo_plan(found, events, await cluster.server_time(), CaptureStore(), digest)
        if session.text:
            page = session.page()
            show_plan(page, plan)
            page.line()
            page.show()
        require_approval(plan, approve, None if yes else session)
        await require_tools(plan)
        if not yes and not ask(session, "Carry this out?"):
            session.note("Nothing was done.")
            return report(session, [], []) if not session.text else 0
        ended = await carry_out(session, cluster, plan)
    return conclude(session, ended)
