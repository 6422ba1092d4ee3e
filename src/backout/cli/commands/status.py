# SPDX-License-Identifier: Apache-2.0
"""`backout status`: what is deployed, is it healthy, and what could one go back to?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session

STATES = ("healthy", "broken", "unknown", "under-way", "stopped")


@click.command("status", cls=Command)
@click.argument("targets", nargs=-1)
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only targets in this state; may be repeated."
)
@with_session
async def command(session: Session, targets: tuple[str, ...], states: tuple[str, ...]) -> int:
    """Shows every release and unmanaged workload: its revision, its health, and the last good revision before it.

    Exit code 7 when something may not be read, so that there may be more, or not all be as well as it looks.
    """
    import msgspec

    from backout.app.reading import state_of, status
    from backout.app.running import NOT_SEEN
    from backout.cli.render.status import show_status
    from backout.documents.reading import StatusList

    found = await status(session.workspace, targets)
    shown = [
        msgspec.structs.replace(one, targets=tuple(t for t in one.targets if state_of(t) in states)) for one in found
    ]
    if session.text:
        session.show(lambda screen: show_status(screen, found, states))
    else:
        session.document(StatusList(items=tuple(shown if states else found)))
    return NOT_SEEN if any(one.blind for one in found) else 0
