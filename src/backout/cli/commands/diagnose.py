# SPDX-License-Identifier: Apache-2.0
"""`backout diagnose`: what broke?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.cli.session import Session

FOUND = 10


@click.command("diagnose", cls=Command)
@click.argument("targets", nargs=-1)
@with_session
async def command(session: Session, targets: tuple[str, ...]) -> int:
    """Says what broke, since when, by which change, and how sure that is.

    Without TARGETS it looks at the whole namespace. Exit code 10 when something is broken; 7 when nothing is as
    far as was seen, but not everything was, or too few pods serve while a rollout goes on.
    """
    from backout.app.reading import diagnose
    from backout.app.running import NOT_SEEN
    from backout.cli.render.diagnosis import show_diagnoses
    from backout.documents.reading import diagnosis_list

    found = await diagnose(session.workspace, targets)
    if session.text:
        session.show(lambda screen: show_diagnoses(screen, found))
    else:
        session.document(diagnosis_list(found))
    if any(diagnosis.problems for diagnosis in found):
        return FOUND
    return 0 if all(diagnosis.healthy for diagnosis in found) else NOT_SEEN
