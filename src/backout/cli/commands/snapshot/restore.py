# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import Session, with_session

if TYPE_CHECKING:
    from backout.app.snapshots.restoring import Restored


@click.command("restore", cls=Command)
@click.argument("snapshot")
@click.argument("objects", nargs=-1, metavar="[KIND/NAME]...")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="All objects of this kind; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Compare, let the server try every write, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--approve", "approved", multiple=True, metavar="CODE", help="Say yes to a risk: recreate.")
@click.option("--include-owned", is_flag=True, help="Also what controllers made, and Helm's own history.")
@click.option("--partial", is_flag=True, help="Go on without the objects that can't be put back.")
@click.option("--no-snapshot", is_flag=True, help="Take no snapshot of the present state first.")
@with_session
async def command(
    session: Session,
    snapshot: str,
    objects: tuple[str, ...],
    kinds: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    approved: tuple[str, ...],
    include_owned: bool,
    partial: bool,
    no_snapshot: bool,
) -> int:
    """Puts objects back exactly as SNAPSHOT has them: all, those of kinds, or single ones.

    Keys that were added since go away. Objects that were created since stay. The present state is kept in a snapshot
    first. What is written is reserved as runs do it: exit code 6 when somebody works on it. Exit code 8 when only a
    part was put back.
    """
    from backout.app.snapshots.restoring import restore
    from backout.cli.questions import ask

    found = await restore(
        session.workspace,
        snapshot,
        objects,
        kinds=kinds,
        approved=approved,
        include_owned=include_owned,
        partial=partial,
        keep_state=not no_snapshot,
        dry_run=dry_run,
        show=lambda found: _show(session, found, err=True) if session.text else None,
        stopped=lambda found: _tell(session, found),
        confirm=lambda: yes or ask(session, "Put these objects back?"),
    )
    if found.refused:
        session.note("Nothing was written.")
        return 0
    _tell(session, found)
    return found.exit_code


def _show(session: Session, found: Restored, *, err: bool = False) -> None:
    from backout.cli.render.snapshot_work import show_restore

    session.show(lambda screen: show_restore(screen, found.snapshot, found.items), err=err)


def _tell(session: Session, found: Restored) -> None:
    from backout.documents.snapshots import restore_document

    if session.text:
        _show(session, found)
    else:
        session.document(restore_document(found))
