# SPDX-License-Identifier: Apache-2.0
"""Typed projections of what the judgement of a history reads; every other field is skipped while decoding."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class _View(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Owner(_View, frozen=True):
    """One ownerReference."""

    kind: str
    name: str
    uid: str = ""
    controller: bool = False


class Meta(_View, frozen=True):
    """Metadata without managedFields and annotations' bulk."""

    name: str
    uid: str = ""
    namespace: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[Owner, ...] = ()

    @property
    def controller(self) -> Owner | None:
        """The owner that manages this object."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class Condition(_View, frozen=True):
    """One condition of a status."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    last_transition_time: datetime | None = None


class _Terminated(_View, frozen=True):
    finished_at: datetime | None = None


class _Waiting(_View, frozen=True):
    reason: str = ""


class _State(_View, frozen=True):
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class Container(_View, frozen=True):
    """State of one container."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


class _PodStatus(_View, frozen=True):
    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[Container, ...] = ()
    init_container_statuses: tuple[Container, ...] = ()


class Pod(_View, frozen=True):
    """A pod, as far as it says how good its template is."""

    metadata: Meta
    status: _PodStatus = _PodStatus()


class Selector(_View, frozen=True):
    """Which pods a workload manages."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[Any, ...] | None = None

    @property
    def labels(self) -> str:
        """As a query parameter; empty where it is more than plain labels."""
        if self.match_expressions or not self.match_labels:
            return ""
        return ",".join(f"{key}={value}" for key, value in sorted(self.match_labels.items()))


class _Strategy(_View, frozen=True):
    type: str = "RollingUpdate"


class _WorkloadSpec(_View, frozen=True):
    replicas: int | None = None
    selector: Selector = Selector()
    template: dict[str, Any] = {}
    pod_management_policy: str = ""
    strategy: _Strategy | None = None
    update_strategy: _Strategy | None = None


class _WorkloadStatus(_View, frozen=True):
    replicas: int = 0
    ready_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    desired_number_scheduled: int = 0
    conditions: tuple[Condition, ...] = ()


class Workload(_View, frozen=True):
    """A live Deployment, StatefulSet or DaemonSet (also a ReplicaSet)."""

    metadata: Meta
    spec: _WorkloadSpec = _WorkloadSpec()
    status: _WorkloadStatus = _WorkloadStatus()


class ControllerRevision(_View, frozen=True):
    """A template that a StatefulSet or DaemonSet had."""

    metadata: Meta
    revision: int = 0
    data: dict[str, Any] = {}
