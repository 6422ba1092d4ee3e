# SPDX-License-Identifier: Apache-2.0
"""`backout runs prune`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.session import open_session
from backout.errors import UsageError

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.workflows.retention import Chosen, Policy, Pruned

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[timedelta]):
    """``90d``: a number and m, h, d or w."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([mhdw])", value.strip())
        if found is None:
            self.fail(f"{value!r} is no duration such as 12h, 30d or 8w", param, ctx)
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


@click.command("prune")
@click.option("--keep-last", default=0, type=click.IntRange(0, 1_000_000), metavar="N", help="Keep the newest N.")
@click.option("--older-than", default=None, type=Duration(), metavar="DURATION", help="Remove only older ones: 30d.")
@click.option("--undoable", is_flag=True, help="Also runs that could still be taken back.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common_options
def command(keep_last: int, older_than: timedelta | None, undoable: bool, dry_run: bool, yes: bool) -> None:
    """Removes old runs: their records, what the engine kept of them, and their captures.

    A run that is not over always stays. So does the last one that changed a target and was not taken back, unless
    --undoable says otherwise. Snapshots that runs took are another matter: `backout snapshot prune`.
    """
    from backout.cli.running import ask
    from backout.cli.store import open_store
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.retention import Policy, choose, prune

    if not keep_last and older_than is None:
        raise UsageError(
            "Nothing says which runs are old.",
            expected="--older-than DURATION, --keep-last N, or both",
            hint="backout runs prune --older-than 90d --dry-run",
        )
    session = open_session()
    policy, captures, now = Policy(keep_last, older_than, undoable), CaptureStore(), datetime.now(UTC)
    with open_store(session) as store:
        chosen = choose(store, policy, captures, now)
    if dry_run or not chosen.going:
        _tell(session, policy, chosen, None)
        return
    if not yes:
        if session.text:
            _tell(session, policy, chosen, None, err=True)
        if not ask(session, "Remove these runs?"):
            session.note("Nothing was removed.")
            return
    with open_store(session, create=True) as store:
        done = prune(store, policy, captures, now, chosen.going)
    _tell(session, policy, chosen, done)


def _tell(session: Session, policy: Policy, chosen: Chosen, done: Pruned | None, *, err: bool = False) -> None:
    from backout.cli.output import versioned
    from backout.cli.views.run import show_pruned_runs

    if session.text:
        page = session.page()
        show_pruned_runs(page, chosen, done)
        click.echo("\n".join(page.lines), err=err)
        return
    gone = chosen.going if done is None else done.runs
    session.document(
        versioned(
            "RunPrune",
            dryRun=done is None,
            removed=[run.id for run in gone],
            unfinished=[run.id for run in chosen.unfinished],
            undoable=[run.id for run in chosen.undoable],
            recent=chosen.recent,
            captures=done.captures if done else 0,
            freed=done.freed if done else 0,
        )
    )
