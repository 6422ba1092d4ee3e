# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot key`: who can open the snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import Group
from backout.cli.session import Session, with_session

if TYPE_CHECKING:
    from backout.app.snapshots.keys import Keys


@click.group("key", cls=Group)
def command() -> None:
    """Recipients are public keys; whoever has the identity (the secret half) of one can open the snapshots."""


@command.command("show")
@with_session
async def show(session: Session) -> None:
    """Shows your public key, all recipients, and the fingerprint by which two machines can be compared."""
    from backout.app.snapshots import keys

    _shown(session, await keys.show(session.workspace))


@command.command("add")
@click.argument("recipient")
@click.option("--name", default="", help="What to call it.")
@with_session
async def add(session: Session, recipient: str, name: str) -> None:
    """Lets RECIPIENT (age1…, ssh-ed25519 …) open everything, old and new."""
    from backout.app.snapshots import keys

    _shown(session, await keys.add(session.workspace, recipient, name))


@command.command("remove")
@click.argument("recipient")
@with_session
async def remove(session: Session, recipient: str) -> None:
    """Takes the key from RECIPIENT (or the name of one) for all that is written from now on.

    What it could open before, it may have kept. A new key of the repository begins: the next snapshot is written whole.
    """
    from backout.app.snapshots import keys

    _shown(session, await keys.remove(session.workspace, recipient))


@command.command("rotate")
@click.option("--identity", "own", is_flag=True, help="Also make a new identity for you, in place of your current one.")
@with_session
async def rotate(session: Session, own: bool) -> None:
    """Begins a new key of the repository for all that is written from now on; older snapshots stay readable."""
    from backout.app.snapshots import keys

    _shown(session, await keys.rotate(session.workspace, identity=own))


def _shown(session: Session, keys: Keys) -> None:
    from backout.cli.render.snapshot import show_keys
    from backout.documents.snapshots import keys_document

    if session.text:
        session.show(lambda screen: show_keys(screen, keys))
    else:
        session.document(keys_document(keys))
