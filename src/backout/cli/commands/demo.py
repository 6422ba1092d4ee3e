# SPDX-License-Identifier: Apache-2.0
"""`backout demo`: the main job, start to report, on embedded clusters or on yours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from backout.cli.embedded import require_kubetwin, twin_errors
from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session

FAILED = 1


@click.command("demo", cls=Command)
@click.argument("scenario", default="A2")
@click.option("--list", "list_them", is_flag=True, help="List the scenarios.")
@click.option(
    "--clusters", default=4, show_default=True, type=click.IntRange(1, 20), help="Embedded clusters to start."
)
@click.option("--keep", is_flag=True, help="Leave the clusters up afterwards.")
@click.option("--undo", is_flag=True, help="In the end, put the broken state back, and check that it is.")
@with_session
async def command(session: Session, scenario: str, list_them: bool, clusters: int, keep: bool, undo: bool) -> int:
    """Builds a healthy stack, breaks one thing, and takes it back: diagnose, plan, run, verify, report.

    Without --context it starts embedded clusters and ends them again. With --context it works on that cluster, in the
    namespace of -n (else "backout-demo"), which it creates and removes: no other is touched.
    """
    require_kubetwin()
    from kubetwin.lab.scenarios import SCENARIOS, find_scenario

    if list_them:
        _list(session, SCENARIOS.values())
        return 0
    with twin_errors():
        chosen = find_scenario(scenario)
    from backout.cli.rehearsal import rehearsal_place, rehearse

    async with rehearsal_place(session, clusters=clusters, keep=keep) as place:
        outcome = await rehearse(session, chosen, place, undo=undo)
    if not session.text:
        session.document(outcome)
    return 0 if outcome["outcome"] in ("recovered", "refused") else FAILED


def _list(session: Session, scenarios: Any) -> None:
    from backout.cli.output import versioned

    if not session.text:
        session.document(versioned("ScenarioList", items=[{"scenario": s.id, "title": s.title} for s in scenarios]))
        return
    page = session.page()
    page.table(("scenario", "broken by"), [(scenario.id, page.say(scenario.title)) for scenario in scenarios])
    page.show()
