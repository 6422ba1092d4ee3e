# SPDX-License-Identifier: Apache-2.0
"""Whether a custom resource is as its operator says it should be, from its status alone. Pure.

There is no one convention. Facts: sigs.k8s.io/cli-utils pkg/kstatus (observedGeneration, Ready, Reconciling, Stalled; replicas of
what is scaled), kubernetes community api-conventions.md (conditions, their polarity), prometheus-operator pkg/operator/status.go
(``Available`` may be ``Degraded``), argo-rollouts utils/rollout/rolloututil.go (``phase`` sums up conditions that are no failures
while a canary is under way), strimzi (``NotReady``), older operators' ``status.phase`` and ``status.state``. What none of them tells
is unknown, never ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeGuard

import msgspec

from backout.model.redaction import redact_text

_GOOD = (
    "Ready",
    "Available",
    "Reconciled",
    "Healthy",
    "Synced",
    "Succeeded",
    "Applied",
    "Valid",
    "Accepted",
    "Established",
    "Released",
    "ResolvedRefs",
    "Programmed",
)
"""Types of conditions that are True when all is well."""
_BAD = (
    "Stalled",
    "Degraded",
    "Failed",
    "Failure",
    "Error",
    "ReconcileError",
    "ReconcileFailed",
    "Invalid",
    "Unhealthy",
    "NotReady",
    "InvalidSpec",
    "ReplicaFailure",
)
"""Types of conditions that are False when all is well."""
_UNDER_WAY = ("Reconciling", "Progressing", "Updating", "Pending", "Creating", "Initializing", "Terminating")
_PHASES = {
    **dict.fromkeys(
        (
            "running",
            "ready",
            "active",
            "healthy",
            "succeeded",
            "bound",
            "available",
            "deployed",
            "online",
            "ok",
            "green",
        ),
        "ready",
    ),
    **dict.fromkeys(
        ("failed", "error", "degraded", "unhealthy", "crashloopbackoff", "invalid", "lost", "red", "stalled"), "failed"
    ),
    **dict.fromkeys(
        (
            "pending",
            "creating",
            "updating",
            "upgrading",
            "initializing",
            "provisioning",
            "progressing",
            "scaling",
            "deleting",
            # ECK (cloud-on-k8s pkg/apis/elasticsearch/v1/status.go).
            "applyingchanges",
            "migratingdata",
        ),
        "under-way",
    ),
}
_PHASES |= dict.fromkeys(("paused", "suspended"), "under-way")
_FINISHED = ("completionTime", "completionTimestamp", "completedAt", "finishedAt", "finishTime", "stoppedAt", "endTime")
"""Fields of a status that only something has which runs once: a workflow, a backup, a build."""
_READY = ("readyReplicas", "updatedReplicas", "updatedReadyReplicas", "availableReplicas")
_SHOWN = 300


class CustomState(StrEnum):
    """``UNKNOWN``: nothing that is known tells."""

    READY = "ready"
    UNDER_WAY = "under-way"
    FAILED = "failed"
    PAUSED = "paused"
    UNKNOWN = "unknown"


class CustomHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource's status says. ``reason`` and ``message`` are the operator's own words; ``since`` when it began.

    ``observed``: the status says that it speaks of the newest spec. False where it says nothing of that either.
    """

    state: CustomState
    reason: str = ""
    message: str = ""
    since: datetime | None = None
    observed: bool = False


def custom_health(obj: Mapping[str, Any]) -> CustomHealth:
    """The health of a custom resource as the API gives it."""
    meta, status = obj.get("metadata") or {}, obj.get("status")
    if meta.get("deletionTimestamp"):
        return CustomHealth(
            state=CustomState.UNDER_WAY,
            reason="Deleting",
            message=", ".join(map(str, meta.get("finalizers") or ())),
            since=_time(meta["deletionTimestamp"]),
        )
    if _paused(obj):
        return CustomHealth(state=CustomState.PAUSED, reason="Paused")
    if not isinstance(status, Mapping) or not status:
        return CustomHealth(state=CustomState.UNKNOWN, reason="NoStatus")
    generation = meta.get("generation") or 0
    if "stableRS" in status and str(status.get("observedGeneration") or "").isdecimal():
        # Argo Rollouts writes it as text.
        status = {**status, "observedGeneration": int(status["observedGeneration"])}
    if _behind(status.get("observedGeneration"), generation):
        return CustomHealth(state=CustomState.UNDER_WAY, reason="NotObserved")
    conditions = [c for c in _told(status) if isinstance(c, Mapping) and c.get("type")]
    if any(_behind(c.get("observedGeneration"), generation) for c in conditions if c["type"] in (*_GOOD, *_BAD)):
        return CustomHealth(state=CustomState.UNDER_WAY, reason="NotObserved")
    found = (
        (_of_phase(status) if _summed_up(status) else None)
        or _of_conditions(conditions)
        or _of_phase(status)
        or _of_replicas(obj, status)
        or CustomHealth(state=CustomState.UNKNOWN, reason="NothingTells")
    )
    told = [status.get("observedGeneration"), *(c.get("observedGeneration") for c in conditions)]
    seen = any(isinstance(one, int) and not isinstance(one, bool) and one >= generation > 0 for one in told)
    return msgspec.structs.replace(found, observed=seen)


