# SPDX-License-Identifier: Apache-2.0
"""When a workload is ready, and when its pods fail for good. Pure.

Ready: the controller has seen the newest spec, every counter equals the wish, and each pod is of the revision in
force, Ready, and not on its way out. That is stricter than `kubectl rollout status`, which takes a StatefulSet for done
while a pod of another revision is still there (kubernetes/kubectl, pkg/polymorphichelpers/rollout_status.go).
"""

from __future__ import annotations

from typing import Any

import msgspec

from backout.cluster.port import Object
from backout.mechanisms.helm.evidence import FAILING
from backout.mechanisms.workload.objects import desired, observed, ordinal, partition_of, revision_label
from backout.model.message import Message, msg
from backout.model.redaction import redact_text

_COUNTERS = {
    "Deployment": ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
    "StatefulSet": ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
    "DaemonSet": ("updatedNumberScheduled", "numberReady", "numberAvailable"),
}
SHOWN = 3


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a workload is. ``waiting`` says for what, ``ready`` counts pods of the revision in force."""

    done: bool
    ready: int
    desired: int
    waiting: Message


def assess(obj: Object, pods: list[Object], label: str) -> State:
    """``label`` is that of pods of the revision in force (empty: not made yet)."""
    wanted, kind = desired(obj), obj["kind"]
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    fresh = [pod for pod in staying if label and revision_label(pod, kind) == label]
    ready = sum(1 for pod in fresh if is_ready(pod))

    def state(waiting: Message, *, done: bool = False) -> State:
        return State(done=done, ready=ready, desired=wanted, waiting=waiting)

    if not observed(obj):
        return state(msg("the controller has not seen the change yet"))
    if not label:
        return state(msg("the controller has not made the revision yet"))
    old = [pod for pod in staying if revision_label(pod, kind) != label]
    if old:
        return state(msg("{count} pods are of another revision: {pods}", count=len(old), pods=_names(old)))
    unready = [pod for pod in fresh if not is_ready(pod)]
    if unready:
        return state(
            msg(
                "{ready} of {desired} pods are ready; not yet: {pods}",
                ready=ready,
                desired=wanted,
                pods=_names(unready),
            )
        )
    if len(staying) < len(pods):
        going = [pod for pod in pods if pod["metadata"].get("deletionTimestamp")]
        return state(msg("{count} pods are still terminating: {pods}", count=len(going), pods=_names(going)))
    if len(fresh) != wanted:
        return state(msg("{count} of {desired} pods exist", count=len(fresh), desired=wanted))
    status = obj.get("status") or {}
    wrong = [f"{name}={int(status.get(name) or 0)}" for name in _COUNTERS[kind] if int(status.get(name) or 0) != wanted]
    if wrong:
        return state(msg("the controller still counts {counters}", counters=", ".join(wrong)))
    return state(msg("{ready} of {desired} pods are ready", ready=ready, desired=wanted), done=True)


def is_ready(pod: Object) -> bool:
    """The condition Ready is True, and the pod is to stay."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def failure(pod: Object) -> Message | None:
    """Why a pod can't become ready by itself, with what is known of it; None when it may still start."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return None
    for field in ("initContainerStatuses", "containerStatuses"):
        for entry in status.get(field) or ():
            state, last = entry.get("state") or {}, entry.get("lastState") or {}
            waiting = state.get("waiting") or {}
            ended = state.get("terminated") or last.get("terminated") or {}
            if waiting.get("reason") in FAILING:
                return msg("{reason}{detail}", reason=waiting["reason"], detail=_detail(waiting, ended))
            restarted = int(entry.get("restartCount") or 0) > 0
            if restarted and not entry.get("ready") and ended.get("exitCode"):
                return msg("{reason}{detail}", reason=ended.get("reason") or "Error", detail=_detail({}, ended))
    if status.get("phase") == "Failed":
        return msg("{reason}", reason=status.get("reason") or "Failed")
    return None


def gave_up(obj: Object) -> Message | None:
    """A Deployment's own word that its rollout made no progress in time."""
    if obj["kind"] != "Deployment" or not observed(obj):
        return None
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return msg("its rollout made no progress within progressDeadlineSeconds")
    return None


def stuck_pods(obj: Object, pods: list[Object], label: str) -> list[Object]:
    """Pods that an OrderedReady set will never replace: not ready, and of another revision than the one in force.

    The controller stops at the first pod that is not ready, before the part that deletes outdated ones (kubernetes
    issue 67250). Highest ordinal first. Below a partition a pod keeps its revision by design.
    """
    if not label or not observed(obj):
        return []
    kept = str((obj.get("status") or {}).get("currentRevision") or "")
    found = [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and not is_ready(pod)
        and revision_label(pod, obj["kind"]) != label
        and not (ordinal(pod) < partition_of(obj) and revision_label(pod, obj["kind"]) == kept)
    ]
    return sorted(found, key=ordinal, reverse=True)


def outdated_pods(obj: Object, pods: list[Object], label: str) -> list[Object]:
    """Pods that an OnDelete set leaves on another revision: those that are not ready first, then downwards."""
    if not label or not observed(obj):
        return []
    found = [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp") and revision_label(pod, obj["kind"]) != label
    ]
    return sorted(found, key=lambda pod: (is_ready(pod), -ordinal(pod), pod["metadata"]["name"]))


def _detail(waiting: dict[str, Any], ended: dict[str, Any]) -> str:
    parts = []
    if ended.get("exitCode") is not None:
        reason = ended.get("reason")
        parts.append(f"exit code {ended['exitCode']}{f', {reason}' if reason not in (None, 'Error') else ''}")
    elif waiting.get("message"):
        parts.append(redact_text(" ".join(str(waiting["message"]).split()))[:200])
    return f" ({', '.join(parts)})" if parts else ""


def _names(pods: list[Object]) -> str:
    names = sorted(str(pod["metadata"]["name"]) for pod in pods)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
