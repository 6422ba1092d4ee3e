# SPDX-License-Identifier: Apache-2.0
"""The mechanism for single objects: ConfigMaps, Secrets, Services, Ingresses, from the snapshots of their namespace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar, NoReturn

from backout.cluster.port import ClusterReader
from backout.errors import RevisionNotFound
from backout.mechanisms.looks import Looks
from backout.mechanisms.objects import advice, history, planning, pods, reload, write
from backout.mechanisms.objects import checks as checking
from backout.mechanisms.objects import preview as previews
from backout.mechanisms.objects.history import Past, Seen
from backout.mechanisms.objects.planning import Planned
from backout.mechanisms.port import Effect
from backout.model.change import Changes, ObjectChange
from backout.model.plan import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target


class _Look:
    """One reading of an object, and what was worked out from it. Holds secrets."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.planned: dict[str, asyncio.Task[Planned]] = {}


async def _look(cluster: ClusterReader, target: Target) -> _Look:
    return _Look(await history.read(cluster, target))


class ObjectsMechanism:
    """Goes back by snapshots. Reading methods write nothing, and nothing that they answer holds a secret."""

    name: ClassVar[str] = "objects"

    def __init__(self) -> None:
        self._looks = Looks(_look)

    async def history(self, cluster: ClusterReader, target: Target) -> list[Revision]:
        """All known contents, oldest first, each judged. Always read anew; what follows within 5 s builds on it."""
        seen = (await self._looks.fresh(cluster, target)).seen
        if not seen.good:
            return history.revisions(seen, await planning.alternatives(cluster, seen))
        stale = await planning.stale_readers(cluster, target, seen)
        return history.revisions(seen, stale=", ".join(str(care.ref) for care in stale))

    async def between(
        self, cluster: ClusterReader, target: Target, earlier: Revision | None, later: Revision
    ) -> tuple[ObjectChange, ...]:
        """How the content changed from one revision to another."""
        seen = (await self._looks.recent(cluster, target)).seen
        after = seen.past_of(later) or _gone(target, later)
        before = seen.past_of(earlier) if earlier else None
        return (previews.between(seen, before, after),)

    async def preview(self, cluster: ClusterReader, target: Target, revision: Revision) -> Changes:
        """The fields that change, as the API server would store them, and the workloads that are acted on."""
        return previews.preview(await self._planned(cluster, target, revision))

    async def steps(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Step]:
        """The effects in order.

        Raises:
            NothingToDo: the object holds that content already.
            RefusedError: somebody else owns it, the server would not take it, or it would do harm.
        """
        return list((await self._planned(cluster, target, revision)).steps)

    async def risks(self, cluster: ClusterReader, target: Target, revision: Revision, changes: Changes) -> list[Risk]:
        """What the reader must know before saying yes."""
        return advice.risks(await self._planned(cluster, target, revision))

    async def checks(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Check]:
        """What has to be measured afterwards; of the revision in force, what can be measured as it is."""
        look = await self._looks.recent(cluster, target)
        if revision.current:
            return checking.present(look.seen, await planning.present_readers(cluster, target, look.seen), target)
        return checking.after(await self._planned(cluster, target, revision), target)

    async def access(self, cluster: ClusterReader, target: Target, changes: Changes) -> list[Access]:
        """Every right that the steps need."""
        look = await self._looks.recent(cluster, target)
        found: set[Access] = set()
        for task in look.planned.values():
            found |= set(advice.access(await asyncio.shield(task)))
        return sorted(found)

    def effects(self) -> Mapping[str, Effect]:
        """The effects by action."""
        return {
            "objects.restore": write.restore,
            "objects.put-back": write.put_back,
            "objects.scale": pods.scale,
            "objects.restart": pods.restart,
            "objects.replace-pods": pods.replace_pods,
            "objects.await-reload": reload.await_reload,
        }

    async def _planned(self, cluster: ClusterReader, target: Target, revision: Revision) -> Planned:
        """Several questions of one plan want the same answer."""
        look = await self._looks.recent(cluster, target)
        past: Past = look.seen.past_of(revision) or _gone(target, revision)
        key = f"{past.number}:{past.digest}"
        if key not in look.planned:
            look.planned[key] = asyncio.ensure_future(planning.work_out(cluster, target, look.seen, past))
        return await asyncio.shield(look.planned[key])


def _gone(target: Target, revision: Revision) -> NoReturn:
    raise RevisionNotFound(
        "Revision {n} of {target} is in no snapshot.",
        n=revision.number,
        target=str(target),
        hint="`backout history {target}` names those that are.",
    )
