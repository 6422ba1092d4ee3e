# SPDX-License-Identifier: Apache-2.0
"""Projections: the fields of Kubernetes objects that the house reads; all others are skipped while decoding.

Ten thousand pods fit in little memory this way. They are decoded from lists (``list_as``, ``fold``) and converted from
the plain objects of a watch (`pod`, `workload`): a rule that takes a projection works on both.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from backout.kube.names import REVISION_HISTORY


class Projection(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """A few fields of an object, named as the API names them."""


class Owner(Projection, frozen=True):
    """One ownerReference."""

    kind: str
    name: str
    uid: str = ""
    api_version: str = ""
    controller: bool = False


class Meta(Projection, frozen=True):
    """Metadata without annotations: of thousands of pods they would be most of the bytes."""

    name: str
    uid: str = ""
    namespace: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[Owner, ...] = ()

    @property
    def controller(self) -> Owner | None:
        """The owner that manages this object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class AnnotatedMeta(Meta, frozen=True):
    """Metadata with annotations, without managedFields."""

    annotations: dict[str, str] | None = None


class Stamp(Projection, frozen=True):
    """One entry of managedFields: when that writer changed something last."""

    time: datetime | None = None


class StampedMeta(AnnotatedMeta, frozen=True):
    """Metadata with annotations and the times of its writers."""

    managed_fields: tuple[Stamp, ...] = ()


class VersionedMeta(Meta, frozen=True):
    """Metadata with the version of the object, for conditional writes."""

    resource_version: str = ""


class Name(Projection, frozen=True):
    """Where an object is, and nothing else of its metadata."""

    name: str
    namespace: str = ""


class Named(Projection, frozen=True):
    """An object of which only the name is read."""

    metadata: Name


class Bare(Projection, frozen=True):
    """An object of which only metadata is read."""

    metadata: Meta


class AnnotatedBare(Projection, frozen=True):
    """An object of which only metadata is read, annotations too."""

    metadata: AnnotatedMeta


class Condition(Projection, frozen=True):
    """One condition of a status."""

    type: str = ""
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Waiting(Projection, frozen=True):
    """A container that does not run yet."""

    reason: str = ""
    message: str = ""


class Running(Projection, frozen=True):
    """A container that runs."""

    started_at: datetime | None = None


class Terminated(Projection, frozen=True):
    """A container that ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    signal: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Projection, frozen=True):
    """One of the three, or none: then it waits to be looked at."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Projection, frozen=True):
    """What the kubelet last saw of one container. ``started`` is False until its startup probe has passed."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class ContainerSpec(Projection, frozen=True):
    """Name and image of a container, and its own restart policy: ``Always`` makes an init container a sidecar."""

    name: str
    image: str = ""
    restart_policy: str = ""


class SchedulingGate(Projection, frozen=True):
    """One of the marks that keep a pod from every node until somebody takes them away."""

    name: str = ""


class PodSpec(Projection, frozen=True):
    """What of a pod's wishes says how its status is to be read."""

    restart_policy: str = "Always"
    node_name: str = ""
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    containers: tuple[ContainerSpec, ...] = ()
    init_containers: tuple[ContainerSpec, ...] = ()


class PodStatus(Projection, frozen=True):
    """A pod's status; ephemeral containers are left out, since no pod is better or worse for them."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    nominated_node_name: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Projection, frozen=True):
    """A pod, as far as it says how well it is. `backout.kube.pod_health` reads it."""

    metadata: Meta
    status: PodStatus = PodStatus()
    spec: PodSpec = PodSpec()

    def condition(self, type: str) -> Condition | None:
        """The condition of that type."""
        for condition in self.status.conditions:
            if condition.type == type:
                return condition
        return None


class Selector(Projection, frozen=True):
    """Which pods a workload manages."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Any, ...] | None = None

    @property
    def labels(self) -> str:
        """As a query parameter; empty where it is more than plain labels."""
        if self.match_expressions or not self.match_labels:
            return ""
        return ",".join(f"{key}={value}" for key, value in sorted(self.match_labels.items()))


