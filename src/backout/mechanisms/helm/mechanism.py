# SPDX-License-Identifier: Apache-2.0
"""The way back through Helm, behind the protocol that all mechanisms speak."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import ClassVar
from weakref import WeakKeyDictionary

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import RevisionNotFound, ToolMissing
from backout.helm.compare import compare
from backout.helm.records import Record, Records
from backout.mechanisms.helm import checks as checking
from backout.mechanisms.helm import risks as risking
from backout.mechanisms.helm import steps as stepping
from backout.mechanisms.helm.analysis import Analysis, analyse
from backout.mechanisms.helm.effects import repair_pending, rollback
from backout.mechanisms.helm.history import read_history
from backout.mechanisms.helm.kept import record_change
from backout.mechanisms.helm.past import past_of
from backout.mechanisms.helm.preview import changes
from backout.mechanisms.helm.record_effects import remove_record, restore_record
from backout.mechanisms.helm.restore import restore_live
from backout.mechanisms.helm.tool import find_helm
from backout.mechanisms.port import Effect
from backout.model.change import Changes, ObjectChange
from backout.model.plan import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target
from backout.tools.locate import Tool

FRESH = 5.0
"""Seconds for which one look at the cluster serves all the questions of one plan."""


class _Memo:
    """What was read of one cluster: records by namespace, analyses by target and revision."""

    def __init__(self) -> None:
        self.records: dict[str, Records] = {}
        self.analyses: dict[tuple[Target, int], tuple[float, asyncio.Task[Analysis]]] = {}


class HelmMechanism:
    """Rolls releases back by the user's helm; reads their records itself. ``hooks``: whether helm runs them."""

    name: ClassVar[str] = "helm"

    def __init__(self, *, hooks: bool = True) -> None:
        self.hooks = hooks
        self._memos: WeakKeyDictionary[ClusterReader, _Memo] = WeakKeyDictionary()

    async def history(self, cluster: ClusterReader, target: Target) -> list[Revision]:
        """All revisions in the records, and those that Helm pruned and a snapshot has; oldest first, each judged.

        Raises:
            ReleaseNotFound: no record of that release in the namespace.
        """
        return (await read_history(cluster, self._records(cluster, target), target.name)).revisions

    async def between(
        self, cluster: ClusterReader, target: Target, earlier: Revision | None, later: Revision
    ) -> tuple[ObjectChange, ...]:
        """What the manifests of two revisions differ in.

        Raises:
            RevisionNotFound: one of them was pruned.
        """
        records = self._records(cluster, target)
        history = await self._every(records, target)
        after = await records.load(_numbered(history, later.number, target))
        before = await records.load(_numbered(history, earlier.number, target)) if earlier else None
        return compare(before.manifest if before else "", after.manifest, target.namespace)

    async def preview(self, cluster: ClusterReader, target: Target, revision: Revision) -> Changes:
        """Live objects against what the server would make of the target's manifest."""
        analysis = await self._analysis(cluster, target, revision)
        found = changes(analysis)
        record = record_change(analysis.target, self._records(cluster, target).driver_name)
        return msgspec.structs.replace(found, objects=(*record, *found.objects))

    async def steps(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Step]:
        """Repair of a pending release, the rollback, and what plain Helm leaves undone after it.

        Raises:
            RefusedError: it would do harm or can't work (immutable fields, foreign owners, first install).
        """
        analysis, now = await asyncio.gather(self._analysis(cluster, target, revision), cluster.server_time())
        driver = self._records(cluster, target).driver_name
        return stepping.steps(analysis, target, driver, now, await _helm_if_any())

    async def risks(self, cluster: ClusterReader, target: Target, revision: Revision, changes: Changes) -> list[Risk]:
        """What is deleted, taken over, made anew, run again."""
        analysis, now = await asyncio.gather(self._analysis(cluster, target, revision), cluster.server_time())
        return risking.risks(analysis, await _helm_if_any(), now)

    async def checks(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Check]:
        """The release, its workloads, endpoints and claims."""
        analysis = await self._analysis(cluster, target, revision)
        return checking.checks(analysis, target)

    async def access(self, cluster: ClusterReader, target: Target, changes: Changes) -> list[Access]:
        """Rights on the records and on every kind in both manifests."""
        memo = self._memos.get(cluster)
        latest = [task for (mine, _), (_, task) in (memo.analyses if memo else {}).items() if mine == target]
        if not latest:
            return []
        return checking.access(await latest[-1], self._records(cluster, target).driver_name)

    def effects(self) -> Mapping[str, Effect]:
        """The compensation of ``helm.rollback`` is itself, or ``helm.restore-live`` where no revision was live; that
        of ``helm.restore-record`` is ``helm.remove-record``."""
        return {
            "helm.repair-pending": repair_pending,
            "helm.restore-record": restore_record,
            "helm.remove-record": remove_record,
            "helm.rollback": rollback,
            "helm.restore-live": restore_live,
        }

    def _records(self, cluster: ClusterReader, target: Target) -> Records:
        memo = self._memos.setdefault(cluster, _Memo())
        if target.namespace not in memo.records:
            memo.records[target.namespace] = Records(cluster, target.namespace)
        return memo.records[target.namespace]

    async def _every(self, records: Records, target: Target) -> list[Record]:
        """The records that Helm has, and those that it pruned and a snapshot has."""
        listed = await records.history(target.name)
        past = await past_of(records, target.name, listed)
        return sorted([*past.records, *listed], key=lambda record: record.revision)

    async def _analysis(self, cluster: ClusterReader, target: Target, revision: Revision) -> Analysis:
        memo = self._memos.setdefault(cluster, _Memo())
        key = (target, revision.number)
        known = memo.analyses.get(key)
        if known is None or time.monotonic() - known[0] > FRESH or _failed(known[1]):
            task = asyncio.ensure_future(self._analyse(cluster, target, revision.number))
            memo.analyses.pop(key, None)
            memo.analyses[key] = known = (time.monotonic(), task)
        return await asyncio.shield(known[1])

    async def _analyse(self, cluster: ClusterReader, target: Target, number: int) -> Analysis:
        records = self._records(cluster, target)
        history = await self._every(records, target)
        wanted = _numbered(history, number, target)
        head = history[-1]
        head_release, wanted_release = await records.load(head), await records.load(wanted)
        helm = await _helm_if_any()
        server_side = wanted_release.server_side and (helm is None or helm.major >= 4)
        return await analyse(
            cluster, (head, head_release), (wanted, wanted_release), server_side=server_side, hooks=self.hooks
        )


def _failed(task: asyncio.Task[Analysis]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _helm_if_any() -> Tool | None:
    """A plan can be made without helm; only running it needs one."""
    try:
        return await find_helm()
    except ToolMissing:
        return None


def _numbered(history: list[Record], number: int, target: Target) -> Record:
    for record in history:
        if record.revision == number:
            return record
    raise RevisionNotFound(
        "Revision {n} of {target} is not in its history.",
        n=number,
        target=str(target),
        found="revisions {first} to {last}",
        first=history[0].revision,
        last=history[-1].revision,
        hint="Choose another: `backout history {target}`.",
    )
