# SPDX-License-Identifier: Apache-2.0
"""The snapshot of a run's namespace before the run's first write.

The run's own capture holds what its plan touches and is never done without; this is everything around that, kept in the
repository, where people find it, compare with it and restore from it. So a repository that can't be used stops a run
only where the configuration says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from backout.cluster.port import ClusterReader
from backout.engine.wire import of_house
from backout.errors import CaptureError, StorageUnreachable
from backout.model.message import Message, msg, of_error
from backout.model.part import Part
from backout.model.settings import SnapshotSettings
from backout.model.snapshot import Snapshot
from backout.snapshots.collect import About, take
from backout.snapshots.repository.opening import Opened, open_repository

ANSWER = 5.0
PATIENCE = 60.0


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the snapshot, or the reason why there is none. ``unread``: kinds that may not be listed."""

    snapshot: Snapshot | None = None
    written: int = 0
    unread: tuple[str, ...] = ()
    why: Message | None = None


class RunSnapshots:
    """Takes them. ``opened`` is told when the repository was opened, since a key may have been made just then.

    ``answer`` and ``patience`` are seconds: for the repository to open, and for the whole, where a run may do without.
    """

    def __init__(
        self,
        settings: SnapshotSettings,
        opened: Callable[[Opened], None] = lambda found: None,
        *,
        answer: float = ANSWER,
        patience: float = PATIENCE,
    ) -> None:
        self._settings = settings
        self._opened = opened
        self._answer = answer
        self._patience = patience

    @property
    def wanted(self) -> bool:
        """False when the configuration wants none."""
        return self._settings.before_run != "never"

    async def take(self, cluster: ClusterReader, part: Part, run: str, actor: str) -> Kept:
        """Takes the snapshot, or finds the one that an earlier attempt of this run completed.

        Raises:
            CaptureError: there is none, and the configuration wants none to be missing.
        """
        must = self._settings.before_run == "always"
        try:
            async with asyncio.timeout(None if must else self._patience):
                return await self._take(cluster, part, run, actor, None if must else self._answer)
        except TimeoutError:
            why = msg("It was not done within {seconds} s.", seconds=round(self._patience))
        except Exception as error:
            # Whatever it is: it must not keep a run from its work that can do without, and it is told.
            failure = of_house(error)
            why = of_error(failure)
        if must:
            raise CaptureError(
                "No snapshot of namespace {namespace} could be taken, so nothing was written: {why}",
                namespace=part.scope.namespace,
                why=why,
                hint="Mend that; or set snapshots.before_run to if-possible: what the plan touches is kept anyway.",
            )
        return Kept(why=why)

    async def _take(self, cluster: ClusterReader, part: Part, run: str, actor: str, answer: float | None) -> Kept:
        found = await self._open(answer)
        repository = found.repository
        try:
            self._opened(found)
            identity = await cluster.identity()
            for snapshot in await repository.snapshots(identity, part.scope.namespace):
                if snapshot.run == run and snapshot.kind == "run" and not snapshot.imported_from:
                    return Kept(snapshot=snapshot)
            broken = bool(part.problems)
            about = About(
                kind="run",
                run=run,
                actor=actor,
                incident=broken,
                healthy=False if broken else None,
                message=f"before {part.target} went back to revision {part.revision.number}",
            )
            taken = await take(cluster, repository, part.scope.namespace, about)
            return Kept(snapshot=taken.snapshot, written=taken.written, unread=taken.unread)
        finally:
            await repository.close()

    async def _open(self, answer: float | None) -> Opened:
        try:
            async with asyncio.timeout(answer):
                return await open_repository(self._settings, create=True)
        except TimeoutError:
            raise StorageUnreachable(
                "The repository of snapshots gave no answer within {seconds} s.", seconds=round(answer or 0)
            ) from None
