# SPDX-License-Identifier: Apache-2.0
"""How far a Rollout is, and how many pods each of its ReplicaSets is to have. Pure.

Facts: argo-rollouts rollout/canary.go and sync.go (shouldFullPromote, resetRolloutStatus), utils/replicaset/canary.go (replica
counts of a basic canary), utils/rollout/rolloututil.go (CalculateRolloutPhase), utils/conditions. Left out: traffic routing,
analyses, experiments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kubetwin.client import Obj
from kubetwin.meta import age_seconds, canonical_json, fnv32a, labels_of, safe_encode, scaled_value, status_of

HASH = "rollouts-pod-template-hash"
REVISION = "rollout.argoproj.io/revision"
DEADLINE = 600


def plain(template: Obj) -> Obj:
    """A template without the label that tells ReplicaSets apart."""
    meta = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
    meta.pop("creationTimestamp", None)
    return {**template, "metadata": {**meta, "labels": labels}}


def template_hash(template: Obj) -> str:
    return safe_encode(str(fnv32a(canonical_json(plain(template)))))


def revision_of(replica_set: Obj) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdecimal() else 0


def hash_of(replica_set: Obj | None) -> str:
    return labels_of(replica_set).get(HASH, "") if replica_set is not None else ""


def available(replica_set: Obj | None) -> int:
    return int(status_of(replica_set).get("availableReplicas") or 0) if replica_set is not None else 0


def find(sets: list[Obj], template: Obj) -> Obj | None:
    """The ReplicaSet of a template: the one that was made from it, or that says the same (it has its defaults)."""
    wanted, name = plain(template), template_hash(template)
    same = [one for one in sets if plain(one["spec"]["template"]) == wanted]
    return next(iter(same), None) or next((one for one in sets if hash_of(one) == name), None)


@dataclass(slots=True)
class Progress:
    """What a status says of a Rollout that is on its way; changed in place."""

    status: Obj
    wake: float = 0.0
    """Seconds after which something may change by itself; 0 for never."""
    promoted: str = ""
    scale: dict[str, int] = field(default_factory=dict)
    """Name of a ReplicaSet → how many pods it is to have."""


def steps_of(rollout: Obj) -> list[Obj]:
    return list((((rollout["spec"].get("strategy") or {}).get("canary")) or {}).get("steps") or ())


def reset(rollout: Obj, status: Obj) -> None:
    """As after a change of the template, or of the steps: nothing is paused or aborted any more."""
    for name in ("abort", "abortedAt", "pauseConditions", "controllerPause", "promoteFull"):
        status.pop(name, None)
    status["currentStepIndex"] = 0 if steps_of(rollout) else None


def advance(rollout: Obj, new: Obj, stable: Obj | None, others: list[Obj], status: Obj, now: str) -> Progress:
    """Where the Rollout goes next."""
    progress = Progress(status)
    replicas = int(rollout["spec"].get("replicas", 1))
    if stable is None or hash_of(stable) == hash_of(new):
        _straight(rollout, new, others, replicas, progress)
    elif (rollout["spec"].get("strategy") or {}).get("blueGreen") is not None:
        _blue_green(rollout, new, stable, others, replicas, progress, now)
    else:
        _canary(rollout, new, stable, others, replicas, progress, now)
    return progress


def _straight(rollout: Obj, new: Obj, others: list[Obj], replicas: int, progress: Progress) -> None:
    """The first one, or back to the stable one: no steps."""
    progress.scale[new["metadata"]["name"]] = replicas
    ready = available(new) >= replicas
    for other in others:
        progress.scale[other["metadata"]["name"]] = 0
    if ready:
        progress.promoted = hash_of(new)
        steps = steps_of(rollout)
        progress.status["currentStepIndex"] = len(steps) if steps else None


def _canary(
    rollout: Obj, new: Obj, stable: Obj, others: list[Obj], replicas: int, progress: Progress, now: str
) -> None:
    status, canary, steps = progress.status, rollout["spec"]["strategy"].get("canary") or {}, steps_of(rollout)
    weight = 0
    if not status.get("abort"):
        index = _passed(new, replicas, steps, progress, now)
        weights = [int(step["setWeight"]) for step in steps[: index + 1] if "setWeight" in step]
        weight = 100 if index >= len(steps) else (weights[-1] if weights else 0)
        if index >= len(steps) and available(new) >= replicas:
            progress.promoted = hash_of(new)
    wanted = math.ceil(replicas * weight / 100)
    surge = scaled_value(canary.get("maxSurge", "25%"), replicas, round_up=True)
    missing = scaled_value(canary.get("maxUnavailable", "25%"), replicas, round_up=False)
    if not surge and not missing:
        missing = 1
    up = min(wanted, max(0, replicas + surge - _replicas(stable))) if wanted > _replicas(new) else wanted
    # Stable pods go only when others are available for them.
    least = replicas - missing - min(available(new), wanted)
    progress.scale[new["metadata"]["name"]] = max(up, min(wanted, _replicas(new)))
    progress.scale[stable["metadata"]["name"]] = max(replicas - wanted, least, 0)
    for other in others:
        if hash_of(other) != hash_of(stable):
            progress.scale[other["metadata"]["name"]] = 0
    if progress.promoted:
        progress.scale[stable["metadata"]["name"]] = 0


def _passed(new: Obj, replicas: int, steps: list[Obj], progress: Progress, now: str) -> int:
    """The step that it is at, those left behind that are done."""
    status = progress.status
    index = int(status.get("currentStepIndex") or 0)
    while index < len(steps):
        step = steps[index]
        if "setWeight" in step:
            if available(new) < math.ceil(replicas * int(step["setWeight"]) / 100):
                break
        elif "pause" in step:
            held = status.get("pauseConditions")
            if not held and not status.get("controllerPause"):
                status["pauseConditions"] = [{"reason": "CanaryPauseStep", "startTime": now}]
                status["controllerPause"] = True
                held = status["pauseConditions"]
            if held:
                duration = (step["pause"] or {}).get("duration")
                left = float(duration) - age_seconds(held[0]["startTime"]) if duration else 1.0
                if left > 0:
                    progress.wake = left if duration else 0.0
                    break
            status.pop("pauseConditions", None)
            status.pop("controllerPause", None)
        index += 1
    status["currentStepIndex"] = index
    return index


def _blue_green(
    rollout: Obj, new: Obj, stable: Obj, others: list[Obj], replicas: int, progress: Progress, now: str
) -> None:
    status, settings = progress.status, rollout["spec"]["strategy"]["blueGreen"] or {}
    progress.scale[new["metadata"]["name"]] = 0 if status.get("abort") else replicas
    progress.scale[stable["metadata"]["name"]] = replicas
    for other in others:
        if hash_of(other) != hash_of(stable):
            progress.scale[other["metadata"]["name"]] = 0
    if status.get("abort") or available(new) < replicas:
        return
    if settings.get("autoPromotionEnabled", True) is False and not status.get("promoteFull"):
        if not status.get("controllerPause"):
            status["pauseConditions"] = [{"reason": "BlueGreenPause", "startTime": now}]
            status["controllerPause"] = True
        if status.get("pauseConditions"):
            return
    status.pop("pauseConditions", None)
    status.pop("controllerPause", None)
    progress.promoted = hash_of(new)


def _replicas(replica_set: Obj) -> int:
    return int(replica_set["spec"].get("replicas", 0))


def phase(rollout: Obj, status: Obj) -> tuple[str, str]:
    """Phase and message."""
    for one in status.get("conditions") or ():
        if one.get("reason") in ("RolloutAborted", "ProgressDeadlineExceeded"):
            return "Degraded", f"{one['reason']}: {one['message']}"
    if rollout["spec"].get("paused"):
        return "Paused", "manually paused"
    for held in status.get("pauseConditions") or ():
        return "Paused", str(held["reason"])
    if status.get("updatedReplicas", 0) < int(rollout["spec"].get("replicas", 1)):
        return "Progressing", "more replicas need to be updated"
    if status.get("availableReplicas", 0) < status.get("updatedReplicas", 0):
        return "Progressing", "updated replicas are still becoming available"
    if status.get("stableRS") != status.get("currentPodHash"):
        return "Progressing", "waiting for all steps to complete"
    if status.get("replicas", 0) > status.get("updatedReplicas", 0):
        return "Progressing", "old replicas are pending termination"
    return "Healthy", ""
