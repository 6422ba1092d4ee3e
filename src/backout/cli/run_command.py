# SPDX-License-Identifier: Apache-2.0
"""`backout run`: capture, roll back, verify, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.planning import Planned
    from backout.cli.session import Session
    from backout.model.plan import Plan


@click.command("run")
@click.argument("targets", nargs=-1, metavar="[PLAN-FILE | TARGETS]")
@click.option("--to", default="", metavar="REVISION", help="Go back to this revision, not to the last good one.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", multiple=True, metavar="CODE", help="Say yes to a risk that needs it; may be repeated.")
@click.option("--no-hooks", is_flag=True, help="Helm: run no hooks of the revision.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what the server would answer.")
@common_options
@with_session
async def command(
    session: Session,
    targets: tuple[str, ...],
    to: str,
    yes: bool,
    approve: tuple[str, ...],
    no_hooks: bool,
    dry_run: bool,
) -> int:
    """Shows the plan, asks, captures the state, carries the plan out, and measures whether it worked.

    Takes a plan file that `plan --out` wrote, or TARGETS; without either, everything that `diagnose` finds broken.
    """
    from backout.engine.dbos_engine import preload

    if not dry_run:
        # The engine's import runs beside the reading of the cluster.
        preload()
    async with session.keeping():
        return await _run(session, targets, to, approve, yes=yes, hooks=not no_hooks, dry_run=dry_run)


async def _run(
    session: Session,
    targets: tuple[str, ...],
    to: str,
    approve: tuple[str, ...],
    *,
    yes: bool,
    hooks: bool,
    dry_run: bool,
) -> int:
    planned = await _plans(session, targets, to, hooks=hooks)
    if session.text:
        _show(session, planned.plans)
    if dry_run:
        from backout.cli.rehearsing import dry_run_answers

        return await dry_run_answers(session, planned)
    from backout.cli.batch import report, run_all
    from backout.cli.running import ask

    ready = await _ready(session, planned, approve, yes=yes)
    if ready and not yes and not ask(session, "Carry this out?"):
        session.note("Nothing was done.")
        return report(session, [], planned.failures, told=len(planned.failures)) if not session.text else 0
    told = len(planned.failures)
    runs, failures = await run_all(session, ready)
    return report(session, runs, [*planned.failures, *failures], told=told)


async def _ready(session: Session, planned: Planned, approve: tuple[str, ...], *, yes: bool) -> list[Plan]:
    """The plans that may be carried out; what stands in the way of the others joins the failures.

    Raises:
        BackoutError: there is one plan, and something stands in its way.
    """
    from backout.cli.batch import Failed
    from backout.cli.failures import show_failure
    from backout.cli.running import require_approval, require_tools
    from backout.errors import BackoutError

    ready: list[Plan] = []
    for plan in planned.plans:
        try:
            require_approval(plan, approve, None if yes else session)
            await require_tools(plan)
        except BackoutError as error:
            if len(planned.plans) == 1 and not planned.failures:
                raise
            planned.failures.append(Failed(error, plan.cluster, plan.target))
            if session.text:
                show_failure(error)
        else:
            ready.append(plan)
    return ready


async def _plans(session: Session, targets: tuple[str, ...], to: str, *, hooks: bool) -> Planned:
    from backout.cli.planning import Planned, plans_for
    from backout.errors import UsageError
    from backout.planning.document import load

    if len(targets) == 1 and ("/" not in targets[0] or Path(targets[0]).is_file()):
        path = Path(targets[0])
        if not path.is_file():
            raise UsageError(
                "{text} is neither a plan file nor a target.",
                text=targets[0],
                expected="a file that `backout plan --out` wrote, or kind/name",
            )
        if to or not hooks:
            raise UsageError(
                "A plan file says itself where to go and how, so {option} can't go with it.",
                option="--to" if to else "--no-hooks",
            )
        return Planned(load(path.read_text(encoding="utf-8", errors="replace"), str(path)))
    return await plans_for(session, targets, to, hooks=hooks)


def _show(session: Session, plans: list[Plan]) -> None:
    from backout.cli.views.plan import show_plan

    for plan in plans:
        page = session.page()
        show_plan(page, plan)
        page.line()
        page.show()
