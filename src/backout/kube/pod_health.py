# SPDX-License-Identifier: Apache-2.0
"""How well a pod is, from its status alone. Pure: the same status always gives the same answer.

Sources: kubernetes pkg/kubelet/images/types.go and pkg/kubelet/container/sync_result.go (reasons for which a container
waits), pkg/kubelet/status/generate.go (conditions), pkg/controller/util/node/controller_utils.go (what becomes of pods
on a lost node), pkg/controller/controller_utils.go ``IsPodActive`` (terminal pods count in nothing),
pkg/registry/core/pod/strategy.go ``applySchedulingGatedCondition`` (pods that no node may be chosen for yet).
A crash loop shows ``Running`` between two back-offs and ``terminated`` right after a crash, so the last state counts
as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from backout.cluster.port import Object
from backout.kube import projections
from backout.kube.projections import ConsumingPod, ContainerSpec, ContainerStatus, ImagedPod, Pod, Terminated
from backout.model.message import Message, msg
from backout.model.redaction import redact_text
from backout.model.settled import HEALED, LASTING, settled

LOOP = 3
"""So many restarts, the last one not long ago, are a loop even while the container is ready in between."""
TWICE = 2

IMAGE_REASONS = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
CREATE_REASONS = frozenset(
    {
        "ConfigPodSandboxError",
        "CreateContainerConfigError",
        "CreateContainerError",
        "CreatePodSandboxError",
        "KillContainerError",
        "KillPodSandboxError",
        "PostStartHookError",
        "PreCreateHookError",
        "PreStartHookError",
        "RunContainerError",
        "RunInitContainerError",
        "VerifyNonRootError",
    }
)
_ORDINARY = frozenset({"", "ContainerCreating", "PodInitializing"})
_TELLING_ENDS = ("Error", "BackOff", "Failed", "Unavailable")
"""Reasons of a kubelet newer than this list: they are worded alike."""


class PodState(StrEnum):
    """Where a pod stands. ``LOST``: its node tells nothing of it, so nothing is known. ``GATED``: it holds gates, and no node
    is looked for until whoever set them takes them away."""

    READY = "ready"
    STARTING = "starting"
    NOT_READY = "not-ready"
    FAILING = "failing"
    GATED = "gated"
    UNSCHEDULABLE = "unschedulable"
    LOST = "lost"
    TERMINATING = "terminating"
    FINISHED = "finished"


class ProblemKind(StrEnum):
    """What a problem is of: its image, the making of its container, its program, its memory, …"""

    IMAGE = "image"
    CREATE = "create"
    CRASH = "crash"
    MEMORY = "memory"
    READINESS = "readiness"
    GATED = "gated"
    SCHEDULING = "scheduling"
    NODE = "node"
    FAILED = "failed"


class PodProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one container of a pod (or with the pod, when ``container`` is empty).

    ``code`` is one word for one failure, whatever face it shows right now (``CrashLoopBackOff`` also between two
    crashes); ``reason`` is the cluster's own word at this moment. ``lasting``: it does not pass by itself, as far as a
    status can tell; a first crash may, and so may a pod that is not ready yet. ``since`` is the latest instant at which
    it began. ``detail`` is text of the cluster, and may hold anything.
    """

    kind: ProblemKind
    code: str
    reason: str
    container: str = ""
    image: str = ""
    exit_code: int | None = None
    signal: int = 0
    restarts: int = 0
    detail: str = ""
    since: datetime | None = None
    lasting: bool = False

    @property
    def message(self) -> Message:
        """``CrashLoopBackOff (exit code 137, OOMKilled)``, ``ImagePullBackOff (no such image)``, …"""
        parts = []
        if self.kind in (ProblemKind.CRASH, ProblemKind.MEMORY) and self.exit_code is not None:
            parts.append(f"exit code {self.exit_code}")
            if self.kind is ProblemKind.MEMORY and self.reason != self.code:
                parts.append(self.code)
        elif self.detail:
            parts.append(redact_text(" ".join(self.detail.split()))[:200])
        return msg("{reason}{detail}", reason=self.reason, detail=f" ({', '.join(parts)})" if parts else "")


class PodHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Where a pod stands, since when, and all that is wrong with it.

    ``ready`` follows the condition Ready alone, as the cluster's own counters do: a pod that crashes again and again
    is ready for moments, and FAILING all the time. ``restarted`` is when a container ended last and was started anew.
    """

    state: PodState
    ready: bool = False
    since: datetime | None = None
    problems: tuple[PodProblem, ...] = ()
    restarted: datetime | None = None

    @property
    def failing(self) -> bool:
        """It won't get (or stay) ready by itself."""
        return self.state is PodState.FAILING

    @property
    def counts(self) -> bool:
        """Whether it is one of its workload's pods: a finished one is not, and one that goes will not be."""
        return self.state not in (PodState.FINISHED, PodState.TERMINATING)

    @property
    def word(self) -> str:
        """Why it is not ready, in one word as Kubernetes says it; empty for a ready one."""
        if self.state is PodState.TERMINATING:
            return "Terminating"
        return self.problems[0].reason if self.problems else ""

    @property
    def failure(self) -> Message | None:
        """Why it won't get ready by itself, with what is known of it; None when it may."""
        lasting = [problem for problem in self.problems if problem.lasting]
        return lasting[0].message if lasting and self.failing else None

    def steady(self, now: datetime) -> bool:
        """Ready, and no container ended within the last ten minutes."""
        return self.state is PodState.READY and (self.restarted is None or settled(self.restarted, now, HEALED))


def finished(pod: Pod | ConsumingPod | ImagedPod) -> bool:
    """True for a terminal pod that stays listed and counts nowhere.

    Succeeded, or Failed (evicted, shut down with its node, preempted, given up by a Job) under an owner that replaces
    it or decides what that means. A failed pod that nobody owns is a failure: nothing replaces it.
    """
    phase = pod.status.phase
    return phase == "Succeeded" or (phase == "Failed" and pod.metadata.controller is not None)


def finished_of(obj: Object) -> bool:
    """The same as `finished`, of a pod that came as a plain object."""
    return finished(projections.pod(obj))


def health_of(obj: Object, now: datetime | None = None) -> PodHealth:
    """The same as `health`, of a pod that came as a plain object."""
    return health(projections.pod(obj), now)


def health(pod: Pod, now: datetime | None = None) -> PodHealth:
    """How well ``pod`` is at ``now``, by the cluster's clock. Without a clock, old crashes of ready containers are no
    failures, and those of others are."""
    if finished(pod):
        return PodHealth(state=PodState.FINISHED)
    condition = pod.condition("Ready")
    since = (condition.last_transition_time if condition else None) or pod.metadata.creation_timestamp
    if pod.metadata.deletion_timestamp is not None:
        # It says when the grace ends, so that it lies ahead for most of the time.
        return PodHealth(state=PodState.TERMINATING, since=pod.metadata.deletion_timestamp)
    ready = condition is not None and condition.status == "True"
    if ready and not any(status.restart_count for status in _statuses(pod)):
        return PodHealth(state=PodState.READY, ready=True, since=since)
    if pod.status.phase == "Failed":
        return PodHealth(state=PodState.FAILING, since=since, problems=(_given_up(pod, since),))
    if (lost := _lost(pod, since)) is not None:
        return PodHealth(state=PodState.LOST, since=since, problems=(lost,))
    if (unscheduled := _unscheduled(pod)) is not None:
        state = PodState.GATED if unscheduled.kind is ProblemKind.GATED else PodState.UNSCHEDULABLE
        return PodHealth(state=state, since=unscheduled.since, problems=(unscheduled,))
    found = tuple(_container_problems(pod, since, now))
    state = PodState.READY if ready else _unready(pod)
    if any(problem.lasting for problem in found):
        state = PodState.FAILING
    elif not ready and not found:
        found = tuple(_waits(pod, since))
    return PodHealth(state=state, ready=ready, since=since, problems=found, restarted=_restarted(pod))


def _statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


def _given_up(pod: Pod, since: datetime | None) -> PodProblem:
    reason = pod.status.reason or "Failed"
    for status in _statuses(pod):
        ended = status.state.terminated
        if ended is not None and ended.exit_code:
            return PodProblem(
                kind=ProblemKind.FAILED,
                code=reason,
                reason=reason,
                container=status.name,
                image=_image(pod, status),
                exit_code=ended.exit_code,
                signal=_signal(ended),
                restarts=status.restart_count,
                detail=pod.status.message or ended.message,
                since=ended.finished_at or since,
                lasting=True,
            )
    return PodProblem(
        kind=ProblemKind.FAILED, code=reason, reason=reason, detail=pod.status.message, since=since, lasting=True
    )


def _lost(pod: Pod, since: datetime | None) -> PodProblem | None:
    condition, containers = pod.condition("Ready"), pod.condition("ContainersReady")
    status = pod.status
    if status.phase == "Unknown" or status.reason == "NodeLost" or (condition and condition.status == "Unknown"):
        code = "NodeLost"
    elif (
        # A kubelet always says why a pod is not ready; the node controller, which speaks for a silent one, never does.
        condition is not None
        and condition.status == "False"
        and not condition.reason
        and containers is not None
        and containers.status == "True"
    ):
        code = "NodeNotReady"
    else:
        return None
    detail = status.message or (condition.message if condition else "")
    return PodProblem(kind=ProblemKind.NODE, code=code, reason=status.reason or code, detail=detail, since=since)


