# SPDX-License-Identifier: Apache-2.0
"""`backout changes`: the ledger."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session
from backout.errors import UsageError

if TYPE_CHECKING:
    from backout.cli.session import Session

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_span(text: str) -> timedelta:
    """``90s``, ``30m``, ``2h``, ``1d12h``.

    Raises:
        UsageError: anything else.
    """
    if not re.fullmatch(r"(\d{1,6}[smhd])+", text):
        raise UsageError("{text} is not a span of time.", text=text, expected="such as 30m, 2h or 1d12h")
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", text)))


@click.command("changes", cls=Command)
@click.option("--since", default="2h", show_default=True, metavar="SPAN", help="How far back: 30m, 2h, 1d.")
@with_session
async def command(session: Session, since: str) -> int:
    """Lists what changed in a namespace: Helm releases, rollouts, and edits of objects.

    Exit code 7 when something may not be read, so that more may have changed.
    """
    from backout.app.reading import changes
    from backout.app.running import NOT_SEEN
    from backout.cli.render.changes import show_ledgers
    from backout.documents.reading import ChangesList

    found = await changes(session.workspace, read_span(since))
    if session.text:
        session.show(lambda screen: show_ledgers(screen, found))
    else:
        session.document(ChangesList(items=tuple(found)))
    return NOT_SEEN if any(one.blind for one in found) else 0
