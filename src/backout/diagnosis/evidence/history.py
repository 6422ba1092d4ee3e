# SPDX-License-Identifier: Apache-2.0
"""Everything that is known of one workload's past: its templates, its pods, what Helm and the snapshots say it should be."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backout.changes.authors import Author, authors
from backout.cluster.port import Object, find
from backout.diagnosis.evidence.collect import PodMark, State, WorkloadKey
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import Namespace
from backout.diagnosis.evidence.releases import ReleaseHistory, Version
from backout.errors import AccessDenied, ServerError
from backout.kube.definitions import schema_of
from backout.kube.groups import custom as is_custom_kind
from backout.kube.intent import canonical_template
from backout.kube.names import HELM_RELEASE, REVISION_NUMBER
from backout.kube.projections import ContainerStatus, Pod
from backout.kube.templates import digest_of, plain_template
from backout.model.settled import outlasting
from backout.model.target import ObjectRef, Target, custom_kind
from backout.ownership.owner import Owner

BAD_EVENTS = frozenset({"BackOff", "Failed", "Unhealthy"})


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One template that a workload had: a ReplicaSet or a ControllerRevision. ``order`` rises as it comes into force.

    ``created`` is when it came first; ``back`` says that it came again since.
    """

    name: str
    template: dict[str, Any]
    order: int
    created: datetime | None = None
    back: bool = False
    ready: int = 0

    @property
    def digest(self) -> str:
        """Names the template."""
        return digest_of(self.template)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How long a failing pod ran well before it failed first, and how long its last run took; None: not known."""

    well: timedelta | None = None
    last: timedelta | None = None

    @property
    def proves(self) -> bool:
        """True when it ran well for much longer than it does now: what changed was not what it is made from."""
        return self.well is not None and self.well >= outlasting([self.last])


class WorkloadHistory(msgspec.Struct, kw_only=True):
    """One workload with its past, as read at one time.

    ``maker``: the custom resource that an operator makes it from, where a release has that; ``schema``: of its version.
    """

    key: WorkloadKey
    obj: Object
    owner: Owner
    maker: Object | None = None
    schema: dict[str, Any] | None = None
    cluster: str = ""
    generations: tuple[Generation, ...] = ()
    marks: tuple[PodMark, ...] = ()
    failing: tuple[Pod, ...] = ()
    release: ReleaseHistory | None = None
    versions: tuple[Version, ...] = ()
    kept: Object | None = None
    kept_as: str = ""
    authors: tuple[Author, ...] = ()

    @property
    def ref(self) -> ObjectRef:
        """The workload."""
        return ObjectRef.of(self.obj)

    @property
    def custom(self) -> bool:
        """True where what people change is a custom resource."""
        return is_custom_kind(str(self.subject.get("apiVersion") or ""))

    @property
    def itself(self) -> Target:
        """The target that stands for the workload, or for the custom resource that made the pods."""
        kind = self.key[1].lower()
        if is_custom_kind(str(self.obj.get("apiVersion") or "")):
            kind = custom_kind(str(self.obj["apiVersion"]), self.key[1])
        return Target(kind, self.key[2], self.key[0], self.cluster)

    @property
    def subject(self) -> Object:
        """What people change: the workload itself, or what its operator makes it from."""
        return self.maker or self.obj

    @property
    def created(self) -> datetime | None:
        """When the object was made."""
        text = self.obj["metadata"].get("creationTimestamp")
        return msgspec.convert(text, datetime) if text else None

    @property
    def template(self) -> dict[str, Any]:
        """The template in force."""
        return comparable(self.obj, (self.obj.get("spec") or {}).get("template") or {})

    @property
    def wanted(self) -> Generation | None:
        """The generation of the template in force, as far as the controller made one."""
        update = str((self.obj.get("status") or {}).get("updateRevision") or "")
        if update:
            return next((one for one in self.generations if one.name == update), None)
        return self.generations[-1] if self.generations else None

    @property
    def declared(self) -> Version | None:
        """What the release says of the workload, or of what it is made from, in the revision that is in force."""
        if self.release is None:
            return None
        number = self.release.in_force.revision
        return next((v for v in reversed(self.versions) if v.revision == number and v.content is not None), None)

    def generation_of(self, pod: Pod) -> str:
        """The name of the generation that a pod was made from."""
        owner = pod.metadata.controller
        return generation_name(
            self.key, pod.metadata.labels or {}, owner.name if owner else "", owner.kind if owner else ""
        )

    def completed(self, name: str) -> datetime | None:
        """When all pods of a generation of a Deployment had become available; None when that is not known.

        One that is scaled to 0 is complete without any pod (pkg/controller/deployment/util ``DeploymentComplete``).
        """
        for condition in (self.obj.get("status") or {}).get("conditions") or ():
            if (
                condition.get("type") == "Progressing"
                and condition.get("reason") == "NewReplicaSetAvailable"
                and f'"{name}"' in str(condition.get("message"))
            ):
                at = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
                return msgspec.convert(at, datetime) if at else None
        return None


def became_ready(history: WorkloadHistory, name: str, events: Events) -> datetime | None:
    """The same, None also where the events tell that it had no pods then: its ReplicaSet was scaled up from 0 later."""
    done = history.completed(name)
    if done is None:
        return None
    up = [
        (event.first or event.last, event.last, event.message)
        for event in events.about(history.key[0], history.key[1], history.key[2])
        if event.reason == "ScalingReplicaSet" and re.search(rf"\bup replica set {re.escape(name)}\b", event.message)
    ]
    later = [last for _, last, text in up if last is not None and last > done and " from 0 to " in text]
    before = [first for first, _, _ in up if first is not None and first <= done]
    return None if later or (up and not before) else done


def generation_of_mark(key: WorkloadKey, mark: PodMark) -> str:
    """The generation that a pod was made from, by what is kept of it."""
    return generation_name(key, {"controller-revision-hash": mark.revision}, mark.owner, mark.owner_kind)


def generation_name(key: WorkloadKey, labels: dict[str, str], owner: str, owner_kind: str) -> str:
    """The name of the ReplicaSet or ControllerRevision that a pod was made from."""
    if owner_kind == "ReplicaSet":
        return owner
    label = labels.get("controller-revision-hash", "")
    # A StatefulSet labels its pods with the revision's whole name, a DaemonSet with the hash at its end; others do either.
    return label if key[1] == "StatefulSet" or label.startswith(f"{key[2]}-") else f"{key[2]}-{label}"


def comparable(obj: Object, template: dict[str, Any]) -> dict[str, Any]:
    """A template as it is compared: of a custom resource nobody fills in defaults, of what its controller makes of it the server does."""
    plain = plain_template(template)
    if not plain.get("spec"):
        return plain
    return canonical_template(plain) if is_custom_kind(str(obj.get("apiVersion") or "")) else plain


async def object_of(namespace: Namespace, state: State, key: WorkloadKey) -> Object | None:
    """A workload, or the custom resource that made failing pods; None when it is gone, or may not be read."""
    if key in state.makers:
        return await namespace.custom(state.makers[key], key[1], key[2])
    return await namespace.find(key[1], key[2])


async def read_history(
    namespace: Namespace, state: State, key: WorkloadKey, owner: Owner, obj: Object
) -> WorkloadHistory | None:
    """The history of one workload; None where it can't be read what an operator makes it from."""
    maker = await _maker(namespace, owner)
    if maker is None and owner.kind == "operator":
        return None
    generations = tuple(sorted(await generations_of(namespace, obj), key=lambda one: one.order))
    names = {one.name for one in generations} | {key[2]}
    subject = maker or obj
    baseline = await namespace.baseline()
    history = WorkloadHistory(
        key=key,
        obj=obj,
        owner=owner,
        maker=maker,
        schema=await schema_of(namespace.cluster, subject)
        if is_custom_kind(str(subject.get("apiVersion") or ""))
        else None,
        cluster=namespace.cluster.name,
        generations=generations,
        marks=tuple(m for m in state.marks if m.namespace == key[0] and m.owner in names and _made(key, m.owner_kind)),
        failing=tuple(
            pod
            for pod in state.pods
            if (made := pod.metadata.controller) is not None
            and pod.metadata.namespace == key[0]
            and made.name in names
            and _made(key, made.kind)
        ),
        kept=baseline.kept(ObjectRef("apps/v1", key[1], key[2], key[0])),
        kept_as=baseline.good.short if baseline.good else "",
        authors=authors(maker or obj),
    )
    name = (obj["metadata"].get("annotations") or {}).get(HELM_RELEASE, "")
    release = (await namespace.releases()).get(name) if name and owner.kind in ("helm", "flux", "none") else None
    if owner.target is not None and owner.target.kind == "helm":
        release = (await namespace.releases()).get(owner.target.name)
    if release is not None:
        history.release = release
        ref = ObjectRef.of(subject)
        history.versions = tuple(await release.versions(ref.kind, ref.name))
    return history


