# SPDX-License-Identifier: Apache-2.0
"""Typed projections: only the fields that a diagnosis reads. Ten thousand pods fit in little memory this way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class _View(msgspec.Struct, rename="camel", frozen=True, omit_defaults=True):
    """A few fields of an object; all others are skipped while decoding."""


class OwnerRef(_View, frozen=True):
    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool = False


class Meta(_View, frozen=True):
    name: str
    uid: str = ""
    namespace: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerRef, ...] = ()

    @property
    def controller(self) -> OwnerRef | None:
        """The owner that manages this object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class SlimMeta(_View, frozen=True):
    """Of ten thousand pods, annotations would be most of the bytes."""

    name: str
    uid: str = ""
    namespace: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerRef, ...] = ()

    @property
    def controller(self) -> OwnerRef | None:
        """The owner that manages this object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class Condition(_View, frozen=True):
    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Waiting(_View, frozen=True):
    reason: str = ""
    message: str = ""


class Running(_View, frozen=True):
    started_at: datetime | None = None


class Terminated(_View, frozen=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    signal: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(_View, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_View, frozen=True):
    name: str
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(_View, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class ContainerSpec(_View, frozen=True):
    name: str
    image: str = ""


class PodSpec(_View, frozen=True):
    restart_policy: str = "Always"
    node_name: str = ""
    containers: tuple[ContainerSpec, ...] = ()


class Pod(_View, frozen=True):
    metadata: SlimMeta
    status: PodStatus = PodStatus()
    spec: PodSpec = PodSpec()

    def condition(self, type: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.status.conditions if condition.type == type), None)

    @property
    def ready(self) -> bool:
        """True when the Ready condition says so and the pod is not going away."""
        condition = self.condition("Ready")
        return bool(condition and condition.status == "True" and not self.metadata.deletion_timestamp)

    @property
    def done(self) -> bool:
        """A pod that ran to its end, as Jobs' pods do."""
        return self.status.phase == "Succeeded"


class RollingUpdate(_View, frozen=True):
    partition: int = 0


class UpdateStrategy(_View, frozen=True):
    type: str = "RollingUpdate"
    rolling_update: RollingUpdate | None = None


class TemplateContainer(_View, frozen=True):
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


class TemplateSpec(_View, frozen=True):
    containers: tuple[TemplateContainer, ...] = ()
    init_containers: tuple[TemplateContainer, ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()
    image_pull_secrets: tuple[dict[str, Any], ...] = ()

    def plain(self) -> dict[str, Any]:
        """The same as a dict, in the API's own names."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class TemplateMeta(_View, frozen=True):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


_SPEC = msgspec.json.Decoder(TemplateSpec)


class Template(_View, frozen=True):
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


class Selector(_View, frozen=True):
    match_labels: dict[str, str] | None = None


class WorkloadSpec(_View, frozen=True):
    selector: Selector = Selector()
    replicas: int = 1
    paused: bool = False
    update_strategy: UpdateStrategy | None = None
    pod_management_policy: str = ""
    template: Template = Template()


class WorkloadStatus(_View, frozen=True):
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


class Workload(_View, frozen=True):
    """A Deployment, StatefulSet or DaemonSet. ``kind`` is missing in list items; the collector knows it."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    def apart(self) -> Workload:
        """The same, without the page of the list that it came in."""
        replace = msgspec.structs.replace
        return replace(self, spec=replace(self.spec, template=self.spec.template.apart()))

    def condition(self, type: str) -> Condition | None:
        """The condition of that type."""
        return next((condition for condition in self.status.conditions if condition.type == type), None)

    @property
    def partition(self) -> int:
        """Ordinals below it stay on the old revision."""
        strategy = self.spec.update_strategy
        return strategy.rolling_update.partition if strategy and strategy.rolling_update else 0

    @property
    def on_delete(self) -> bool:
        """Pods are replaced only when somebody deletes them."""
        return bool(self.spec.update_strategy and self.spec.update_strategy.type == "OnDelete")


class ReplicaSet(_View, frozen=True):
    metadata: Meta


class Involved(_View, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class Series(_View, frozen=True):
    count: int = 0
    last_observed_time: datetime | None = None


class Event(_View, frozen=True):
    metadata: SlimMeta
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
