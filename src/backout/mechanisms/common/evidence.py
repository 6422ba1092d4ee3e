# SPDX-License-Identifier: Apache-2.0
"""What the live cluster can say about earlier revisions: generations of templates, and the pods made from them.

A generation is a ReplicaSet of a Deployment, or a ControllerRevision of a StatefulSet or DaemonSet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from backout.cluster.noting import no_right
from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, ClusterReader, Resource
from backout.errors import AccessDenied
from backout.kube.names import REVISION_HASH, REVISION_NUMBER
from backout.kube.pod_health import PodState, health
from backout.kube.projections import ControllerRevision, Pod, TemplatedWorkload
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.message import Message

WorkloadId = tuple[str, str, str]
"""Kind, namespace, name."""
_T = TypeVar("_T")


class LivePod(msgspec.Struct, frozen=True, kw_only=True):
    """One pod: ``steady`` when it is ready and did not crash lately, ``failing`` with the reason when it does."""

    name: str
    generation: str
    created: datetime | None = None
    ready_since: datetime | None = None
    steady: bool = False
    failing: str = ""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One template that the workload had. ``order`` rises each time it comes (back) into force.

    ``created`` is when it came first; ``back`` says that it came again since.
    """

    name: str
    template: dict[str, Any]
    order: int
    created: datetime | None = None
    back: bool = False
    ready: int = 0


class LiveWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one live workload."""

    kind: str
    name: str
    created: datetime | None = None
    template: dict[str, Any] = {}
    generations: tuple[Generation, ...] = ()
    pods: tuple[LivePod, ...] = ()
    current_revision: str = ""
    update_revision: str = ""
    ordered: bool = False
    recreate: bool = False
    unavailable_since: datetime | None = None
    desired: int = 1
    at: datetime | None = None

    @property
    def label(self) -> str:
        """``kind/name``."""
        return f"{self.kind.lower()}/{self.name}"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Live workloads by id, and what could not be read."""

    workloads: dict[WorkloadId, LiveWorkload] = {}
    blind: tuple[Message, ...] = ()


FEW = 12
"""So many workloads of one namespace are asked for their pods one by one; for more, all pods are read at once."""


async def gather(cluster: ClusterReader, wanted: Iterable[WorkloadId], now: datetime) -> Evidence:
    """Reads the workloads in ``wanted`` with their generations and pods: a few lists for each namespace."""
    ids = set(wanted)
    seen: dict[WorkloadId, LiveWorkload] = {}
    blind: list[Message] = []
    for namespace in sorted({namespace for _, namespace, _ in ids}):
        found = await _read(cluster, namespace, {entry for entry in ids if entry[1] == namespace}, blind)
        pods = _by_owner(found.pods)
        owned = _by_owner(found.replicasets)
        revisions = _by_owner(found.revisions)
        for kind, items in found.workloads.items():
            for item in items:
                identity = (kind, namespace, item.metadata.name)
                if identity in ids:
                    seen[identity] = _seen(kind, item, owned, revisions, pods, now)
    return Evidence(workloads=seen, blind=tuple(blind))


class _Found(msgspec.Struct):
    workloads: dict[str, list[TemplatedWorkload]]
    replicasets: list[TemplatedWorkload]
    revisions: list[ControllerRevision]
    pods: list[Pod]


async def _read(cluster: ClusterReader, namespace: str, ids: set[WorkloadId], blind: list[Message]) -> _Found:
    kinds = {kind for kind, _, _ in ids}

    async def read(shape: type[_T], resource: Resource, needed: bool, labels: str = "") -> list[_T]:
        if not needed:
            return []
        try:
            return await cluster.list_as(shape, resource, namespace, labels=labels)
        except AccessDenied:
            words = no_right(resource.plural, namespace)
            if words not in blind:
                blind.append(words)
            return []

    async def read_pods(workloads: dict[str, list[TemplatedWorkload]]) -> list[Pod]:
        """Of many hundred pods in a namespace, only those of the workloads in question."""
        asked = [w for kind, items in workloads.items() for w in items if (kind, namespace, w.metadata.name) in ids]
        selectors = {workload.spec.selector.labels for workload in asked}
        if len(selectors) > FEW or "" in selectors:
            return await read(Pod, PODS, True)
        lists = await asyncio.gather(*(read(Pod, PODS, True, labels) for labels in sorted(selectors)))
        return list({pod.metadata.uid: pod for pods in lists for pod in pods}.values())

    async def read_workloads() -> dict[str, list[TemplatedWorkload]]:
        order = sorted(kinds)
        lists = await asyncio.gather(*(read(TemplatedWorkload, WORKLOAD_RESOURCES[kind], True) for kind in order))
        return dict(zip(order, lists, strict=True))

    workloads, replicasets, revisions = await asyncio.gather(
        read_workloads(),
        read(TemplatedWorkload, REPLICASETS, "Deployment" in kinds),
        read(ControllerRevision, CONTROLLERREVISIONS, bool(kinds - {"Deployment"})),
    )
    return _Found(workloads, replicasets, revisions, await read_pods(workloads))


