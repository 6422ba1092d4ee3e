# SPDX-License-Identifier: Apache-2.0
"""Reads what a diagnosis needs from one cluster: bulk lists as projections, details only for what looks broken."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from backout.cluster.noting import no_right
from backout.cluster.port import PODS, REPLICASETS, ClusterReader, Resource
from backout.errors import AccessDenied, BackoutError, ObjectNotFound
from backout.kube.groups import custom
from backout.kube.names import TEMPLATE_HASH
from backout.kube.pod_health import health
from backout.kube.projections import Bare, PackedWorkload, Pod
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.model.diagnosis import Stopped, UnderWay, Unseen
from backout.model.message import Message
from backout.model.target import ObjectRef

WorkloadKey = tuple[str, str, str]
"""Namespace, kind, name."""


class PodMark(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a pod that a workload made, also of a healthy one: few words for each of ten thousand."""

    namespace: str
    name: str
    owner_kind: str
    owner: str
    node: str = ""
    revision: str = ""
    created: datetime | None = None
    ready_since: datetime | None = None
    restarts: int = 0


class State(msgspec.Struct):
    """All that was read in bulk. ``blind`` says what could not be read: a diagnosis must not call that healthy.

    ``young`` are workloads of which nothing is shown but that new pods are not ready yet, within the patience that a start gets:
    broken only where something leads straight to a change.
    ``pods`` are only those that something is wrong with, out of ``pods_seen``. ``unread`` are objects that failing pods
    name, and that may not be read.
    """

    namespace: str
    pods: list[Pod] = []
    pods_seen: int = 0
    workloads: dict[WorkloadKey, PackedWorkload] = {}
    blind: list[Message] = []
    unread: dict[WorkloadKey, set[ObjectRef]] = {}
    marks: list[PodMark] = []
    under_way: list[UnderWay] = []
    young: set[WorkloadKey] = set()
    stopped: list[Stopped] = []
    unseen: list[Unseen] = []
    makers: dict[WorkloadKey, str] = {}
    """The API version of each custom resource that made failing pods, itself or through a ReplicaSet."""


async def read_state(cluster: ClusterReader, namespace: str, now: datetime) -> State:
    """Pods and workloads of one namespace, or of all when it is empty, in parallel."""
    state = State(namespace)
    await asyncio.gather(_read_pods(cluster, state, now), _read_workloads(cluster, state))
    return state


async def _read_pods(cluster: ClusterReader, state: State, now: datetime) -> None:
    def fold(page: list[Pod]) -> tuple[int, list[Pod], list[PodMark]]:
        marks = [mark for pod in page if (mark := _mark(pod)) is not None]
        return len(page), [pod for pod in page if health(pod, now).problems], marks

    try:
        pages = await cluster.fold(Pod, PODS, fold, state.namespace)
    except AccessDenied:
        state.blind.append(no_right(PODS.plural, state.namespace))
        return
    state.pods_seen = sum(count for count, _, _ in pages)
    state.pods = [pod for _, found, _ in pages for pod in found]
    state.marks = [mark for _, _, marks in pages for mark in marks]


def _mark(pod: Pod) -> PodMark | None:
    owner = pod.metadata.controller
    if owner is None or pod.metadata.deletion_timestamp or pod.status.phase in ("Failed", "Succeeded"):
        return None
    ready = pod.condition("Ready")
    return PodMark(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        owner_kind=owner.kind,
        owner=owner.name,
        node=pod.spec.node_name,
        revision=(pod.metadata.labels or {}).get("controller-revision-hash", ""),
        created=pod.metadata.creation_timestamp,
        ready_since=ready.last_transition_time if ready is not None and ready.status == "True" else None,
        restarts=sum(status.restart_count for status in pod.status.container_statuses),
    )


async def _read_workloads(cluster: ClusterReader, state: State) -> None:
    lists = await asyncio.gather(*(_read(cluster, resource, state) for resource in WORKLOAD_RESOURCES.values()))
    state.workloads = {
        (workload.metadata.namespace, kind, workload.metadata.name): workload
        for kind, found in zip(WORKLOAD_RESOURCES, lists, strict=True)
        for workload in found
    }


async def _read(cluster: ClusterReader, resource: Resource, state: State) -> list[PackedWorkload]:
    def fold(page: list[PackedWorkload]) -> list[PackedWorkload]:
        return [workload.apart() for workload in page]

    try:
        pages = await cluster.fold(PackedWorkload, resource, fold, state.namespace)
    except AccessDenied:
        state.blind.append(no_right(resource.plural, state.namespace))
        return []
    return [workload for page in pages for workload in page]


async def workload_of(cluster: ClusterReader, state: State, pod: Pod) -> WorkloadKey | None:
    """The workload that made ``pod``; None for a bare pod and for one of a kind that is no workload."""
    owner = pod.metadata.controller
    if owner is None:
        return None
    namespace = pod.metadata.namespace
    if owner.kind != "ReplicaSet":
        key = (namespace, owner.kind, owner.name)
        if custom(owner.api_version):
            state.makers[key] = owner.api_version
            return key
        return key if key in state.workloads else None
    # A Deployment names its ReplicaSets after itself and the template's hash (controller/deployment/sync.go).
    suffix = "-" + (pod.metadata.labels or {}).get(TEMPLATE_HASH, "")
    key = (namespace, "Deployment", owner.name.removesuffix(suffix))
    if key in state.workloads:
        return key
    try:
        replica_set = await cluster.get_as(Bare, REPLICASETS, owner.name, namespace)
    except (ObjectNotFound, AccessDenied):
        return None
    parent = replica_set.metadata.controller
    if parent is None:
        return None
    if custom(parent.api_version):
        state.makers[namespace, parent.kind, parent.name] = parent.api_version
    return namespace, parent.kind, parent.name


async def read_log(cluster: ClusterReader, pod: Pod, container: str, *, previous: bool, tail: int = 5) -> list[str]:
    """The last lines that a container wrote; empty when they can't be had (the evidence then lacks them)."""
    try:
        text = await cluster.logs(pod.metadata.name, pod.metadata.namespace, container, previous=previous, tail=tail)
    except BackoutError:
        return []
    return [line[:500] for line in text.splitlines() if line.strip()][-tail:]
