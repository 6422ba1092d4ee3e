# SPDX-License-Identifier: Apache-2.0
"""`backout verify`: the checks alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session

NOT_VERIFIED = 7


@click.command("verify", cls=Command)
@click.argument("targets", nargs=-1)
@click.option("--soak", type=click.FloatRange(0, 3600), help="Seconds to watch for restarts (else verify.soak).")
@with_session
async def command(session: Session, targets: tuple[str, ...], soak: float | None) -> int:
    """Measures whether TARGETS (else the whole namespace) are healthy, and watches that they stay so.

    Exit code 7 when they are not, or when it could not be measured: of several clusters, one without an answer is "not proven".
    """
    from backout.app.reading import verify
    from backout.cli.render.run import show_measured
    from backout.documents.reading import verdict_list

    found = await verify(session.workspace, targets, soak)
    if session.text:
        session.show(lambda screen: show_measured(screen, found))
    else:
        session.document(verdict_list(found))
    return 0 if all(one.verdict.outcome == "recovered" for one in found) else NOT_VERIFIED
