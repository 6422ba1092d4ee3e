# SPDX-License-Identifier: Apache-2.0
"""`backout runs`: what was done so far, and what of it is kept."""

from __future__ import annotations

from datetime import timedelta

import click

from backout.cli.options import Duration, Group
from backout.cli.session import open_session

STATES = (
    "pending",
    "running",
    "interrupted",
    "recovered",
    "not-recovered",
    "unknown",
    "failed",
    "aborted",
    "taken-back",
    "not-taken-back",
)
"""What a run is called in the list (a test holds them to those of documents)."""


class RunsGroup(Group):
    """Lists by itself; its subcommand's module loads on call."""

    def list_commands(self, context: click.Context) -> list[str]:
        return ["prune"]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name != "prune":
            return None
        from backout.cli.commands.runs_prune import command as prune

        return prune

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([("prune", "Remove old runs, with what was captured for them.")])


@click.group("runs", cls=RunsGroup, invoke_without_command=True, subcommand_metavar="[prune]")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, at most.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only runs in this state; may be repeated."
)
@click.option("--since", type=Duration(), metavar="DURATION", help="Only runs that began within that time: 12h, 30d.")
@click.pass_context
def command(context: click.Context, limit: int, states: tuple[str, ...], since: timedelta | None) -> None:
    """Lists the latest runs, newest first; with --cluster, -l, --stack or -n those there."""
    if context.invoked_subcommand is not None:
        return
    from backout.app.runs import runs
    from backout.cli.render.run import show_runs
    from backout.documents.running import run_list

    session = open_session()
    found = runs(session.workspace, limit, states=states, since=since)
    if session.text:
        where = session.workspace.where
        chosen = bool(states or since or where.contexts or where.namespace)
        session.show(lambda screen: show_runs(screen, found, chosen=chosen))
    else:
        session.document(run_list(found))
