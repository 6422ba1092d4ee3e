# SPDX-License-Identifier: Apache-2.0
"""Counters and conditions of a Deployment (facts: pkg/controller/deployment/{sync,progress}.go)."""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.controllers import deployment_math as math
from kubetwin.meta import age_seconds, condition, name_of, new_condition, set_condition, stamp, status_of


def stamped(kind: str, status: str, reason: str, message: str) -> Obj:
    return new_condition(kind, status, reason, message, "lastUpdateTime")


def put(conditions: list[Obj], new: Obj) -> list[Obj]:
    """A condition with the same status and reason is left as it is."""
    for item in conditions:
        if item["type"] == new["type"] and item["status"] == new["status"] and item.get("reason") == new["reason"]:
            return conditions
    return set_condition(conditions, new)


def next_status(deployment: Obj, old: list[Obj], newest: Obj | None) -> Obj:
    sets = [*old, newest]
    available = math.total_status(sets, "availableReplicas")
    before = status_of(deployment)
    counters = {
        "replicas": math.total_status(sets, "replicas"),
        "updatedReplicas": math.total_status([newest], "replicas"),
        "readyReplicas": math.total_status(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, math.total(sets) - available),
    }
    status: Obj = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    status.update({k: v for k, v in counters.items() if v})
    # The one counter that is a pointer: zero is written.
    status["terminatingReplicas"] = math.total_status(sets, "terminatingReplicas")
    if before.get("collisionCount") is not None:
        status["collisionCount"] = before["collisionCount"]
    if available >= math.replicas_of(deployment) - math.max_unavailable(deployment):
        new = stamped("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        new = stamped(
            "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
        )
    status["conditions"] = put(list(before.get("conditions") or []), new)
    return status


def rollout_status(deployment: Obj, old: list[Obj], newest: Obj | None) -> Obj:
    """The status during a rollout: with progress, completion, the deadline, and the ReplicaSets' failures."""
    status = next_status(deployment, old, newest)
    conditions: list[Obj] = status["conditions"]
    current = condition(deployment, "Progressing")
    if not math.has_deadline(deployment):
        conditions = [c for c in conditions if c["type"] != "Progressing"]
    finished = (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and current is not None
        and current.get("reason") == "NewReplicaSetAvailable"
    )
    if math.has_deadline(deployment) and not finished:
        conditions = _progress(deployment, status, conditions, current, newest)
    failures = [c for rs in (newest, *old) if rs is not None for c in status_of(rs).get("conditions") or ()]
    failure = next((c for c in failures if c["type"] == "ReplicaFailure"), None)
    if failure is not None:
        moved = {**failure, "lastUpdateTime": failure.get("lastTransitionTime") or stamp()}
        conditions = put(conditions, moved)
    else:
        conditions = [c for c in conditions if c["type"] != "ReplicaFailure"]
    status["conditions"] = conditions
    return status


def _progress(
    deployment: Obj, status: Obj, conditions: list[Obj], current: Obj | None, newest: Obj | None
) -> list[Obj]:
    subject = f'ReplicaSet "{name_of(newest)}"' if newest is not None else f'Deployment "{name_of(deployment)}"'
    if math.is_complete(deployment, status):
        done = stamped("Progressing", "True", "NewReplicaSetAvailable", f"{subject} has successfully progressed.")
        return put(conditions, done)
    if math.is_progressing(deployment, status):
        new = stamped("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.")
        if current is not None and current["status"] == "True":
            new["lastTransitionTime"] = current["lastTransitionTime"]
        # Each sign of progress renews lastUpdateTime, from which the deadline counts.
        return [*(c for c in conditions if c["type"] != "Progressing"), new]
    if _timed_out(deployment, status, current):
        late = stamped("Progressing", "False", "ProgressDeadlineExceeded", f"{subject} has timed out progressing.")
        return put(conditions, late)
    return conditions


def _timed_out(deployment: Obj, status: Obj, current: Obj | None) -> bool:
    if current is None or current.get("reason") == "NewReplicaSetAvailable":
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    return age_seconds(current.get("lastUpdateTime")) > float(deployment["spec"]["progressDeadlineSeconds"])


def seconds_to_deadline(deployment: Obj, status: Obj) -> float | None:
    """When to look again for a missed deadline; None when there is nothing to wait for."""
    current = condition(deployment, "Progressing")
    if not math.has_deadline(deployment) or current is None:
        return None
    if current.get("reason") in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable"):
        return None
    if math.is_complete(deployment, status):
        return None
    left = float(deployment["spec"]["progressDeadlineSeconds"]) - age_seconds(current.get("lastUpdateTime"))
    return max(0.0, left) + 1.0
