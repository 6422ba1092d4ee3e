# SPDX-License-Identifier: Apache-2.0
"""`backout undo`: take a run back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("undo", cls=Command)
@click.argument("run", default="latest")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", multiple=True, metavar="CODE", help="Say yes to a risk that needs it; may be repeated.")
@with_session
async def command(session: Session, run: str, yes: bool, approve: tuple[str, ...]) -> int:
    """Puts back the state from before RUN: forward again.

    Verified means here that the former content is in force, not that it is healthy.
    """
    from backout.app.approval import nobody, require_approval, require_tools, unapplied
    from backout.app.events import Unapplied
    from backout.app.undoing import undo
    from backout.cli.endings import conclude, report
    from backout.cli.questions import ask, typed_yes
    from backout.cli.render.plan import show_plans

    async with undo(session.workspace, run) as way:
        if session.text:
            session.show(lambda screen: show_plans(screen, [way.plan], apart=True))
        if codes := unapplied([way.plan], approve):
            session.console.tell(Unapplied(codes))
        require_approval(way.plan, approve, nobody if yes else typed_yes(session))
        await require_tools(way.plan)
        if not yes and not ask(session, "Carry this out?"):
            session.note("Nothing was done.")
            return report(session, [], []) if not session.text else 0
        ended = await way.carry_out()
    return conclude(session, ended)
