# SPDX-License-Identifier: Apache-2.0
"""Where a call finds its snapshots: the workspace says it for all that is done on its behalf, in this task and its own.

Ways back and steps are found by name, also after a crash and in another process; they can't be handed a repository.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from backout.model.settings import SnapshotSettings
from backout.snapshots.place import never_made

if TYPE_CHECKING:
    from backout.snapshots.repository import Repository

_settings: ContextVar[SnapshotSettings | None] = ContextVar("backout-snapshots", default=None)


@contextmanager
def using(settings: SnapshotSettings) -> Iterator[None]:
    """Within it the repository of ``settings`` is meant, here and in tasks that are begun here."""
    token = _settings.set(settings)
    try:
        yield
    finally:
        _settings.reset(token)


def current() -> SnapshotSettings:
    """The configuration that is in force."""
    return _settings.get() or SnapshotSettings()


@asynccontextmanager
async def opened() -> AsyncIterator[Repository | None]:
    """The repository, for reading; None when none was ever made.

    Raises:
        KeyMissing, WrongKey, RepositoryChanged, RepositoryDamaged, FormatUnknown, StorageError: there is one, and it
            can't be read.
    """
    if never_made(current()):
        yield None
        return
    from backout.errors import RepositoryNotFound
    from backout.snapshots.repository.opening import open_repository

    try:
        found = await open_repository(current())
    except RepositoryNotFound:
        yield None
        return
    try:
        yield found.repository
    finally:
        await found.repository.close()
