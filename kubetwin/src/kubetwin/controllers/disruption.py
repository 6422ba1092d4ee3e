# SPDX-License-Identifier: Apache-2.0
"""Status of PodDisruptionBudgets (facts: pkg/controller/disruption)."""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.controllers.base import ObjectController
from kubetwin.informer import Informer, key_of
from kubetwin.kinds import DEPLOYMENTS, JOBS, PDBS, PODS, REPLICASETS, STATEFULSETS
from kubetwin.meta import (
    age_seconds,
    controller_of,
    label_selector,
    labels_of,
    name_of,
    namespace_index,
    namespace_of,
    pod_active,
    pod_ready,
    scaled_value,
    set_condition,
    stamp,
    status_of,
)


class DisruptionController(ObjectController):
    name = "disruption"
    resource = PDBS
    component = "controllermanager"

    def setup(self) -> None:
        super().setup()
        self.objects.add_index("namespace", namespace_index)
        self.pods = self.inform(PODS)
        self.pods.add_handler(self._pod_changed)
        self.scales: dict[str, Informer] = {
            "ReplicaSet": self.inform(REPLICASETS),
            "StatefulSet": self.inform(STATEFULSETS),
            "Deployment": self.inform(DEPLOYMENTS),
            "Job": self.inform(JOBS),
        }

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        if old is not None and new is not None:
            before = (labels_of(old), pod_ready(old), pod_active(old))
            if before == (labels_of(new), pod_ready(new), pod_active(new)):
                return
        for budget in self.objects.by_index("namespace", namespace_of(pod)):
            if label_selector(budget["spec"].get("selector"))(labels_of(pod)):
                self.add_soon(key_of(budget), self.pods.index_size("namespace", namespace_of(pod)))

    async def reconcile(self, obj: Obj) -> None:
        matches = label_selector(obj["spec"].get("selector"))
        pods = [
            p for p in self.pods.by_index("namespace", namespace_of(obj)) if matches(labels_of(p)) and pod_active(p)
        ]
        if not pods:
            self.recorder.event(obj, "Normal", "NoPods", "No matching pods found")
        expected, desired = self._counts(obj, pods)
        disrupted = {k: v for k, v in (status_of(obj).get("disruptedPods") or {}).items() if age_seconds(v) < 120}
        healthy = sum(1 for p in pods if pod_ready(p) and name_of(p) not in disrupted)
        allowed = max(0, healthy - desired) if expected > 0 else 0
        state = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
        generation = obj["metadata"].get("generation", 0)
        new = {
            "type": "DisruptionAllowed",
            "status": state[0],
            "observedGeneration": generation,
            "lastTransitionTime": stamp(),
            "reason": state[1],
            "message": "",
        }
        status: Obj = {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": set_condition(list(status_of(obj).get("conditions") or []), new),
        }
        if disrupted:
            status["disruptedPods"] = disrupted
        await self.write_status(obj, status)

    def _counts(self, budget: Obj, pods: list[Obj]) -> tuple[int, int]:
        """(expectedPods, desiredHealthy)."""
        spec = budget["spec"]
        minimum, maximum = spec.get("minAvailable"), spec.get("maxUnavailable")
        if maximum is not None:
            expected = self._scale(pods)
            return expected, max(0, expected - scaled_value(maximum, expected, round_up=True))
        if isinstance(minimum, str):
            expected = self._scale(pods)
            return expected, scaled_value(minimum, expected, round_up=True)
        return len(pods), int(minimum or 0)

    def _scale(self, pods: list[Obj]) -> int:
        """The sum of the desired sizes of the pods' controllers."""
        total = 0
        seen: set[str] = set()
        for pod in pods:
            ref = controller_of(pod)
            informer = self.scales.get(ref["kind"]) if ref else None
            if ref is None or informer is None:
                continue
            owner = informer.get(ref["name"], namespace_of(pod))
            parent = controller_of(owner) if owner is not None else None
            if owner is not None and parent is not None and parent["kind"] == "Deployment":
                owner = self.scales["Deployment"].get(parent["name"], namespace_of(pod)) or owner
            if owner is None or owner["metadata"]["uid"] in seen:
                continue
            seen.add(owner["metadata"]["uid"])
            field = "parallelism" if owner["kind"] == "Job" else "replicas"
            total += int(owner["spec"].get(field, 1))
        return total
