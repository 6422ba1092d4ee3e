# SPDX-License-Identifier: Apache-2.0
"""`Backout.snapshots`: the verbs on snapshots for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.app.snapshots import reading, restoring, taking

if TYPE_CHECKING:
    from backout.app.results import Report, Taken
    from backout.app.snapshots.reading import Difference, Shown
    from backout.app.snapshots.restoring import Restored
    from backout.app.workspace import Workspace
    from backout.model.snapshot import Snapshot


class Snapshots:
    """The snapshots of one workspace. Names are ids, their first characters, tags, ``latest`` or ``good``."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def create(self, *, tags: Sequence[str] = (), message: str = "") -> Taken:
        """Takes a snapshot of the namespace; the repository, and a key, are made at the first use.

        Raises:
            BackoutError: the cluster or the repository can't be used.
        """
        return (await taking.create(self._workspace, tags=tags, message=message))[0]

    async def list(self, *, tag: str = "", limit: int = 50) -> tuple[Snapshot, ...]:
        """The snapshots, newest first, of the namespace and context where these were given.

        Raises:
            BackoutError: there is no repository, or it can't be read.
        """
        return (await reading.snapshots(self._workspace, tag=tag, limit=limit)).snapshots

    async def show(self, name: str, *, objects: bool = False) -> Shown:
        """One snapshot; its objects too where they are asked for. Contents are never given out.

        Raises:
            BackoutError: it is not there, or can't be read.
        """
        return await reading.show(self._workspace, name, objects=objects)

    async def diff(self, before: str, after: str = reading.LIVE, *, kinds: Sequence[str] = ()) -> Difference:
        """What changed from one snapshot to another, or to the cluster as it is now.

        Raises:
            BackoutError: one of them is not there, or can't be read.
        """
        return await reading.diff(self._workspace, before, after, kinds)

    async def restore(
        self,
        name: str,
        *objects: str,
        kinds: Sequence[str] = (),
        approve: Sequence[str] = (),
        dry_run: bool = False,
        partial: bool = False,
    ) -> Restored:
        """Puts objects back exactly as a snapshot has them: all, those of ``kinds``, or single ones (kind/name).

        Raises:
            RefusedError: a risk was not approved, or an object can't be put back and ``partial`` is False.
            LockedError: somebody works on what would be written.
        """
        return await restoring.restore(
            self._workspace, name, objects, kinds=kinds, approved=approve, dry_run=dry_run, partial=partial
        )

    async def verify(self, *, read_data: bool = False) -> Report:
        """Proves that every snapshot is whole; with ``read_data`` every byte is read.

        Raises:
            BackoutError: the repository can't be read.
        """
        return await reading.verify(self._workspace, read_data=read_data)
