# SPDX-License-Identifier: Apache-2.0
"""When a workload is ready, and which of its pods stand in the way. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import Object
from backout.kube import projections
from backout.kube.pod_health import health_of
from backout.kube.rollout import Rollout, rollout, rollout_with_pods
from backout.kube.workloads import observed, ordinal, partition_of, revision_label
from backout.model.message import Message


def assess(obj: Object, pods: Iterable[Object], label: str) -> Rollout:
    """How far the rollout is; ``label`` is that of pods of the revision in force (empty: not made yet)."""
    return rollout_with_pods(obj["kind"], projections.workload(obj), map(projections.pod, pods), label)


def gave_up(obj: Object) -> Message | None:
    """A Deployment's own word that its rollout made no progress in time."""
    found = rollout(obj["kind"], projections.workload(obj))
    return found.why if found.reason == "deadline" else None


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
        and not health_of(pod).ready
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
    return sorted(found, key=lambda pod: (health_of(pod).ready, -ordinal(pod), pod["metadata"]["name"]))
