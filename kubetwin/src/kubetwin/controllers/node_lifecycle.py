# SPDX-License-Identifier: Apache-2.0
"""What follows from the conditions of nodes: taints, and pods that are not ready (facts: pkg/controller/nodelifecycle).

A node that reported once is taken at its word: whether it still lives is not watched (the simulated nodes always do).
"""

from __future__ import annotations

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Controller
from kubetwin.kinds import NODES, PODS
from kubetwin.meta import (
    age_seconds,
    condition,
    condition_true,
    deleting,
    name_of,
    node_index,
    set_condition,
    stamp,
    status_of,
)

_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_TAINTS = {
    ("Ready", "False"): _NOT_READY,
    ("Ready", "Unknown"): _UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
TAINTS_OF_CONDITIONS = frozenset(_TAINTS.values())
"""Keys of the taints that a ready node without pressure has not."""
_OWN = {
    *((key, "NoSchedule") for key in (*TAINTS_OF_CONDITIONS, _UNSCHEDULABLE)),
    (_NOT_READY, "NoExecute"),
    (_UNREACHABLE, "NoExecute"),
}


class NodeLifecycleController(Controller):
    name = "node-lifecycle"
    component = "node-controller"

    def setup(self) -> None:
        self.nodes = self.enqueue_on(NODES)
        self.nodes.add_handler(self._node_changed)
        self.pods = self.inform(PODS)
        self.pods.add_index("node", node_index)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        before, after = (condition_true(node or {}, "Ready") for node in (old, new))
        if before != after:
            # Whether pods leave one node depends on whether any other is ready.
            for node in self.nodes.all():
                self.queue.add(name_of(node))

    async def sync(self, key: str) -> None:
        node = self.nodes.get(key)
        if node is None or deleting(node):
            return
        if condition(node, "Ready") is None:
            left = self.ctx.settings.node_startup_grace - age_seconds(node["metadata"].get("creationTimestamp"))
            if left > 0:
                self.queue.add_after(key, left)
            else:
                node = await self._never_reported(node)
        await self._taint(node)
        ready = condition(node, "Ready")
        if ready is not None and ready["status"] != "True":
            await self._pods_not_ready(node)

    async def _never_reported(self, node: Obj) -> Obj:
        conditions = list(status_of(node).get("conditions") or ())
        for kind in _REPORTED:
            if condition(node, kind) is None:
                new = {
                    "type": kind,
                    "status": "Unknown",
                    "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                    "lastTransitionTime": stamp(),
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                }
                conditions = set_condition(conditions, new)
        return await self.write.update_status(NODES, node, {**status_of(node), "conditions": conditions})

    async def _taint(self, node: Obj) -> None:
        """Bring the taints of conditions in line with them; all others stay."""
        wanted = [
            (_TAINTS[kind], "NoSchedule")
            for item in status_of(node).get("conditions") or ()
            if (kind := (item["type"], item["status"])) in _TAINTS
        ]
        if (node.get("spec") or {}).get("unschedulable"):
            wanted.append((_UNSCHEDULABLE, "NoSchedule"))
        if any(condition_true(other, "Ready") for other in self.nodes.all()):
            # Where no node at all is ready, it is more likely the control plane that does not see them: nobody is evicted.
            wanted += [(key, "NoExecute") for key, _ in wanted if key in (_NOT_READY, _UNREACHABLE)]
        taints = (node.get("spec") or {}).get("taints") or []
        kept = [t for t in taints if (t["key"], t["effect"]) not in _OWN or (t["key"], t["effect"]) in wanted]
        there = {(t["key"], t["effect"]) for t in kept}
        moment = stamp()
        new = [
            {"key": key, "effect": effect, "timeAdded": moment} for key, effect in wanted if (key, effect) not in there
        ]
        if new or len(kept) != len(taints):
            # With the version, so that nobody's taint gets lost: a conflict is tried again.
            patch = {
                "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                "spec": {"taints": [*kept, *new] or None},
            }
            await self.write.patch(NODES, node, patch)

    async def _pods_not_ready(self, node: Obj) -> None:
        """A node that does not answer for its pods has none that are ready."""
        told = False
        for pod in self.pods.by_index("node", name_of(node)):
            ready = condition(pod, "Ready")
            if ready is None or ready["status"] != "True":
                continue
            if not told:
                told = True
                text = f"Node {name_of(node)} status is now: NodeNotReady"
                self.recorder.event(node, "Normal", "NodeNotReady", text)
            new = {**ready, "status": "False", "lastTransitionTime": stamp()}
            conditions = set_condition(list(status_of(pod)["conditions"]), new, keep_transition=False)
            self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")
            try:
                await self.write.update_status(PODS, pod, {**status_of(pod), "conditions": conditions})
            except ApiException as error:
                if not error.not_found:
                    raise