def _unscheduled(pod: Pod) -> PodProblem | None:
    scheduled = pod.condition("PodScheduled")
    if scheduled is None or scheduled.status != "False":
        return None
    code = scheduled.reason or "Unschedulable"
    gated = code == "SchedulingGated"
    # The condition does not say by which gates; the pod does.
    gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates) if gated else ""
    return PodProblem(
        kind=ProblemKind.GATED if gated else ProblemKind.SCHEDULING,
        code=code,
        reason=code,
        detail=gates or scheduled.message,
        since=scheduled.last_transition_time or pod.metadata.creation_timestamp,
    )


def _container_problems(pod: Pod, since: datetime | None, now: datetime | None) -> Iterator[PodProblem]:
    inits = {spec.name: spec for spec in pod.spec.init_containers}
    mains = {spec.name: spec for spec in pod.spec.containers}
    for status in pod.status.init_container_statuses:
        policy = _policy(pod, inits.get(status.name), init=True)
        if policy != "Always" and _completed(status):
            continue
        if (problem := _problem(pod, status, policy, since, now)) is not None:
            yield problem
    for status in pod.status.container_statuses:
        policy = _policy(pod, mains.get(status.name), init=False)
        if (problem := _problem(pod, status, policy, since, now)) is not None:
            yield problem


def _policy(pod: Pod, spec: ContainerSpec | None, *, init: bool) -> str:
    """What becomes of the container when it ends: a sidecar is an init container that is always restarted."""
    if spec is not None and spec.restart_policy:
        return spec.restart_policy
    policy = pod.spec.restart_policy
    return "OnFailure" if init and policy == "Always" else policy


def _completed(status: ContainerStatus) -> bool:
    ended = status.state.terminated
    return ended is not None and not ended.exit_code


def _problem(
    pod: Pod, status: ContainerStatus, policy: str, since: datetime | None, now: datetime | None
) -> PodProblem | None:
    waiting = status.state.waiting
    if waiting is None or waiting.reason in _ORDINARY:
        return _crash(pod, status, policy, since, now)
    if waiting.reason == "CrashLoopBackOff":
        last = status.last_state.terminated
        code = "OOMKilled" if last and last.reason == "OOMKilled" else "CrashLoopBackOff"
        return _crashed(pod, status, code, waiting.reason, last, since, lasting=True)
    if waiting.reason in IMAGE_REASONS:
        kind = ProblemKind.IMAGE
    elif waiting.reason in CREATE_REASONS or waiting.reason.endswith(_TELLING_ENDS):
        kind = ProblemKind.CREATE
    else:
        return None
    last = status.last_state.terminated
    return PodProblem(
        kind=kind,
        code=waiting.reason,
        reason=waiting.reason,
        container=status.name,
        image=_image(pod, status),
        exit_code=last.exit_code if last else None,
        signal=_signal(last) if last else 0,
        restarts=status.restart_count,
        detail=waiting.message,
        since=since,
        lasting=True,
    )


def _crash(
    pod: Pod, status: ContainerStatus, policy: str, since: datetime | None, now: datetime | None
) -> PodProblem | None:
    """A container that ended, or runs between two ends."""
    restarts = status.restart_count
    ended, last = status.state.terminated, status.last_state.terminated
    if ended is not None:
        if policy == "Never" or (not _bad(ended) and (policy != "Always" or not restarts)):
            return None
        code = "OOMKilled" if ended.reason == "OOMKilled" else "CrashLoopBackOff" if restarts else "Error"
        return _crashed(pod, status, code, ended.reason or "Error", ended, since, lasting=restarts > 0)
    if last is None or not restarts or not _recent(status, last, now):
        return None
    oom = last.reason == "OOMKilled"
    if not _bad(last) and (policy != "Always" or restarts < LOOP):
        return None
    # One lone restart may have healed by itself: only a loop speaks against a container that is ready again.
    if status.ready and not (restarts >= LOOP and (oom or _short(last))) and not _ends_anew(status, last, now):
        return None
    code = "OOMKilled" if oom else "CrashLoopBackOff" if restarts > 1 else "Error"
    return _crashed(pod, status, code, last.reason or "Error", last, since, lasting=True)


def _bad(ended: Terminated) -> bool:
    return bool(ended.exit_code) or ended.reason == "OOMKilled"


def _recent(status: ContainerStatus, last: Terminated, now: datetime | None) -> bool:
    if now is None or last.finished_at is None:
        return not status.ready
    return now - last.finished_at < HEALED


