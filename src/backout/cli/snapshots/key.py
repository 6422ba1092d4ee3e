# SPDX-License-Identifier: Apache-2.0
"""`backout snapshot key`: who can open the snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backout.cli.options import common_options
from backout.cli.run_async import with_session
from backout.cli.session import Session

if TYPE_CHECKING:
    from backout.snapshots.repository import Repository


@click.group("key")
@common_options
def command() -> None:
    """Recipients are public keys; whoever has the identity (the secret half) of one can open the snapshots."""


@command.command("show")
@common_options
@with_session
async def show(session: Session) -> None:
    """Shows your public key, all recipients, and the fingerprint by which two machines can be compared."""
    from backout.cli.snapshots.opening import opened

    async with opened(session) as repository:
        _shown(session, repository)


@command.command("add")
@click.argument("recipient")
@click.option("--name", default="", help="What to call it.")
@common_options
@with_session
async def add(session: Session, recipient: str, name: str) -> None:
    """Lets RECIPIENT (age1…, ssh-ed25519 …) open everything, old and new."""
    from backout.cli.snapshots.opening import opened

    async with opened(session) as repository:
        await repository.add_recipient(recipient.strip(), name)
        _remember(session, repository)
        _shown(session, repository)


@command.command("remove")
@click.argument("recipient")
@common_options
@with_session
async def remove(session: Session, recipient: str) -> None:
    """Takes the key from RECIPIENT (or the name of one) for all that is written from now on.

    What it could open before, it may have kept. A new key of the repository begins: the next snapshot is written whole.
    """
    from backout.cli.snapshots.opening import opened

    async with opened(session) as repository:
        await repository.remove_recipient(recipient.strip())
        _remember(session, repository)
        session.note("What it could open until now, it may have copied: change those secrets if it has leaked.")
        _shown(session, repository)


@command.command("rotate")
@click.option("--identity", "own", is_flag=True, help="Also make a new identity for you, in place of your current one.")
@common_options
@with_session
async def rotate(session: Session, own: bool) -> None:
    """Begins a new key of the repository for all that is written from now on; older snapshots stay readable."""
    from backout.cli.snapshots.opening import opened
    from backout.snapshots.repository.keys import read_identities, recipients_of, replace_identity
    from backout.snapshots.repository.opening import identity_file, open_repository

    path = identity_file(session.settings.snapshots)
    if not own:
        async with opened(session) as repository:
            await repository.rotate()
            _remember(session, repository)
            _shown(session, repository)
        return
    async with opened(session) as repository:
        here = {item.recipient for item in repository.recipients}
    old = [text for text in recipients_of(read_identities(path)) if text in here]
    # The file first: a process that dies now leaves an identity too many, never one too few.
    new = replace_identity(path)
    again = await open_repository(session.settings.snapshots)
    try:
        await again.repository.replace_recipients(old, new)
        _remember(session, again.repository)
        session.note("Your new key is the first in {path}; older files need the older ones below it.", path=str(path))
        session.note("Keep a copy of {path} in a safe place now.", path=str(path))
        _shown(session, again.repository)
    finally:
        await again.repository.close()


def _remember(session: Session, repository: Repository) -> None:
    from backout.snapshots.repository.opening import backend_of
    from backout.snapshots.repository.pins import check_and_remember

    check_and_remember(backend_of(session.settings.snapshots)[0], repository.keys)


def _shown(session: Session, repository: Repository) -> None:
    from backout.cli.output import versioned
    from backout.snapshots.repository.keys import read_identities, recipients_of
    from backout.snapshots.repository.opening import identity_file

    path = identity_file(session.settings.snapshots)
    own = recipients_of(read_identities(path))
    recipients = repository.recipients
    wanted = [text for text in session.settings.snapshots.recipients if text not in {r.recipient for r in recipients}]
    generations = len(repository.keyring.generations)
    if not session.text:
        session.document(
            versioned(
                "SnapshotKey",
                repository=repository.id,
                where=repository.backend.where,
                fingerprint=repository.keyring.fingerprint,
                generations=generations,
                identity=str(path),
                own=own,
                recipients=recipients,
                not_yet_added=wanted,
            )
        )
        return
    page = session.page()
    page.told("The snapshots in {where} can be opened by:", where=repository.backend.where)
    rows = [
        ("*" if item.recipient in own else "", item.recipient, item.name or "-", page.ago(item.added))
        for item in recipients
    ]
    page.table(("", "recipient", "name", "added"), rows, 2)
    page.told("* is your own; its secret half is in {path}", 2, path=str(path))
    page.told(
        "fingerprint: {fingerprint}; generation of the key: {generations}",
        2,
        fingerprint=repository.keyring.fingerprint,
        generations=generations,
    )
    for text in wanted:
        page.told(
            "The configuration names {recipient}, which can't open them yet: backout snapshot key add",
            2,
            recipient=text,
            style="warn",
        )
    page.show()
