# SPDX-License-Identifier: Apache-2.0
"""Who can open the snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.app.events import KeyReplaced, KeyTaken
from backout.app.snapshots.opening import opened

if TYPE_CHECKING:
    from backout.app.workspace import Workspace
    from backout.snapshots.repository import Repository
    from backout.snapshots.repository.keys import Recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The recipients of a repository. ``own`` are yours; their secret half is in the file ``identity``.

    ``missing`` are named in the configuration and can't open the snapshots yet.
    """

    repository: str
    where: str
    fingerprint: str
    generations: int
    identity: str
    own: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    missing: tuple[str, ...]


async def show(workspace: Workspace) -> Keys:
    """The keys as they are.

    Raises:
        BackoutError: the repository can't be opened.
    """
    async with opened(workspace) as repository:
        return _keys(workspace, repository)


async def add(workspace: Workspace, recipient: str, name: str = "") -> Keys:
    """Lets a recipient (age1…, ssh-ed25519 …) open everything, old and new.

    Raises:
        BackoutError: it is no public key, or the repository can't be used.
    """
    async with opened(workspace) as repository:
        await repository.add_recipient(recipient.strip(), name)
        _remember(workspace, repository)
        return _keys(workspace, repository)


async def remove(workspace: Workspace, recipient: str) -> Keys:
    """Takes the key from a recipient (or the name of one) for all that is written from now on.

    Raises:
        BackoutError: there is no such recipient, or it is the last.
    """
    async with opened(workspace) as repository:
        await repository.remove_recipient(recipient.strip())
        _remember(workspace, repository)
        workspace.tell(KeyTaken())
        return _keys(workspace, repository)


async def rotate(workspace: Workspace, *, identity: bool = False) -> Keys:
    """Begins a new key of the repository; with ``identity`` also a new one of the user's own.

    Raises:
        BackoutError: the repository can't be used.
    """
    from backout.snapshots.repository.keys import read_identities, recipients_of, replace_identity
    from backout.snapshots.repository.opening import identity_file, open_repository

    path = identity_file(workspace.settings.snapshots)
    if not identity:
        async with opened(workspace) as repository:
            await repository.rotate()
            _remember(workspace, repository)
            return _keys(workspace, repository)
    async with opened(workspace) as repository:
        here = {item.recipient for item in repository.recipients}
    old = [text for text in recipients_of(read_identities(path)) if text in here]
    # The file first: a process that dies now leaves an identity too many, never one too few.
    new = replace_identity(path)
    again = await open_repository(workspace.settings.snapshots)
    try:
        await again.repository.replace_recipients(old, new)
        _remember(workspace, again.repository)
        workspace.tell(KeyReplaced(str(path)))
        return _keys(workspace, again.repository)
    finally:
        await again.repository.close()


def _remember(workspace: Workspace, repository: Repository) -> None:
    from backout.snapshots.repository.opening import backend_of
    from backout.snapshots.repository.pins import check_and_remember

    check_and_remember(backend_of(workspace.settings.snapshots)[0], repository.keys)


def _keys(workspace: Workspace, repository: Repository) -> Keys:
    from backout.snapshots.repository.keys import read_identities, recipients_of
    from backout.snapshots.repository.opening import identity_file

    settings = workspace.settings.snapshots
    path = identity_file(settings)
    recipients = tuple(repository.recipients)
    known = {item.recipient for item in recipients}
    return Keys(
        repository=repository.id,
        where=repository.backend.where,
        fingerprint=repository.keyring.fingerprint,
        generations=len(repository.keyring.generations),
        identity=str(path),
        own=tuple(recipients_of(read_identities(path))),
        recipients=recipients,
        missing=tuple(text for text in settings.recipients if text not in known),
    )
