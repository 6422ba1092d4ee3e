# SPDX-License-Identifier: Apache-2.0
"""`backout plan`: the way back, in writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backout.cli.options import Command, fleet, skipping, timing
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("plan", cls=Command)
@click.argument("targets", nargs=-1)
@click.option("--to", default="", metavar="REVISION", help="Go back to this revision, not to the last good one.")
@click.option("--no-hooks", is_flag=True, help="Helm: run no hooks of the revision.")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write the plan to a file, for `run`.")
@skipping
@fleet
@timing
@with_session
async def command(
    session: Session,
    targets: tuple[str, ...],
    to: str,
    no_hooks: bool,
    skip: tuple[str, ...],
    waves: dict[str, Any],
    out: str | None,
    soak: float | None,
    timeout: float | None,
) -> int:
    """Shows what would be done and why. Writes nothing to a cluster.

    Without TARGETS it plans for everything that `diagnose` finds broken.
    """
    from backout.app.planning import plans_for, write_plans
    from backout.app.running import worst
    from backout.cli.render.plan import show_plans
    from backout.documents.running import operation_list

    session.workspace.use(session.workspace.settings.patient(soak, timeout))
    session.over_clusters(waves)
    planned = await plans_for(session.workspace, targets, to, hooks=not no_hooks, skip=skip)
    plans = planned.plans
    file = out if out and plans else ""
    if file:
        write_plans(file, plans)
    if session.text:
        session.show(lambda screen: show_plans(screen, plans, file))
    else:
        session.document(operation_list(plans, planned.failures))
    return worst([failed.error.exit_code for failed in planned.failures])