class RollingUpdate(Projection, frozen=True):
    """How fast pods are replaced, and which keep their revision (ordinals below ``partition``)."""

    partition: int | None = None
    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class Strategy(Projection, frozen=True):
    """``strategy`` of a Deployment, ``updateStrategy`` of the others."""

    type: str = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(Projection, frozen=True):
    """What a workload wishes, but for its template."""

    selector: Selector = Selector()
    replicas: int | None = None
    paused: bool = False
    pod_management_policy: str = ""
    strategy: Strategy | None = None
    update_strategy: Strategy | None = None


class WorkloadStatus(Projection, frozen=True):
    """The counters of a Deployment, ReplicaSet, StatefulSet or DaemonSet, and its conditions."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    desired_number_scheduled: int = 0
    number_ready: int = 0
    number_available: int = 0
    updated_number_scheduled: int = 0
    conditions: tuple[Condition, ...] = ()


class Workload(Projection, frozen=True):
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet. Items of lists do not say their kind: the caller knows it.

    `backout.kube.rollout` reads it.
    """

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    def condition(self, type: str) -> Condition | None:
        """The condition of that type."""
        for condition in self.status.conditions:
            if condition.type == type:
                return condition
        return None

    @property
    def replicas(self) -> int:
        """How many pods it wishes; one where it does not say (not for DaemonSets: their status does)."""
        return 1 if self.spec.replicas is None else self.spec.replicas

    @property
    def partition(self) -> int:
        """Ordinals below it keep the revision that they have."""
        rolling = self.spec.update_strategy.rolling_update if self.spec.update_strategy else None
        return (rolling.partition or 0) if rolling else 0

    @property
    def on_delete(self) -> bool:
        """Pods are replaced only when somebody deletes them."""
        return bool(self.spec.update_strategy and self.spec.update_strategy.type == "OnDelete")


class TemplatedSpec(WorkloadSpec, frozen=True):
    """With the pod template as it came."""

    template: dict[str, Any] = {}


class TemplatedWorkload(Workload, frozen=True):
    """A workload with its pod template and its annotations."""

    metadata: AnnotatedMeta
    spec: TemplatedSpec = TemplatedSpec()

    @property
    def came_back(self) -> bool:
        """Of a ReplicaSet: whether its template came into force again after others; it keeps its first creation time."""
        return bool((self.metadata.annotations or {}).get(REVISION_HISTORY))


class TemplateContainer(Projection, frozen=True):
    """A container with what tells which program it is and what it reads."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[dict[str, Any], ...] = ()
    env_from: tuple[dict[str, Any], ...] = ()
    ports: tuple[dict[str, Any], ...] = ()
    volume_mounts: tuple[dict[str, Any], ...] = ()
    restart_policy: str = ""


class TemplateSpec(Projection, frozen=True):
    """What the pods of a template run and read."""

    containers: tuple[TemplateContainer, ...] = ()
    init_containers: tuple[TemplateContainer, ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()
    image_pull_secrets: tuple[dict[str, Any], ...] = ()

    def plain(self) -> dict[str, Any]:
        """The same as a dict, in the API's own names."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class TemplateMeta(Projection, frozen=True):
    """What the pods of a template are marked with."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


_SPEC = msgspec.json.Decoder(TemplateSpec)


class Template(Projection, frozen=True):
    """A pod template; its spec is kept as it came and decoded when it is asked for: few of thousands are."""

    metadata: TemplateMeta = TemplateMeta()
    packed: msgspec.Raw = msgspec.field(name="spec", default=msgspec.Raw(b"{}"))

    @property
    def spec(self) -> TemplateSpec:
        """What its pods run and read."""
        return _SPEC.decode(self.packed)

    def apart(self) -> Template:
        """The same, without the page of the list that it came in."""
        return Template(self.metadata, self.packed.copy())


class PackedSpec(WorkloadSpec, frozen=True):
    """With the pod template, its spec not decoded."""

    template: Template = Template()


class PackedWorkload(Workload, frozen=True):
    """A workload with its pod template, for thousands of them."""

    spec: PackedSpec = PackedSpec()

    def apart(self) -> PackedWorkload:
        """The same, without the page of the list that it came in."""
        replace = msgspec.structs.replace
        return replace(self, spec=replace(self.spec, template=self.spec.template.apart()))


class Involved(Projection, frozen=True):
    """What an event is about; ``field_path`` names the container (``spec.containers{web}``)."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    field_path: str = ""


