# SPDX-License-Identifier: Apache-2.0
"""ReplicaSets: as many pods as wanted (facts: pkg/controller/replicaset, controller_utils.go)."""

from __future__ import annotations

import math
from collections import Counter
from functools import cmp_to_key

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.refs import pod_from_template
from kubetwin.controllers.workload import Attempt, WorkloadController, min_ready_seconds
from kubetwin.informer import key_of
from kubetwin.kinds import PODS, REPLICASETS
from kubetwin.meta import (
    age_seconds,
    annotations_of,
    condition,
    controller_of,
    deleting,
    equality_selector,
    labels_of,
    new_condition,
    now,
    owner_index,
    pod_active,
    pod_available,
    pod_ended,
    pod_phase,
    pod_ready,
    status_of,
    total_restarts,
    uid_of,
)

_BURST = 500
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSetController(WorkloadController):
    name = "replicaset"
    resource = REPLICASETS
    also_deleted = True

    def setup(self) -> None:
        super().setup()
        self.objects.add_index("owner", owner_index)

    def pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is None or new is None or _relevant(old) != _relevant(new):
            self.child_changed(old, new)

    def queue_for(self, key: str, child: Obj) -> None:
        ref = controller_of(child)
        self.add_soon(key, self.pods.index_size("owner", ref["uid"]) if ref else 0)

    async def reconcile(self, obj: Obj) -> None:
        pods = await self.claim(self.pods, PODS, obj, adopt=pod_active)
        with Attempt() as attempt:
            if not deleting(obj):
                await self._manage(obj, [p for p in pods if pod_active(p)])
        # The cache has this sync's own writes already; what was done above may have changed both.
        rs = self.objects.by_key(key_of(obj)) or obj
        pods = self.pods_of(rs)
        self.look_again(await self.write_status(rs, replica_status(rs, pods, attempt.error)), pods)
        attempt.settle()

    async def _manage(self, rs: Obj, active: list[Obj]) -> None:
        diff = len(active) - int(rs["spec"].get("replicas", 1))
        template = rs["spec"].get("template") or {}
        await self.create_pods(rs, min(-diff, _BURST), lambda _: pod_from_template(template, rs))
        if diff > 0:
            await self.delete_pods(rs, pods_to_delete(active, self._related(rs), min(diff, _BURST)))

    def _related(self, rs: Obj) -> list[Obj]:
        """Active pods of all ReplicaSets of the same owner: a crowded node gives up its pods first."""
        ref = controller_of(rs)
        siblings = self.objects.by_index("owner", ref["uid"]) if ref else [rs]
        return [p for s in siblings for p in self.pods.by_index("owner", uid_of(s)) if pod_active(p)]


def _relevant(pod: Obj) -> tuple[object, ...]:
    """All of a pod that can change what its ReplicaSet does or says."""
    return (
        labels_of(pod),
        deleting(pod),
        pod_phase(pod),
        condition(pod, "Ready"),
        pod["metadata"].get("ownerReferences"),
    )


def replica_status(rs: Obj, pods: list[Obj], failure: ApiException | None) -> Obj:
    """The status after a sync. ``pods`` are all that belong to the set."""
    active = [p for p in pods if pod_active(p)]
    labelled = equality_selector((rs["spec"].get("template") or {}).get("metadata", {}).get("labels"))
    min_ready = min_ready_seconds(rs)
    moment = now()
    before = status_of(rs)
    status: Obj = {"replicas": len(active)}
    counters = {
        "fullyLabeledReplicas": sum(1 for p in active if labelled(labels_of(p))),
        "readyReplicas": sum(1 for p in active if pod_ready(p)),
        "availableReplicas": sum(1 for p in active if pod_available(p, min_ready, moment)),
    }
    status.update({k: v for k, v in counters.items() if v})
    # A pointer in the API type, so zero is written.
    status["terminatingReplicas"] = sum(1 for p in pods if deleting(p) and not pod_ended(p))
    status["observedGeneration"] = rs["metadata"].get("generation", 0)
    conditions = [c for c in before.get("conditions") or () if c["type"] != "ReplicaFailure"]
    existing = condition(rs, "ReplicaFailure")
    if failure is not None:
        wanted = int(rs["spec"].get("replicas", 1))
        reason = "FailedCreate" if len(active) < wanted else "FailedDelete"
        conditions.append(existing or new_condition("ReplicaFailure", "True", reason, failure.message))
    if conditions:
        status["conditions"] = conditions
    return status


def pods_to_delete(active: list[Obj], related: list[Obj], count: int) -> list[Obj]:
    """The pods that are missed least, first: unscheduled, pending, not ready, cheap, crowded, young."""
    if count >= len(active):
        return active
    ready_on_node = Counter(p["spec"].get("nodeName") for p in related if pod_ready(p))

    def cost(pod: Obj) -> int:
        try:
            return int(annotations_of(pod).get(_DELETION_COST, "0"))
        except ValueError:
            return 0

    def rank(pod: Obj) -> tuple[bool, int, bool, int, int]:
        node = pod["spec"].get("nodeName")
        crowd = ready_on_node[node] if node else 0
        return (bool(node), _PHASES.get(pod_phase(pod), 1), pod_ready(pod), cost(pod), -crowd)

    def compare(a: Obj, b: Obj) -> int:
        ra, rb = rank(a), rank(b)
        if ra != rb:
            return -1 if ra < rb else 1
        if pod_ready(a) and pod_ready(b):
            order = _younger_first(_ready_since(a), _ready_since(b))
            if order:
                return order
        if total_restarts(a) != total_restarts(b):
            return -1 if total_restarts(a) > total_restarts(b) else 1
        order = _younger_first(a["metadata"].get("creationTimestamp"), b["metadata"].get("creationTimestamp"))
        return order or (-1 if uid_of(a) < uid_of(b) else 1)

    return sorted(active, key=cmp_to_key(compare))[:count]


def _ready_since(pod: Obj) -> str | None:
    ready = condition(pod, "Ready")
    return ready.get("lastTransitionTime") if ready else None


def _younger_first(a: str | None, b: str | None) -> int:
    """Compared by the logarithm of the age, so that pods of about the same age go by chance."""

    def magnitude(text: str | None) -> int:
        age = age_seconds(text)
        return -1 if age < 1 else int(math.log2(age)) if age != float("inf") else 1 << 30

    return magnitude(a) - magnitude(b)