async def _maker(namespace: Namespace, owner: Owner) -> Object | None:
    if owner.kind != "operator" or owner.ref is None:
        return None
    ref, released = owner.ref, owner.target is not None and owner.target.kind == "helm"
    stub = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": {"name": ref.name, "namespace": ref.namespace}}
    try:
        found = await find(namespace.cluster, msgspec.structs.replace(ref, uid=""))
    except (AccessDenied, ServerError):
        found = None
    # Of what a release has, its records say enough.
    return {**stub, **(found or {})} if found is not None or released else None


def _made(key: WorkloadKey, kind: str) -> bool:
    return kind in ("ReplicaSet", key[1]) if key[1] not in ("StatefulSet", "DaemonSet") else kind == key[1]


async def generations_of(namespace: Namespace, obj: Object) -> list[Generation]:
    """The templates that a workload, or a custom resource with a template, had: by its ReplicaSets, else by its ControllerRevisions."""
    uid = obj["metadata"].get("uid", "")
    found = []
    for owned in await namespace.replica_sets():
        controller = owned.metadata.controller
        if controller is not None and controller.uid == uid:
            found.append(
                Generation(
                    name=owned.metadata.name,
                    template=comparable(obj, owned.spec.template),
                    order=_order(owned.metadata.annotations or {}),
                    created=owned.metadata.creation_timestamp,
                    back=owned.came_back,
                    ready=owned.status.ready_replicas,
                )
            )
    return found or [
        Generation(
            name=revision.metadata.name,
            template=comparable(obj, (revision.data.get("spec") or {}).get("template") or {}),
            order=revision.revision,
            created=revision.metadata.creation_timestamp,
            back=revision.came_back,
        )
        for revision in await namespace.revisions()
        if (controller := revision.metadata.controller) is not None and controller.uid == uid
    ]