class Series(Projection, frozen=True):
    """How often an event of events.k8s.io came again."""

    count: int = 0
    last_observed_time: datetime | None = None


class Event(Projection, frozen=True):
    """One event, of either API."""

    metadata: Meta
    involved_object: Involved = Involved()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int = 0
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: Series | None = None

    @property
    def first(self) -> datetime | None:
        """When it was seen first."""
        return self.first_timestamp or self.event_time or self.metadata.creation_timestamp

    @property
    def last(self) -> datetime | None:
        """When it was seen last."""
        series = self.series.last_observed_time if self.series else None
        return series or self.last_timestamp or self.event_time or self.metadata.creation_timestamp

    @property
    def times(self) -> int:
        """How often it was seen."""
        return (self.series.count if self.series else 0) or self.count or 1


class Phase(Projection, frozen=True):
    """Of a pod's status, only how far it came."""

    phase: str = ""


class ConsumingPod(Projection, frozen=True):
    """A pod with its spec as it came, to see what it reads."""

    metadata: Meta
    spec: dict[str, Any]
    status: Phase = Phase()


class ConsumingTemplate(Projection, frozen=True):
    """The pod spec of a template as it came."""

    spec: dict[str, Any] = {}


class ConsumingSpec(Projection, frozen=True):
    """The template of a workload, and nothing else of its spec."""

    template: ConsumingTemplate = ConsumingTemplate()


class ConsumingWorkload(Projection, frozen=True):
    """A workload, to see what its pods are to read."""

    metadata: Meta
    spec: ConsumingSpec = ConsumingSpec()


class ImagedContainer(Projection, frozen=True):
    """What a container runs, and which content that image turned out to be."""

    name: str = ""
    image: str = ""
    image_id: str = msgspec.field(name="imageID", default="")


class ImagedStatus(Phase, frozen=True):
    """Of a pod's status, what its containers run."""

    container_statuses: tuple[ImagedContainer, ...] = ()
    init_container_statuses: tuple[ImagedContainer, ...] = ()


class ImagedPod(Projection, frozen=True):
    """A pod, to see which images it runs."""

    metadata: Meta
    status: ImagedStatus = ImagedStatus()


class RevisionNumber(Projection, frozen=True):
    """A ReplicaSet or ControllerRevision without its template."""

    metadata: AnnotatedMeta
    revision: int = 0


class ControllerRevision(Projection, frozen=True):
    """A template that a StatefulSet or DaemonSet had."""

    metadata: StampedMeta
    revision: int = 0
    data: dict[str, Any] = {}

    @property
    def came_back(self) -> bool:
        """Whether it came into force again: then its number was raised, and nothing else ever changes it
        (k8s.io/kubernetes/pkg/controller/history, UpdateControllerRevision)."""
        made = self.metadata.creation_timestamp
        return made is not None and any(
            s.time is not None and s.time > made + timedelta(seconds=1) for s in self.metadata.managed_fields
        )


def pod(obj: dict[str, Any]) -> Pod:
    """The projection of a pod that came as a plain object."""
    return msgspec.convert(obj, Pod)


def workload(obj: dict[str, Any]) -> Workload:
    """The projection of a workload that came as a plain object."""
    return msgspec.convert(obj, Workload)