def _short(last: Terminated) -> bool:
    """It ended before the kubelet would have called it well again."""
    if last.started_at is None or last.finished_at is None:
        return True
    return last.finished_at - last.started_at < HEALED


def _ends_anew(status: ContainerStatus, last: Terminated, now: datetime | None) -> bool:
    """It ended twice, and has not run for much longer since than it did the last time: nothing says that it healed."""
    running = status.state.running
    if status.restart_count < TWICE or now is None or running is None or running.started_at is None:
        return False
    if last.started_at is None or last.finished_at is None or not _short(last):
        return False
    return now - running.started_at < max(last.finished_at - last.started_at, timedelta(seconds=1)) * LASTING


def _crashed(
    pod: Pod,
    status: ContainerStatus,
    code: str,
    reason: str,
    ended: Terminated | None,
    since: datetime | None,
    *,
    lasting: bool,
) -> PodProblem:
    # The API keeps only the last crash; the pod was not ready since this instant at the latest.
    marks = [since, ended.finished_at if ended else None]
    return PodProblem(
        kind=ProblemKind.MEMORY if code == "OOMKilled" else ProblemKind.CRASH,
        code=code,
        reason=reason,
        container=status.name,
        image=_image(pod, status),
        exit_code=ended.exit_code if ended else None,
        signal=_signal(ended) if ended else 0,
        restarts=status.restart_count,
        detail=ended.message if ended else "",
        since=min((mark for mark in marks if mark), default=None),
        lasting=lasting,
    )


def _signal(ended: Terminated) -> int:
    """The signal that ended it: runtimes say 128 + signal as exit code."""
    return ended.signal or (ended.exit_code - 128 if 128 < ended.exit_code <= 192 else 0)


def _unready(pod: Pod) -> PodState:
    """Whether all that is to run runs, and one waits only for it to be ready."""
    statuses = pod.status.container_statuses
    runs = bool(statuses) and all(s.state.running is not None or s.state.terminated is not None for s in statuses)
    started = all(s.started is not False for s in statuses if s.state.running is not None)
    return PodState.NOT_READY if runs and started else PodState.STARTING


def _waits(pod: Pod, since: datetime | None) -> Iterator[PodProblem]:
    """Not ready, and no container says why: it starts, or its probes say no."""
    status, condition = pod.status, pod.condition("Ready")
    waited, reason = _awaited(pod)
    if (
        waited is None
        and status.phase == "Running"
        and status.container_statuses
        and pod.spec.restart_policy != "Always"
    ):
        return  # what ended well was to end: it only has containers that go on
    if condition is not None and condition.reason == "ReadinessGatesNotReady":
        reason = condition.reason
    if not reason:
        reason = status.reason or ("not ready" if status.phase == "Running" else status.phase or "Pending")
    yield PodProblem(
        kind=ProblemKind.READINESS,
        code="NotReady",
        reason=reason,
        container=waited.name if waited else "",
        image=_image(pod, waited) if waited else "",
        restarts=waited.restart_count if waited else 0,
        detail=condition.message if condition else "",
        since=since,
    )


def _awaited(pod: Pod) -> tuple[ContainerStatus | None, str]:
    """The first container that is waited for, and the kubelet's word for it."""
    sidecars = {spec.name for spec in pod.spec.init_containers if spec.restart_policy == "Always"}
    for status in pod.status.init_container_statuses:
        up = status.state.running is not None and status.started is not False
        if not _completed(status) and not (status.name in sidecars and up):
            waiting = status.state.waiting
            return status, waiting.reason if waiting and waiting.reason else "PodInitializing"
    for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        if not status.ready and not (_completed(status) and pod.spec.restart_policy != "Always"):
            waiting, ended = status.state.waiting, status.state.terminated
            return status, waiting.reason if waiting else ended.reason if ended else ""
    return None, ""


def _restarted(pod: Pod) -> datetime | None:
    ends = [
        ended.finished_at
        for status in _statuses(pod)
        if status.restart_count
        for ended in (status.state.terminated, status.last_state.terminated)
        if ended is not None and ended.finished_at is not None
    ]
    return max(ends, default=None)


def _image(pod: Pod, status: ContainerStatus) -> str:
    """The image as the spec words it: the status may name it by its digest."""
    for spec in (*pod.spec.containers, *pod.spec.init_containers):
        if spec.name == status.name:
            return spec.image
    return status.image


def last_start(pod: Object) -> datetime | None:
    """When a container of the pod was started last, whatever became of it; None where none was."""
    status = pod.get("status") or {}
    entries = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    states = [entry.get(part) or {} for entry in entries for part in ("state", "lastState")]
    texts = [(state.get("running") or state.get("terminated") or {}).get("startedAt") for state in states]
    return max((msgspec.convert(text, datetime) for text in texts if text), default=None)
