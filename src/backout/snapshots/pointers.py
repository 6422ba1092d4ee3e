# SPDX-License-Identifier: Apache-2.0
"""What the objects alone do not say: revisions and who holds them, volumes behind claims, digests of images.

Everything here is read as far as the user may: a pointer that can't be read is left out, and takes no snapshot down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from backout.cluster.port import CONTROLLERREVISIONS, PODS, REPLICASETS, ClusterReader, Object, Resource
from backout.errors import AccessDenied, Invalid, ObjectNotFound, ServerError, TooLarge
from backout.helm.payload import Release, decode
from backout.kube import projections
from backout.kube.names import REVISION_NUMBER
from backout.kube.pod_health import finished
from backout.kube.projections import ImagedPod, RevisionNumber
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.rollout import rollout
from backout.kube.sanitise import helm_record
from backout.model.snapshot import ClaimPointer, ImagePointer, Pointers, ReleasePointer, WorkloadPointer
from backout.model.target import ObjectRef
from backout.ownership.owners import Owned
from backout.ownership.signs import argo_name
from backout.snapshots.applications import Unread, read_applications

T = TypeVar("T")
VOLUMES_AT_ONCE = 8
_PV = Resource("v1", "PersistentVolume", "persistentvolumes", namespaced=False)


class _Workload(msgspec.Struct):
    pointer: WorkloadPointer
    uid: str
    current: str


class _Record(msgspec.Struct):
    pointer: ReleasePointer
    payload: str


class PointerReader:
    """Sees every object that goes into a snapshot, and reads the rest at the end."""

    def __init__(self, cluster: ClusterReader, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._records: dict[str, _Record] = {}
        self._workloads: list[_Workload] = []
        self._claims: list[ClaimPointer] = []
        self._applications: set[str] = set()
        self.unread: list[Unread] = []
        """Applications that were not found, once `read` was called."""

    def see(self, obj: Object, address: str, owner: Owned) -> None:
        """Takes note of an object as the API gave it."""
        if helm_record(obj):
            self._release(obj, address)
        elif obj["kind"] in WORKLOAD_RESOURCES and obj["apiVersion"].startswith("apps/"):
            self._workload(obj)
        elif obj["kind"] == "PersistentVolumeClaim" and obj["apiVersion"] == "v1":
            spec = obj.get("spec") or {}
            self._claims.append(
                ClaimPointer(
                    ref=_ref(obj), volume=spec.get("volumeName") or "", storage_class=spec.get("storageClassName") or ""
                )
            )
        if owner.kind == "argocd":
            # Its own mark also says in which namespace the application is, where that is not Argo CD's.
            self._applications.add(argo_name(obj) or owner.name.partition("/")[2])

    def _release(self, obj: Object, address: str) -> None:
        labels = obj["metadata"].get("labels") or {}
        name, status = str(labels.get("name", "")), str(labels.get("status", ""))
        try:
            revision = int(labels.get("version", ""))
        except ValueError:
            return
        known = self._records.get(name)
        # What is deployed is the state; the newest record may be a failed or pending one.
        if known is not None and (known.pointer.status == "deployed", known.pointer.revision) > (
            status == "deployed",
            revision,
        ):
            return
        pointer = ReleasePointer(
            name=name, namespace=self._namespace, revision=revision, status=status, record=_ref(obj), address=address
        )
        self._records[name] = _Record(pointer, str((obj.get("data") or {}).get("release", "")))

    def _workload(self, obj: Object) -> None:
        meta, status = obj["metadata"], obj.get("status") or {}
        found = rollout(obj["kind"], projections.workload(obj))
        revision = str((meta.get("annotations") or {}).get(REVISION_NUMBER, ""))
        pointer = WorkloadPointer(
            ref=_ref(obj),
            revision=int(revision) if revision.isdecimal() else 0,
            replicas=found.desired,
            ready=found.ready,
            healthy=found.complete,
        )
        self._workloads.append(_Workload(pointer, meta["uid"], str(status.get("updateRevision", ""))))

    async def read(self) -> Pointers:
        """All pointers."""
        holders, images, claims, (applications, self.unread) = await asyncio.gather(
            self._holders(), self._images(), self._with_volumes(), read_applications(self._cluster, self._applications)
        )
        return Pointers(
            releases=tuple(self._described(record) for _, record in sorted(self._records.items())),
            workloads=tuple(sorted((holders(w) for w in self._workloads), key=lambda w: w.ref)),
            claims=claims,
            images=images,
            applications=applications,
        )

    def _described(self, record: _Record) -> ReleasePointer:
        pointer = record.pointer
        assert pointer.record is not None
        try:
            found: Release = decode(record.payload, pointer.record.name, wrapped=pointer.record.kind == "Secret")
        except (Invalid, TooLarge):
            return pointer
        return msgspec.structs.replace(pointer, chart=found.chart_label, app_version=found.app_version)

    async def _holders(self) -> Any:
        sets: list[RevisionNumber] = []
        revisions: list[RevisionNumber] = []
        if any(w.pointer.ref.kind == "Deployment" for w in self._workloads):
            sets = (
                await _or_none(self._cluster.list_as(RevisionNumber, REPLICASETS, self._namespace, metadata_only=True))
                or []
            )
        if any(w.pointer.ref.kind != "Deployment" for w in self._workloads):
            revisions = (
                await _or_none(self._cluster.list_as(RevisionNumber, CONTROLLERREVISIONS, self._namespace)) or []
            )
        by_owner: dict[str, list[RevisionNumber]] = {}
        for held in (*sets, *revisions):
            if held.metadata.controller is not None:
                by_owner.setdefault(held.metadata.controller.uid, []).append(held)

        def held_by(workload: _Workload) -> WorkloadPointer:
            return _with_holder(workload, by_owner.get(workload.uid, []), self._namespace)

        return held_by

    async def _images(self) -> tuple[ImagePointer, ...]:
        def fold(pods: list[ImagedPod]) -> set[tuple[str, str, str, str]]:
            return {found for pod in pods if not finished(pod) for found in _images_of(pod)}

        found = await _or_none(self._cluster.fold(ImagedPod, PODS, fold, self._namespace))
        every = sorted(set().union(*found)) if found else []
        return tuple(ImagePointer(workload=w, container=c, image=i, digest=d) for w, c, i, d in every)

    async def _with_volumes(self) -> tuple[ClaimPointer, ...]:
        gate = asyncio.Semaphore(VOLUMES_AT_ONCE)

        async def one(claim: ClaimPointer) -> ClaimPointer:
            if not claim.volume:
                return claim
            async with gate:
                volume = await _or_none(self._cluster.get(_PV, claim.volume))
            if volume is None:
                return claim
            spec = volume.get("spec") or {}
            csi = spec.get("csi") or {}
            return msgspec.structs.replace(
                claim,
                volume_uid=volume["metadata"].get("uid", ""),
                handle=csi.get("volumeHandle", ""),
                driver=csi.get("driver", ""),
                reclaim_policy=spec.get("persistentVolumeReclaimPolicy", ""),
            )

        return tuple(sorted(await asyncio.gather(*map(one, self._claims)), key=lambda c: c.ref))


def _with_holder(workload: _Workload, held: list[RevisionNumber], namespace: str) -> WorkloadPointer:
    pointer = workload.pointer
    if pointer.ref.kind == "Deployment":
        wanted = str(pointer.revision)
        match = [h for h in held if (h.metadata.annotations or {}).get(REVISION_NUMBER) == wanted]
        kind, revision = "ReplicaSet", pointer.revision
    else:
        match = [h for h in held if h.metadata.name == workload.current]
        if not workload.current:
            match = sorted(held, key=lambda h: h.revision)[-1:]
        kind, revision = "ControllerRevision", match[0].revision if match else 0
    if not match:
        return pointer
    holder = ObjectRef("apps/v1", kind, match[0].metadata.name, namespace)
    return msgspec.structs.replace(pointer, revision=revision, holder=holder)


def _images_of(pod: ImagedPod) -> list[tuple[str, str, str, str]]:
    owner = pod.metadata.controller
    if owner is None:
        workload = f"pod/{pod.metadata.name}"
    elif owner.kind == "ReplicaSet":
        # A Deployment names its ReplicaSets NAME-HASH.
        workload = f"deployment/{owner.name.rpartition('-')[0]}"
    else:
        workload = f"{owner.kind.lower()}/{owner.name}"
    every = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    return [(workload, c.name, c.image, c.image_id) for c in every if c.image_id]


async def _or_none(question: Awaitable[T]) -> T | None:
    try:
        return await question
    except (AccessDenied, ObjectNotFound, ServerError):
        return None


def _ref(obj: Object) -> ObjectRef:
    return msgspec.structs.replace(ObjectRef.of(obj), uid="")
