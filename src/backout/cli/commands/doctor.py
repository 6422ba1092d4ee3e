# SPDX-License-Identifier: Apache-2.0
"""`backout doctor`: is everything there that a rollback needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session

NOT_FOUND = 4
REFUSED = 5


@click.command("doctor", cls=Command)
@click.argument("targets", nargs=-1)
@click.option("--install", is_flag=True, help="Install a pinned helm and kubectl where there is none.")
@with_session
async def command(session: Session, targets: tuple[str, ...], install: bool) -> int:
    """Checks tools and versions, the state database, the cluster, and the rights for every verb of a plan.

    With TARGETS, the rights of their plans are asked for; without, those of a Helm or workload rollback in the
    namespace. Missing rights are printed as a Role to apply. Exit code 5 when something is missing,
    4 when what was named does not exist.
    """
    from backout.app.doctor import examine
    from backout.cli.render.doctor import show_examination
    from backout.documents.reading import doctor_document

    found = await examine(session.workspace, targets, install=install)
    if session.text:
        session.show(lambda screen: show_examination(screen, found))
    else:
        session.document(doctor_document(found))
    return 0 if found.ok else NOT_FOUND if found.absent else REFUSED
