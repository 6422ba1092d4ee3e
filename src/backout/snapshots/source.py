# SPDX-License-Identifier: Apache-2.0
"""Where this process finds its snapshots: the configuration says it once, and whoever needs the past asks here.

Ways back and steps are found by name, also after a crash and in another process; they can't be handed a repository.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from backout.model.settings import SnapshotSettings

if TYPE_CHECKING:
    from backout.snapshots.repository import Repository

_settings = SnapshotSettings()


def use(settings: SnapshotSettings) -> None:
    """From now on the repository of ``settings`` is meant."""
    global _settings
    _settings = settings


@contextmanager
def using(settings: SnapshotSettings) -> Iterator[None]:
    """As `use`, for a while."""
    before = _settings
    use(settings)
    try:
        yield
    finally:
        use(before)


def current() -> SnapshotSettings:
    """The configuration that is in force."""
    return _settings


@asynccontextmanager
async def opened() -> AsyncIterator[Repository | None]:
    """The repository, for reading; None when none was ever made.

    Raises:
        KeyMissing, WrongKey, RepositoryChanged, RepositoryDamaged, FormatUnknown, StorageError: there is one, and it
            can't be read.
    """
    from backout.errors import RepositoryNotFound
    from backout.snapshots.repository.opening import open_repository

    try:
        found = await open_repository(_settings)
    except RepositoryNotFound:
        yield None
        return
    try:
        yield found.repository
    finally:
        await found.repository.close()
