# SPDX-License-Identifier: Apache-2.0
"""What a pod's status says is wrong with it. Pure: the same status always gives the same answer.

Reasons are those of the kubelet and the scheduler (pkg/kubelet/images/types.go, pkg/scheduler): a crash loop
shows ``Running`` between two back-offs and ``terminated`` right after a crash, so the last state
counts as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from backout.diagnosis.evidence.projections import ContainerStatus, Pod

IMAGE_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
RECENT = timedelta(minutes=10)
"""After ten minutes without a crash the kubelet forgets its back-off; so do we."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one container of one pod (or with the pod, when ``container`` is empty)."""

    code: str
    pod: Pod
    container: str = ""
    image: str = ""
    exit_code: int | None = None
    restarts: int = 0
    detail: str = ""
    since: datetime | None = None
    settled: bool = True
    """False while it may still be an ordinary start; other evidence must decide."""


def troubles(pod: Pod, now: datetime) -> list[Trouble]:
    """All that is wrong with ``pod``; empty for one that is ready, done, or on its way out."""
    if pod.done or pod.metadata.deletion_timestamp:
        return []
    if pod.status.phase == "Failed":
        if _gave_up_by_design(pod):
            return []
        return [
            Trouble(code=pod.status.reason or "Failed", pod=pod, detail=pod.status.message, since=_ready_since(pod))
        ]
    scheduled = pod.condition("PodScheduled")
    if scheduled and scheduled.status == "False":
        return [
            Trouble(
                code=scheduled.reason or "Unschedulable",
                pod=pod,
                detail=scheduled.message,
                since=scheduled.last_transition_time,
            )
        ]
    found = []
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        trouble = _container(pod, status, now)
        if trouble:
            found.append(trouble)
    if not found and not pod.ready:
        found.append(
            Trouble(
                code="NotReady",
                pod=pod,
                container=_first_unready(pod),
                since=_ready_since(pod),
                image=_image_of(pod),
                detail=_ready_message(pod),
                settled=False,
            )
        )
    return found


def _container(pod: Pod, status: ContainerStatus, now: datetime) -> Trouble | None:
    waiting, ended = status.state.waiting, status.state.terminated
    last = status.last_state.terminated
    if waiting and waiting.reason in IMAGE_REASONS:
        return _trouble(
            pod,
            status,
            "ErrImagePull" if waiting.reason == "ErrImagePull" else waiting.reason,
            detail=waiting.message,
            since=_ready_since(pod),
        )
    if waiting and waiting.reason in CONFIG_REASONS:
        return _trouble(pod, status, waiting.reason, detail=waiting.message, since=_ready_since(pod))
    if waiting and waiting.reason == "CrashLoopBackOff":
        code = "OOMKilled" if last and last.reason == "OOMKilled" else "CrashLoopBackOff"
        return _trouble(
            pod,
            status,
            code,
            exit_code=last.exit_code if last else None,
            detail=last.message if last else "",
            since=_first_crash(pod, status),
        )
    if ended and (ended.exit_code or ended.reason == "OOMKilled") and pod.spec.restart_policy != "Never":
        code = "OOMKilled" if ended.reason == "OOMKilled" else "CrashLoopBackOff" if status.restart_count else "Error"
        return _trouble(
            pod, status, code, exit_code=ended.exit_code, detail=ended.message, since=_first_crash(pod, status)
        )
    if last and (last.exit_code or last.reason == "OOMKilled") and not ended and _recent(last.finished_at, now):
        # Running between two crashes: ready for a moment or not at all. One lone restart may have healed by itself.
        code = (
            "OOMKilled" if last.reason == "OOMKilled" else "CrashLoopBackOff" if status.restart_count > 1 else "Error"
        )
        if not (pod.ready and status.restart_count < 3):
            return _trouble(
                pod, status, code, exit_code=last.exit_code, detail=last.message, since=_first_crash(pod, status)
            )
    return None


def _trouble(
    pod: Pod, status: ContainerStatus, code: str, *, detail: str, since: datetime | None, exit_code: int | None = None
) -> Trouble:
    image = next((spec.image for spec in pod.spec.containers if spec.name == status.name), status.image)
    return Trouble(
        code=code,
        pod=pod,
        container=status.name,
        image=image,
        exit_code=exit_code,
        restarts=status.restart_count,
        detail=detail,
        since=since,
    )


def _gave_up_by_design(pod: Pod) -> bool:
    """Pods of Jobs may fail; the Job decides. Evicted pods of a ReplicaSet are replaced and only litter."""
    owner = pod.metadata.controller
    return bool(owner and (owner.kind == "Job" or pod.status.reason == "Evicted"))


def _recent(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at < RECENT


def _first_crash(pod: Pod, status: ContainerStatus) -> datetime | None:
    """The API keeps only the last crash; the pod was never ready since this instant at the latest."""
    ended = status.state.terminated or status.last_state.terminated
    marks = [_ready_since(pod), ended.finished_at if ended else None]
    return min((mark for mark in marks if mark), default=None)


def _ready_since(pod: Pod) -> datetime | None:
    condition = pod.condition("Ready")
    return (condition.last_transition_time if condition else None) or pod.metadata.creation_timestamp


def _first_unready(pod: Pod) -> str:
    return next((status.name for status in pod.status.container_statuses if not status.ready), "")


def _image_of(pod: Pod) -> str:
    name = _first_unready(pod)
    return next((spec.image for spec in pod.spec.containers if spec.name == name), "")


def _ready_message(pod: Pod) -> str:
    condition = pod.condition("Ready")
    return condition.message if condition else ""
