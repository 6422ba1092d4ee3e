# SPDX-License-Identifier: Apache-2.0
"""`backout changes`: the ledger."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.errors import UsageError

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.model.change import LedgerEntry

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_span(text: str) -> timedelta:
    """``90s``, ``30m``, ``2h``, ``1d12h``.

    Raises:
        UsageError: anything else.
    """
    if not re.fullmatch(r"(\d{1,6}[smhd])+", text):
        raise UsageError("{text} is not a span of time.", text=text, expected="such as 30m, 2h or 1d12h")
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", text)))


@click.command("changes")
@click.option("--since", default="2h", show_default=True, metavar="SPAN", help="How far back: 30m, 2h, 1d.")
@common_options
@with_session
async def command(session: Session, since: str) -> None:
    """Lists what changed in a namespace: Helm releases, rollouts, and edits of objects."""
    from backout.changes.timeline import changes
    from backout.cli.output import versioned
    from backout.cli.views.changes import show_ledger

    span = read_span(since)

    async def look(cluster: Cluster) -> tuple[str, datetime, list[LedgerEntry]]:
        start = await cluster.server_time() - span
        return cluster.name, start, await changes(cluster, session.namespace_of(cluster), start)

    found = await session.each_cluster(look)
    if session.text:
        page = session.page()
        for name, _, entries in found:
            if len(found) > 1:
                page.line(name)
            show_ledger(page, entries)
        page.show()
    else:
        items = [{"cluster": name, "since": start, "changes": entries} for name, start, entries in found]
        session.document(versioned("Changes", **items[0]) if len(items) == 1 else versioned("ChangesList", items=items))
