# SPDX-License-Identifier: Apache-2.0
"""`backout run`: capture, roll back, verify, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backout.cli.options import Command, fleet, skipping, timing
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.app.admission import Terms
    from backout.app.events import Failed
    from backout.app.planning import Planned
    from backout.cli.session import Session
    from backout.model.operation import Operation
    from backout.model.run import Run


@click.command("run", cls=Command)
@click.argument("targets", nargs=-1, metavar="[PLAN-FILE | TARGETS]")
@click.option("--to", default="", metavar="REVISION", help="Go back to this revision, not to the last good one.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", multiple=True, metavar="CODE", help="Say yes to a risk that needs it; may be repeated.")
@click.option("--no-hooks", is_flag=True, help="Helm: run no hooks of the revision.")
@click.option("--detach", is_flag=True, help="Leave it to the workers (docs/workers.md), and end at once.")
@click.option(
    "--priority",
    type=click.IntRange(-1000, 1000),
    default=None,
    metavar="N",
    help="With --detach: the lowest goes first. Default 0.",
)
@click.option(
    "--wait-approval", is_flag=True, help="Wait here for the people who have to approve it (policy.approvals)."
)
@click.option("--override-freeze", default="", metavar="REASON", help="Begin in a freeze window; recorded and shown.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what the server would answer.")
@skipping
@fleet
@timing
@with_session
async def command(
    session: Session,
    targets: tuple[str, ...],
    to: str,
    yes: bool,
    approve: tuple[str, ...],
    no_hooks: bool,
    skip: tuple[str, ...],
    waves: dict[str, Any],
    detach: bool,
    priority: int | None,
    wait_approval: bool,
    override_freeze: str,
    dry_run: bool,
    soak: float | None,
    timeout: float | None,
) -> int:
    """Shows the plan, asks, captures the state, carries the plan out, and measures whether it worked.

    Takes a plan file that `plan --out` wrote, or TARGETS; without either, everything that `diagnose` finds broken.
    """
    from backout.app.admission import Terms
    from backout.app.running import preload
    from backout.errors import UsageError

    if detach and wait_approval:
        raise UsageError(
            "With --detach the workers begin it once it is approved, so nobody waits here.",
            hint="Leave --wait-approval out.",
        )
    if (priority is not None and not detach) or (detach and dry_run):
        raise UsageError(
            "--detach leaves a run to the workers: --dry-run carries none out, and --priority is for them alone.",
            hint="Leave one of the options out, or add --detach.",
        )
    if not dry_run and not detach:
        # The engine's import runs beside the reading of the cluster.
        preload()
    session.workspace.use(session.workspace.settings.patient(soak, timeout))
    session.over_clusters(waves)
    given = {
        "--to": to,
        "--no-hooks": no_hooks,
        "--skip": skip,
        "--soak": soak is not None,
        "--timeout": timeout is not None,
        **{f"--{name.replace('_', '-')}": True for name in waves},
    }
    async with session.workspace.keeping():
        planned = await _plans(
            session, targets, to, [name for name, value in given.items() if value], hooks=not no_hooks, skip=skip
        )
        if dry_run:
            return await _dry_run(session, planned)
        terms = Terms(override_freeze.strip(), wait=wait_approval, queued=detach, priority=priority or 0)
        return await _run(session, planned, approve, terms, yes=yes)


async def _run(session: Session, planned: Planned, approve: tuple[str, ...], terms: Terms, *, yes: bool) -> int:
    from backout.app.aftermath import tell_what_still_fails
    from backout.app.approval import nobody, ready
    from backout.app.running import run_all
    from backout.cli.questions import ask, typed_yes

    plans = await ready(session.workspace, planned, approve, nobody if yes else typed_yes(session), terms)
    told = len(planned.failures)
    if plans and not yes and not ask(session, "Carry this out?"):
        session.note("Nothing was done.")
        return _report(session, [], planned.failures, told=told) if not session.text else 0
    if terms.queued:
        return _submit(session, plans, planned, terms)
    runs, failures = await run_all(session.workspace, plans, terms)
    left = await tell_what_still_fails(session.workspace, planned.others, runs)
    return _report(session, runs, [*planned.failures, *failures], told=told, left=left)


def _submit(session: Session, plans: list[Operation], planned: Planned, terms: Terms) -> int:
    from backout.app.running import worst
    from backout.app.working import submit
    from backout.documents.running import run_submit

    runs, failures = submit(session.workspace, plans, terms, planned.others), planned.failures
    if not session.text:
        session.document(run_submit(runs, failures))
    for run in runs:
        session.note(
            "Run {run} is left to the workers: {target}. `backout show {run} --follow` follows it.",
            run=run.id,
            target=run.operation.targets,
        )
    return worst([failed.error.exit_code for failed in failures])


def _report(
    session: Session, runs: list[Run], failures: list[Failed], *, told: int, left: Sequence[Failed] = ()
) -> int:
    """Documents are imported when there is something to write into them: what breaks waits until then."""
    from backout.cli.endings import report

    return report(session, runs, failures, told=told, left=left)


async def _dry_run(session: Session, planned: Planned) -> int:
    from backout.app.dryrun import REFUSED, dry_run
    from backout.app.running import worst
    from backout.cli.failures import show_failure
    from backout.cli.render.dryrun import show_dry_runs
    from backout.documents.running import dry_run_list

    items, failures = await dry_run(session.workspace, planned)
    every = [*planned.failures, *failures]
    if session.text:
        session.show(lambda screen: show_dry_runs(screen, items))
        for failed in failures:
            show_failure(failed.error, session.options)
    else:
        session.document(dry_run_list(items, every))
    codes = [failed.error.exit_code for failed in every]
    return worst([*codes, REFUSED if any(item.missing for item in items) else 0])


async def _plans(
    session: Session, targets: tuple[str, ...], to: str, given: Sequence[str], *, hooks: bool, skip: Sequence[str]
) -> Planned:
    from backout.app.planning import as_made_now, by_themselves, plans_for, plans_in
    from backout.cli.render.plan import show_by_themselves, show_plans
    from backout.errors import UsageError

    from_file = len(targets) == 1 and ("/" not in targets[0] or Path(targets[0]).is_file())
    if from_file:
        path = Path(targets[0])
        if not path.is_file():
            raise UsageError(
                "{text} is neither a plan file nor a target.",
                text=targets[0],
                expected="a file that `backout plan --out` wrote, or kind/name",
            )
        if given:
            raise UsageError(
                "A plan file says itself where to go and how, so {option} can't go with it.", option=given[0]
            )
        planned = plans_in(path)
        await as_made_now(session.workspace, planned.plans)
    else:
        planned = await plans_for(session.workspace, targets, to, hooks=hooks, skip=skip)
    if session.text:
        session.show(lambda screen: show_plans(screen, planned.plans, apart=True))
    if session.text and from_file:
        session.show(lambda screen: show_by_themselves(screen, by_themselves(planned.plans)))
    return planned
