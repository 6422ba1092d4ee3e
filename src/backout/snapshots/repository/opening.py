# SPDX-License-Identifier: Apache-2.0
"""From the configuration to an opened repository; the first use makes key and repository, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from backout.errors import ConfigError, KeyMissing, RepositoryChanged
from backout.model.settings import SnapshotSettings
from backout.snapshots.place import data_folder, repository_place
from backout.snapshots.repository.backend import Backend, Missing
from backout.snapshots.repository.directory import Directory
from backout.snapshots.repository.format import CONFIG, MAX_CONFIG
from backout.snapshots.repository.keys import (
    Identity,
    Recipient,
    make_identity,
    parse_recipient,
    read_identities,
    recipients_of,
)
from backout.snapshots.repository.pins import check_and_remember, remembered
from backout.snapshots.repository.repository import Repository


class Opened(NamedTuple):
    """A repository, and what was new about it."""

    repository: Repository
    url: str
    identity: Path
    key_made: bool
    """The identity was made just now: the user must hear what it is, and where."""
    created: bool
    first_seen: bool


def identity_file(settings: SnapshotSettings) -> Path:
    """The file with the user's key."""
    return Path(settings.identity).expanduser() if settings.identity else data_folder() / "identity.age"


def backend_of(settings: SnapshotSettings) -> tuple[str, Backend]:
    """The place of the snapshots: an URL that stands for it always, and the way to it.

    Raises:
        ConfigError: it is neither a directory nor s3://BUCKET/PREFIX.
    """
    place = repository_place(settings)
    if place.startswith("s3://"):
        from backout.snapshots.repository.objectstore import s3
        from backout.snapshots.repository.retry import Retrying

        return f"{settings.endpoint}|{place}".strip("|"), Retrying(s3(place, settings))
    if "://" in place:
        raise ConfigError(
            "snapshots.repository is of a kind that Backout does not know.",
            expected="a directory, or s3://BUCKET/PREFIX",
        )
    folder = Path(place).expanduser().absolute()
    return str(folder), Directory(folder)


async def open_repository(settings: SnapshotSettings, *, create: bool = False) -> Opened:
    """Opens the repository of the configuration; with ``create`` it is made when it is not there, and so is the key.

    A missing key is never replaced when there is a repository, or when the configuration names the file.

    Raises:
        RepositoryNotFound: there is none, and ``create`` is False.
        KeyMissing, WrongKey, ConfigError, RefusedError: the key.
        RepositoryChanged: another repository, or none, where this machine has seen one.
        FormatUnknown, RepositoryDamaged, StorageError: the place.
    """
    url, backend = backend_of(settings)
    path = identity_file(settings)
    try:
        there = await _exists(backend)
        if not there and not create:
            # Without a key as well, this says the more useful thing: that there is nothing to open.
            await Repository.open(backend, [])
        made = False
        if not there:
            if (known := remembered(url)) is not None:
                raise RepositoryChanged(
                    "The snapshot repository that was in {url} is gone.",
                    url=url,
                    path=str(known),
                    hint="perhaps the place is not mounted; if you removed it yourself, remove {path}",
                )
            made = _key_for_a_new_one(settings, path)
        identities = read_identities(path)
        if there:
            repository = await Repository.open(backend, identities, identity=str(path))
        else:
            repository = await Repository.create(
                backend, identities, _recipients(settings, identities), identity=str(path)
            )
        first = check_and_remember(url, repository.keys)
    except BaseException:
        await backend.close()
        raise
    return Opened(repository, url, path, made, not there, first)


async def _exists(backend: Backend) -> bool:
    try:
        await backend.get(CONFIG, MAX_CONFIG)
    except Missing:
        return False
    return True


def _key_for_a_new_one(settings: SnapshotSettings, path: Path) -> bool:
    if path.exists():
        return False
    if settings.identity:
        raise KeyMissing(
            "The key that snapshots.identity names, {path}, is missing.",
            path=str(path),
            hint="make one with: age-keygen -o {path}; or leave snapshots.identity out, and one is made",
        )
    return make_identity(path)


def _recipients(settings: SnapshotSettings, identities: Sequence[Identity]) -> list[Recipient]:
    now = datetime.now(UTC)
    own = recipients_of(list(identities))[:1]
    for text in settings.recipients:
        parse_recipient(text)
    return [
        *(Recipient(recipient=text, name="first key", added=now) for text in own),
        *(Recipient(recipient=text.strip(), added=now) for text in settings.recipients if text.strip() not in own),
    ]
