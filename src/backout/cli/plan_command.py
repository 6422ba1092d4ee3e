# SPDX-License-Identifier: Apache-2.0
"""`backout plan`: the way back, in writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("plan")
@click.argument("targets", nargs=-1)
@click.option("--to", default="", metavar="REVISION", help="Go back to this revision, not to the last good one.")
@click.option("--no-hooks", is_flag=True, help="Helm: run no hooks of the revision.")
@click.option("--out", type=click.Path(dir_okay=False, writable=True), help="Write the plan to a file, for `run`.")
@common_options
@with_session
async def command(session: Session, targets: tuple[str, ...], to: str, no_hooks: bool, out: str | None) -> int:
    """Shows what would be done and why. Writes nothing to a cluster.

    Without TARGETS it plans for everything that `diagnose` finds broken.
    """
    from backout.cli.batch import worst
    from backout.cli.output import write_private
    from backout.cli.planning import plans_for
    from backout.cli.views.plan import show_plan
    from backout.planning.document import dump

    planned = await plans_for(session, targets, to, hooks=not no_hooks)
    plans = planned.plans
    if out and plans:
        write_private(out, dump(plans))
    if session.text:
        page = session.page()
        for number, plan in enumerate(plans):
            if number:
                page.line()
            show_plan(page, plan)
        if out and plans:
            page.line()
            page.told("Written to {file}. Carry it out with: backout run {file}", file=out)
        page.show()
    else:
        from backout.cli.output import versioned

        more = {"failed": [failed.document() for failed in planned.failures]} if planned.failures else {}
        session.document(plans[0] if len(plans) == 1 and not more else versioned("PlanList", items=plans, **more))
    return worst([failed.error.exit_code for failed in planned.failures])
