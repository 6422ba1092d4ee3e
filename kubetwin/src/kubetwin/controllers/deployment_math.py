# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and annotations of Deployments (facts: pkg/controller/deployment/util)."""

from __future__ import annotations

from collections.abc import Iterable

from kubetwin.client import Obj
from kubetwin.meta import annotations_of, canonical_json, fnv32a, safe_encode, scaled_value, status_of, without_nulls

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
HASH_LABEL = "pod-template-hash"
_NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    )
)
_HISTORY_CHARS = 2000
_NO_DEADLINE = 2**31 - 1


def replicas_of(obj: Obj) -> int:
    value = obj["spec"].get("replicas")
    return 1 if value is None else int(value)


def is_rolling(deployment: Obj) -> bool:
    strategy: Obj = deployment["spec"].get("strategy") or {}
    return bool(strategy.get("type", "RollingUpdate") == "RollingUpdate")


def _fenceposts(deployment: Obj) -> tuple[int, int]:
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    desired = replicas_of(deployment)
    surge = scaled_value(rolling.get("maxSurge", "25%"), desired, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", "25%"), desired, round_up=False)
    if surge == 0 and unavailable == 0:
        # Both may round to zero though validation forbids it in the spec; then nothing would ever move.
        unavailable = 1
    return surge, unavailable


def max_surge(deployment: Obj) -> int:
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Obj) -> int:
    desired = replicas_of(deployment)
    if not is_rolling(deployment) or desired == 0:
        return 0
    return min(_fenceposts(deployment)[1], desired)


def has_deadline(deployment: Obj) -> bool:
    value = deployment["spec"].get("progressDeadlineSeconds")
    return value is not None and value != _NO_DEADLINE


def template_key(template: Obj) -> bytes:
    """Equal for templates that differ at most in the pod-template-hash label."""
    meta = template.get("metadata") or {}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    kept = {k: v for k, v in meta.items() if k not in ("labels", "creationTimestamp")}
    if labels:
        kept["labels"] = labels
    return canonical_json(without_nulls({"metadata": kept, "spec": template.get("spec") or {}}))


def template_hash(template: Obj, collisions: int | None) -> str:
    data = template_key(template)
    if collisions is not None:
        data += collisions.to_bytes(8, "little")
    return safe_encode(str(fnv32a(data)))


def total(sets: Iterable[Obj | None]) -> int:
    return sum(replicas_of(rs) for rs in sets if rs is not None)


def total_status(sets: Iterable[Obj | None], counter: str) -> int:
    return sum(int(status_of(rs).get(counter) or 0) for rs in sets if rs is not None)


def active(sets: Iterable[Obj | None]) -> list[Obj]:
    return [rs for rs in sets if rs is not None and replicas_of(rs) > 0]


def revision_of(obj: Obj) -> int:
    try:
        return int(annotations_of(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def by_creation(sets: Iterable[Obj]) -> list[Obj]:
    return sorted(sets, key=lambda rs: (rs["metadata"].get("creationTimestamp") or "", rs["metadata"]["name"]))


def replica_annotations(deployment: Obj) -> dict[str, str]:
    desired = replicas_of(deployment)
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + max_surge(deployment))}


def new_set_annotations(deployment: Obj, current: dict[str, str], revision: int, *, exists: bool) -> dict[str, str]:
    """The annotations of the newest ReplicaSet: the Deployment's own, the revision and the revisions it had before."""
    result = dict(current)
    result.update({k: v for k, v in annotations_of(deployment).items() if k not in _NOT_COPIED})
    before = current.get(REVISION)
    try:
        old = int(before or "0")
    except ValueError:
        return result
    if old < revision:
        result[REVISION] = str(revision)
        if before is not None:
            history = [part for part in current.get(REVISION_HISTORY, "").split(",") if part]
            history.append(before)
            while len(",".join(history)) > _HISTORY_CHARS and len(history) > 1:
                history.pop(0)
            result[REVISION_HISTORY] = ",".join(history)
    if not exists:
        result.update(replica_annotations(deployment))
    return result


def new_set_size(deployment: Obj, all_sets: list[Obj], new_size: int) -> int:
    """How large the newest ReplicaSet may be now."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment):
        return desired
    most = desired + max_surge(deployment)
    current = total(all_sets)
    if current >= most:
        return new_size
    return new_size + min(most - current, desired - new_size)


def is_saturated(deployment: Obj, newest: Obj | None) -> bool:
    if newest is None:
        return False
    desired = replicas_of(deployment)
    return (
        replicas_of(newest) == desired
        and annotations_of(newest).get(DESIRED_REPLICAS) == str(desired)
        and int(status_of(newest).get("availableReplicas") or 0) == desired
    )


def proportion(deployment: Obj, rs: Obj, to_add: int, added: int) -> int:
    """This ReplicaSet's share of ``to_add`` (negative when shrinking)."""
    size = replicas_of(rs)
    if size == 0 or to_add == 0 or to_add == added:
        return 0
    fraction = _fraction(deployment, rs)
    allowed = to_add - added
    return min(fraction, allowed) if to_add > 0 else max(fraction, allowed)


def _fraction(deployment: Obj, rs: Obj) -> int:
    size, desired = replicas_of(rs), replicas_of(deployment)
    if desired == 0:
        return -size
    try:
        before = int(annotations_of(rs).get(MAX_REPLICAS, "0"))
    except ValueError:
        before = 0
    if before <= 0:
        before = int(status_of(deployment).get("replicas") or 0)
        if before == 0:
            return 0
    return _round(size * (desired + max_surge(deployment)) / before) - size


def _round(value: float) -> int:
    return int(value + 0.5) if value >= 0 else int(value - 0.5)


def is_complete(deployment: Obj, status: Obj) -> bool:
    desired = replicas_of(deployment)
    return bool(
        status.get("updatedReplicas", 0) == desired
        and status.get("replicas", 0) == desired
        and status.get("availableReplicas", 0) == desired
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    )


def is_progressing(deployment: Obj, status: Obj) -> bool:
    old = status_of(deployment)
    old_of_old = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    new_of_old = status.get("replicas", 0) - status.get("updatedReplicas", 0)
    return bool(
        status.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or new_of_old < old_of_old
        or status.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or status.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )
