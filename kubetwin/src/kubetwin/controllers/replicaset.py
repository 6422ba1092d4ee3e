# SPDX-License-Identifier: Apache-2.0
"""ReplicaSets: as many pods as wanted (facts: pkg/controller/replicaset, controller_utils.go)."""

from __future__ import annotations

import math
from collections import Counter
from functools import cmp_to_key

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Controller
from kubetwin.controllers.refs import (
    claim,
    create_pod,
    delete_pod,
    matching_owners,
    owner_keys,
    pod_from_template,
    slow_start,
)
from kubetwin.informer import key_of, split_key
from kubetwin.kinds import PODS, REPLICASETS
from kubetwin.meta import (
    age_seconds,
    annotations_of,
    availability_delay,
    condition,
    controller_of,
    deleting,
    equality_selector,
    label_selector,
    labels_of,
    namespace_index,
    now,
    owner_index,
    pod_active,
    pod_available,
    pod_phase,
    pod_ready,
    stamp,
    status_of,
    total_restarts,
    uid_of,
)

_BURST = 500
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSetController(Controller):
    name = "replicaset"

    def setup(self) -> None:
        self.sets = self.enqueue_on(REPLICASETS)
        self.sets.add_index("owner", owner_index)
        self.sets.add_index("namespace", namespace_index)
        self.pods = self.inform(PODS)
        self.pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None and _relevant(old) == _relevant(new):
            return
        for key in owner_keys(self.sets, "ReplicaSet", old, new):
            ref = controller_of(new or old or {})
            self.add_soon(key, self.pods.index_size("owner", ref["uid"]) if ref else 0)
        if new is not None and controller_of(new) is None and not deleting(new):
            for owner in matching_owners(
                self.sets, new, lambda o, c: label_selector(o["spec"].get("selector"))(labels_of(c))
            ):
                self.queue.add(key_of(owner))

    async def sync(self, key: str) -> None:
        namespace, name = split_key(key)
        rs = self.sets.get(name, namespace)
        if rs is None:
            return
        matches = label_selector(rs["spec"].get("selector"))
        pods = await claim(self.write, self.pods, PODS, rs, lambda p: matches(labels_of(p)), adopt=pod_active)
        failure: ApiException | None = None
        if not deleting(rs):
            try:
                await self._manage(rs, [p for p in pods if pod_active(p)])
            except ApiException as error:
                failure = error
        # The cache has this sync's own writes already; the loop above may have changed both.
        rs = self.sets.get(name, namespace) or rs
        pods = [p for p in self.pods.by_index("owner", uid_of(rs)) if matches(labels_of(p))]
        status = replica_status(rs, pods, failure)
        if status != status_of(rs):
            rs = await self.write.update_status(REPLICASETS, rs, status)
        min_ready = int(rs["spec"].get("minReadySeconds") or 0)
        if min_ready:
            delays = [d for p in pods if (d := availability_delay(p, min_ready)) > 0]
            if delays:
                self.queue.add_after(key, min(delays))
        if failure is not None and not failure.namespace_terminating:
            raise failure

    async def _manage(self, rs: Obj, active: list[Obj]) -> None:
        diff = len(active) - int(rs["spec"].get("replicas", 1))
        if diff < 0:
            template = rs["spec"].get("template") or {}

            async def create(_: int) -> object:
                return await create_pod(self.write, self.recorder, rs, pod_from_template(template, rs))

            await slow_start(min(-diff, _BURST), create)
        elif diff > 0:
            doomed = pods_to_delete(active, self._related(rs), min(diff, _BURST))
            for pod in doomed:
                await delete_pod(self.write, self.recorder, rs, pod)

    def _related(self, rs: Obj) -> list[Obj]:
        """Active pods of all ReplicaSets of the same owner: a crowded node gives up its pods first."""
        ref = controller_of(rs)
        siblings = self.sets.by_index("owner", ref["uid"]) if ref else [rs]
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
    min_ready = int(rs["spec"].get("minReadySeconds") or 0)
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
    status["terminatingReplicas"] = sum(1 for p in pods if deleting(p) and pod_phase(p) not in ("Succeeded", "Failed"))
    status["observedGeneration"] = rs["metadata"].get("generation", 0)
    conditions = [c for c in before.get("conditions") or () if c["type"] != "ReplicaFailure"]
    existing = condition(rs, "ReplicaFailure")
    if failure is not None:
        wanted = int(rs["spec"].get("replicas", 1))
        reason = "FailedCreate" if len(active) < wanted else "FailedDelete"
        conditions.append(
            existing
            or {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": stamp(moment),
                "reason": reason,
                "message": failure.message,
            }
        )
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