_Owned = TypeVar("_Owned", Pod, TemplatedWorkload, ControllerRevision)


def _by_owner(items: list[_Owned]) -> dict[str, list[_Owned]]:
    grouped: dict[str, list[_Owned]] = {}
    for item in items:
        owner = item.metadata.controller
        if owner is not None:
            grouped.setdefault(owner.uid, []).append(item)
    return grouped


def _seen(
    kind: str,
    item: TemplatedWorkload,
    replicasets: dict[str, list[TemplatedWorkload]],
    revisions: dict[str, list[ControllerRevision]],
    pods: dict[str, list[Pod]],
    now: datetime,
) -> LiveWorkload:
    uid = item.metadata.uid
    generations: list[Generation] = []
    found: list[LivePod] = []
    if kind == "Deployment":
        for owned in replicasets.get(uid, []):
            name = owned.metadata.name
            order = (owned.metadata.annotations or {}).get(REVISION_NUMBER, "0")
            generations.append(
                Generation(
                    name=name,
                    template=owned.spec.template,
                    order=int(order) if order.isdecimal() else 0,
                    created=owned.metadata.creation_timestamp,
                    back=owned.came_back,
                    ready=owned.status.ready_replicas,
                )
            )
            found += _judged(pods.get(owned.metadata.uid, []), name, now)
    else:
        for revision in revisions.get(uid, []):
            template = (revision.data.get("spec") or {}).get("template") or {}
            generations.append(
                Generation(
                    name=revision.metadata.name,
                    template=template,
                    order=revision.revision,
                    created=revision.metadata.creation_timestamp,
                    back=revision.came_back,
                )
            )
        for pod in pods.get(uid, []):
            label = (pod.metadata.labels or {}).get(REVISION_HASH, "")
            # A StatefulSet labels its pods with the revision's whole name, a DaemonSet with the hash at its end.
            name = label if kind == "StatefulSet" else f"{item.metadata.name}-{label}"
            found += _judged([pod], name, now)
    available = next((c for c in item.status.conditions if c.type == "Available" and c.status == "False"), None)
    strategy = item.spec.strategy or item.spec.update_strategy
    return LiveWorkload(
        kind=kind,
        name=item.metadata.name,
        created=item.metadata.creation_timestamp,
        template=item.spec.template,
        generations=tuple(sorted(generations, key=lambda generation: generation.order)),
        pods=tuple(found),
        current_revision=item.status.current_revision,
        update_revision=item.status.update_revision,
        ordered=kind == "StatefulSet" and item.spec.pod_management_policy != "Parallel",
        recreate=bool(strategy and strategy.type == "Recreate"),
        unavailable_since=available.last_transition_time if available else None,
        desired=item.status.desired_number_scheduled if kind == "DaemonSet" else item.replicas,
        at=now,
    )


def _judged(pods: Iterable[Pod], generation: str, now: datetime) -> Iterator[LivePod]:
    """Those that speak for or against their template: a finished pod (evicted, preempted) does neither."""
    for pod in pods:
        found = health(pod, now)
        if found.state is PodState.FINISHED:
            continue
        yield LivePod(
            name=pod.metadata.name,
            generation=generation,
            created=pod.metadata.creation_timestamp,
            ready_since=found.since if found.ready else None,
            steady=found.steady(now),
            failing=found.word if found.failing else "",
        )
