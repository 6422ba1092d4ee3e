# SPDX-License-Identifier: Apache-2.0
"""`backout run`: capture, roll back, verify, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.model.plan import Plan
    from backout.model.run import Run


@click.command("run")
@click.argument("targets", nargs=-1, metavar="[PLAN-FILE | TARGETS]")
@click.option("--to", default="", metavar="REVISION", help="Go back to this revision, not to the last good one.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", multiple=True, metavar="CODE", help="Say yes to a risk that needs it; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what the server would answer.")
@common_options
@with_session
async def command(
    session: Session, targets: tuple[str, ...], to: str, yes: bool, approve: tuple[str, ...], dry_run: bool
) -> int:
    """Shows the plan, asks, captures the state, carries the plan out, and measures whether it worked.

    Takes a plan file that `plan --out` wrote, or TARGETS; without either, everything that `diagnose` finds broken.
    """
    from backout.engine.dbos_engine import preload

    if not dry_run:
        # The engine's import runs beside the reading of the cluster.
        preload()
    plans = await _plans(session, targets, to)
    if session.text:
        _show(session, plans)
    if dry_run:
        from backout.cli.rehearsing import dry_run_answers

        return await dry_run_answers(session, plans)
    from backout.cli.running import ask, require_approval, require_tools

    for plan in plans:
        require_approval(plan, approve)
        await require_tools(plan)
    if not yes and not ask(session, "Carry this out?"):
        session.note("Nothing was done.")
        return 0
    runs = [await _run(session, plan) for plan in plans]
    return _conclude(session, runs)


async def _plans(session: Session, targets: tuple[str, ...], to: str) -> list[Plan]:
    from backout.cli.planning import plans_for
    from backout.errors import UsageError
    from backout.planning.document import load

    if len(targets) == 1 and ("/" not in targets[0] or Path(targets[0]).is_file()):
        path = Path(targets[0])
        if not path.is_file():
            raise UsageError("{text} is neither a plan file nor a target.", text=targets[0],
                             expected="a file that `backout plan --out` wrote, or kind/name")  # fmt: skip
        if to:
            raise UsageError("A plan file says itself where to go, so --to can't go with it.")
        return load(path.read_text(encoding="utf-8", errors="replace"), str(path))
    return await plans_for(session, targets, to)


def _show(session: Session, plans: list[Plan]) -> None:
    from backout.cli.views.plan import show_plan

    for plan in plans:
        page = session.page()
        show_plan(page, plan)
        page.line()
        page.show()


async def _run(session: Session, plan: Plan) -> Run:
    from backout.cli.running import carry_out

    # A plan file names its own cluster; --context may say by which context it is reached from here.
    name = session.contexts[0] if session.values.get("contexts") and len(session.contexts) == 1 else plan.cluster
    async with session.cluster(name) as cluster:
        return await carry_out(session, cluster, plan)


def _conclude(session: Session, runs: list[Run]) -> int:
    """The outcome of each; the exit code is the worst, in the order of how much a person must do about it."""
    from backout.cli.running import conclude

    codes = [conclude(session, run) for run in runs]
    return next((code for code in (8, 7, 9, 1, 130) if code in codes), max(codes))
