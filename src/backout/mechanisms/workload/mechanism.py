# SPDX-License-Identifier: Apache-2.0
"""The workload mechanism: pod templates of Deployments, StatefulSets and DaemonSets that nobody else owns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import ClassVar, NoReturn

from backout.cluster.port import SERVICES, ClusterReader, Object
from backout.errors import AccessDenied, Conflict, Invalid, RefusedError, RevisionNotFound
from backout.mechanisms.looks import Looks
from backout.mechanisms.port import Effect
from backout.mechanisms.workload import advice, change, history, pods
from backout.mechanisms.workload import preview as previews
from backout.mechanisms.workload import steps as stepping
from backout.mechanisms.workload.history import Past, Snapshot
from backout.mechanisms.workload.objects import ref_of
from backout.mechanisms.workload.preview import Asked
from backout.model.change import Changes, ObjectChange
from backout.model.plan import Access, Check, Risk, Step
from backout.model.revision import Revision
from backout.model.target import Target
from backout.ownership.owner import Owner, owner_of


class _Look:
    """One reading of a workload, and what the API server said to each change that it was asked about."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.asked: dict[str, asyncio.Task[Asked]] = {}


async def _look(cluster: ClusterReader, target: Target) -> _Look:
    return _Look(await history.read(cluster, target))


class WorkloadMechanism:
    """Goes back by ReplicaSets and ControllerRevisions. Only the pod template changes; replicas stay."""

    name: ClassVar[str] = "workload"

    def __init__(self) -> None:
        self._looks = Looks(_look)

    async def history(self, cluster: ClusterReader, target: Target) -> list[Revision]:
        """All known revisions, oldest first, each judged. Always read anew; what follows within 5 s builds on it."""
        return history.revisions((await self._looks.fresh(cluster, target)).snapshot)

    async def between(
        self, cluster: ClusterReader, target: Target, earlier: Revision | None, later: Revision
    ) -> tuple[ObjectChange, ...]:
        """How the pod template changed from one revision to another."""
        look = await self._looks.recent(cluster, target)
        after = look.snapshot.state_of(later.digest) or _gone(target, later)
        before = look.snapshot.state_of(earlier.digest) if earlier else None
        return (previews.between(look.snapshot, before, after),)

    async def preview(self, cluster: ClusterReader, target: Target, revision: Revision) -> Changes:
        """The fields that change, as the API server would store them."""
        look, wanted = await self._read(cluster, target, revision)
        asked = await _ask(cluster, look, wanted) if wanted.digest != look.snapshot.digest else None
        return previews.preview(look.snapshot, wanted, stepping.steps(look.snapshot, target, revision), asked)

    async def steps(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Step]:
        """The effects in order.

        Raises:
            RefusedError: somebody else owns the workload and would undo it; or the API server would not accept it.
        """
        look, wanted = await self._read(cluster, target, revision)
        snapshot = look.snapshot
        _refuse_owned(target, await owner_of(cluster, snapshot.obj))
        if snapshot.obj["metadata"].get("deletionTimestamp"):
            raise RefusedError("{target} is being deleted.", target=str(target), hint="Wait, then make it again.")
        if wanted.digest != snapshot.digest:
            _, problem = await _ask(cluster, look, wanted)
            if isinstance(problem, Invalid | Conflict):
                raise problem
        return stepping.steps(snapshot, target, revision)

    async def risks(self, cluster: ClusterReader, target: Target, revision: Revision, changes: Changes) -> list[Risk]:
        """What the reader must know before saying yes."""
        look, wanted = await self._read(cluster, target, revision)
        return advice.risks(look.snapshot, wanted, stepping.steps(look.snapshot, target, revision))

    async def checks(self, cluster: ClusterReader, target: Target, revision: Revision) -> list[Check]:
        """What has to be measured afterwards."""
        (look, wanted), services = await asyncio.gather(
            self._read(cluster, target, revision), _services(cluster, target.namespace)
        )
        return advice.checks(look.snapshot, target, wanted, services)

    async def access(self, cluster: ClusterReader, target: Target, changes: Changes) -> list[Access]:
        """Every right that the steps need."""
        kind = ref_of(target).kind
        # Whether pods will have to be deleted shows only once the template is back.
        ref = ref_of(target)
        may = [stepping.replace_stuck(ref, target)] if kind != "Deployment" else []
        return advice.access(kind, target.namespace, may)

    def effects(self) -> Mapping[str, Effect]:
        """The effects by action."""
        return {
            "workload.undo": change.undo,
            "workload.set-partition": change.set_partition,
            "workload.set-paused": change.set_paused,
            "workload.replace-stuck-pods": pods.replace_stuck,
            "workload.delete-outdated-pods": pods.delete_outdated,
            "workload.wait-ready": pods.wait_ready,
        }

    async def _read(self, cluster: ClusterReader, target: Target, revision: Revision) -> tuple[_Look, Past]:
        look = await self._looks.recent(cluster, target)
        return look, look.snapshot.past_of(revision.digest) or _gone(target, revision)


async def _ask(cluster: ClusterReader, look: _Look, wanted: Past) -> Asked:
    """Two questions of one plan want the same answer."""
    if wanted.digest not in look.asked:
        look.asked[wanted.digest] = asyncio.ensure_future(previews.ask(cluster, look.snapshot, wanted))
    return await asyncio.shield(look.asked[wanted.digest])


def _gone(target: Target, revision: Revision) -> NoReturn:
    raise RevisionNotFound(
        "Revision {n} of {target} is kept by no ReplicaSet or ControllerRevision.",
        n=revision.number,
        target=str(target),
        hint="Choose one of `backout history {target}` that was rolled out.",
    )


def _refuse_owned(target: Target, owner: Owner) -> None:
    """What somebody else owns is changed there, or it is written back within seconds."""
    if owner.kind == "none":
        return
    hints = {
        "helm": "Go back by the release: `backout plan {owner}`.",
        "argocd": "Revert the change in Git, or act on {owner}.",
        "operator": "Change {owner}, from which it is made.",
        "controller": "Act on {owner}, from which it is made.",
    }
    name = str(owner.target) if owner.target is not None else str(owner.ref) if owner.ref is not None else "its owner"
    raise RefusedError(
        "{target} is owned by {owner}, which would undo a change of it. {why}",
        target=str(target),
        owner=name,
        why=owner.message.text,
        kind=owner.kind,
        expected="a workload that nobody else manages",
        found="one that belongs to {owner}",
        hint=hints[owner.kind],
    )


async def _services(cluster: ClusterReader, namespace: str) -> list[Object]:
    try:
        return await cluster.list_all(SERVICES, namespace)
    except AccessDenied:
        return []