def _order(notes: dict[str, str]) -> int:
    """The number of a revision: Deployments note it as ``deployment.kubernetes.io/revision``, others with a prefix of their own."""
    found = notes.get(REVISION_NUMBER) or next((v for k, v in sorted(notes.items()) if k.endswith("/revision")), "0")
    return int(found) if found.isdecimal() else 0


def first_crash(pod: Pod, status: ContainerStatus, events: Events) -> datetime | None:
    """When a container failed first: by its events, or by its only earlier run. The status keeps the last run alone."""
    meta = pod.metadata
    seen = events.first(meta.namespace, "Pod", meta.name, {"BackOff"}, status.name, meta.uid)
    ended = status.state.terminated or status.last_state.terminated
    times = [time for time in (seen, ended.finished_at if ended else None) if time is not None]
    return min(times, default=None)


def run_of(pod: Pod, container: str, events: Events) -> Run:
    """How long the pod was well before it failed first."""
    meta = pod.metadata
    ready = pod.condition("Ready")
    turned = ready.last_transition_time if ready is not None and ready.status != "True" else None
    began = events.first(meta.namespace, "Pod", meta.name, {"Started"}, container, meta.uid) or pod.status.start_time
    status = next(
        (s for s in (*pod.status.init_container_statuses, *pod.status.container_statuses) if s.name == container), None
    )
    ended = (status.state.terminated or status.last_state.terminated) if status is not None else None
    last = ended.finished_at - ended.started_at if ended and ended.started_at and ended.finished_at else None
    if began is None:
        return Run(last=last)
    if turned is not None and turned <= began + timedelta(seconds=1):
        # Not ready from the start: a container that answers probes never did.
        return Run(well=timedelta(), last=last)
    crash = first_crash(pod, status, events) if status is not None and ended is not None else None
    failed = min((time for time in (crash, turned) if time is not None), default=None)
    return Run(well=max(timedelta(), failed - began) if failed is not None else None, last=last)


def ran_well_since(pod: Pod, containers: Collection[str], events: Events, at: datetime) -> bool:
    """True when the pod was made after ``at``, and ran well for much longer before it failed first than it runs now."""
    made = pod.metadata.creation_timestamp
    if made is None or made < at:
        return False
    return any(run_of(pod, name, events).proves for name in containers)


def started_before(pod: Pod, containers: Collection[str], at: datetime) -> bool:
    """True when these containers (all of the pod, where none is told) run since before ``at``: what is fixed as a container
    starts, they hold as it was then."""
    asked = [status for status in pod.status.container_statuses if not containers or status.name in containers]
    started = [status.state.running.started_at if status.state.running else None for status in asked]
    return bool(started) and all(time is not None and time < at for time in started)
