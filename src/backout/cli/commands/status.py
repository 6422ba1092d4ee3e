# SPDX-License-Identifier: Apache-2.0
"""`backout status`: what is deployed, is it healthy, and what could one go back to?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session


@click.command("status", cls=Command)
@click.argument("targets", nargs=-1)
@with_session
async def command(session: Session, targets: tuple[str, ...]) -> int:
    """Shows every release and unmanaged workload: its revision, its health, and the last good revision before it.

    Exit code 7 when something may not be read, so that there may be more, or not all be as well as it looks.
    """
    from backout.app.reading import status
    from backout.app.running import NOT_SEEN
    from backout.cli.render.status import show_status
    from backout.documents.reading import StatusList

    found = await status(session.workspace, targets)
    if session.text:
        session.show(lambda screen: show_status(screen, found))
    else:
        session.document(StatusList(items=tuple(found)))
    return NOT_SEEN if any(one.blind for one in found) else 0