def _told(status: Mapping[str, Any]) -> list[Any]:
    """Its conditions; those of what a route or a policy is attached to stand with each of these (gateway-api apis/v1
    RouteParentStatus, PolicyAncestorStatus)."""
    attached = [
        one for field in ("parents", "ancestors") for one in status.get(field) or () if isinstance(one, Mapping)
    ]
    return [condition for one in (status, *attached) for condition in one.get("conditions") or ()]


def finished(obj: Mapping[str, Any]) -> bool:
    """True for what ran once, and has ended: how that went is history, and nothing that is to be well now."""
    status = obj.get("status")
    return isinstance(status, Mapping) and any(status.get(field) for field in _FINISHED)


def _paused(obj: Mapping[str, Any]) -> bool:
    spec = obj.get("spec")
    return isinstance(spec, Mapping) and (spec.get("paused") is True or spec.get("suspend") is True)


def _behind(observed: Any, generation: int) -> bool:
    return isinstance(observed, int) and not isinstance(observed, bool) and 0 < observed < generation


def _summed_up(status: Mapping[str, Any]) -> bool:
    """True where conditions say how a rollout is under way, and a word sums them up (argo-rollouts Rollout, since 1.0)."""
    return "stableRS" in status and isinstance(status.get("phase"), str)


def _of_replicas(obj: Mapping[str, Any], status: Mapping[str, Any]) -> CustomHealth | None:
    """Of what is scaled and has no conditions (OpenKruise CloneSet): as many ready pods of the newest template as it asks for.

    How many there are says nothing of how they are, where nothing else is counted (Strimzi KafkaNodePool).
    """
    if not any(_count(status.get(field)) for field in _READY):
        return None
    wanted, ready = (obj.get("spec") or {}).get("replicas"), status.get("readyReplicas")
    if not _count(wanted) or "replicas" not in status or not (ready is None or _count(ready)):
        return None
    updated = status.get("updatedReadyReplicas", status.get("updatedReplicas", ready))
    least = min(ready or 0, updated if _count(updated) else 0)
    if least >= wanted:
        return CustomHealth(state=CustomState.READY)
    return CustomHealth(
        state=CustomState.UNDER_WAY,
        reason="ReplicasNotReady",
        message=f"{least} of {wanted} pods are updated and ready",
    )


def _count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _of_conditions(conditions: list[Mapping[str, Any]]) -> CustomHealth | None:
    """The worst of the conditions that are known; None when none is."""
    under_way = any(c["type"] in _UNDER_WAY and c.get("status") == "True" for c in conditions)
    told: list[tuple[int, CustomState, Mapping[str, Any]]] = []
    for condition in conditions:
        kind, status = str(condition["type"]), str(condition.get("status"))
        if kind in _BAD and status == "True":
            told.append((3, CustomState.FAILED, condition))
        elif kind in _GOOD and status == "True":
            told.append((0, CustomState.READY, condition))
        elif kind in _GOOD and status == "Unknown":
            told.append((1, CustomState.UNKNOWN, condition))
        elif kind in _GOOD:
            # "False", and words of an operator's own such as Degraded.
            going = under_way or _PHASES.get(str(condition.get("reason")).lower()) == "under-way"
            state = CustomState.UNDER_WAY if going else CustomState.FAILED
            told.append((2, state, condition))
        elif kind in _UNDER_WAY and status == "True":
            told.append((1, CustomState.UNDER_WAY, condition))
    if not told:
        return None
    _, state, worst = max(told, key=lambda item: item[0])
    return CustomHealth(
        state=state,
        reason=str(worst.get("reason") or worst["type"]) if state is not CustomState.READY else "",
        message=redact_text(str(worst.get("message") or ""))[:_SHOWN] if state is not CustomState.READY else "",
        since=_time(worst.get("lastTransitionTime")),
    )


def _of_phase(status: Mapping[str, Any]) -> CustomHealth | None:
    for field in ("phase", "state", "health"):
        word = status.get(field)
        if isinstance(word, Mapping):
            word = word.get("status")
        found = _PHASES.get(word.lower()) if isinstance(word, str) else None
        if found is not None:
            said = status.get("message") or status.get("reason") or ""
            return CustomHealth(
                state=CustomState(found),
                reason=str(word) if found != "ready" else "",
                message=redact_text(str(said))[:_SHOWN] if found != "ready" else "",
            )
    return None


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
