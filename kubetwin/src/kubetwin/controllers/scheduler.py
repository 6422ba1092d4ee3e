# SPDX-License-Identifier: Apache-2.0
"""Binds pods to nodes by resource requests, selectors, taints and volumes (facts: pkg/scheduler).

A pod that does not fit waits until something that could help it changes: a node, a pod that leaves, a claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kubetwin.client import STRATEGIC_PATCH, ApiException, Obj
from kubetwin.controllers import scheduling
from kubetwin.controllers.base import Controller
from kubetwin.controllers.volumes import SELECTED_NODE, add_claim_index, claims_of
from kubetwin.informer import key_of, split_key
from kubetwin.kinds import NODES, PODS, PVCS, PVS, STORAGECLASSES
from kubetwin.meta import (
    annotations_of,
    condition,
    controller_of,
    deleting,
    name_of,
    namespace_of,
    node_selector_term,
    pod_ended,
    stamp,
    status_of,
    uid_of,
)

_NAME = "default-scheduler"


@dataclass(slots=True)
class _Node:
    """What runs on a node, kept up to date by pod events."""

    used: dict[str, int] = field(default_factory=dict)
    pods: dict[str, tuple[dict[str, int], str, set[tuple[str, int]]]] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)

    def add(self, uid: str, wanted: dict[str, int], owner: str, ports: set[tuple[str, int]]) -> None:
        if uid in self.pods:
            return
        self.pods[uid] = (wanted, owner, ports)
        for key, value in wanted.items():
            self.used[key] = self.used.get(key, 0) + value
        self.owners[owner] = self.owners.get(owner, 0) + 1

    def remove(self, uid: str) -> bool:
        found = self.pods.pop(uid, None)
        if found is None:
            return False
        wanted, owner, _ = found
        for key, value in wanted.items():
            self.used[key] -= value
        self.owners[owner] -= 1
        if not self.owners[owner]:
            del self.owners[owner]
        return True

    @property
    def ports(self) -> set[tuple[str, int]]:
        return {p for _, _, ports in self.pods.values() for p in ports}


class SchedulerController(Controller):
    name = "scheduler"
    component = _NAME
    user_agent = "kube-scheduler"
    series = True

    def setup(self) -> None:
        self._usage: dict[str, _Node] = {}
        self._allocatable: dict[str, tuple[str, dict[str, int]]] = {}
        self._waiting: set[str] = set()
        add_claim_index(self.ctx)
        self.nodes = self.inform(NODES)
        self.nodes.add_handler(self._node_changed)
        self.claims = self.inform(PVCS)
        self.claims.add_handler(self._claim_changed)
        self.volumes = self.inform(PVS)
        self.classes = self.inform(STORAGECLASSES)
        self.pods = self.inform(PODS)
        self.pods.add_handler(self._pod_changed)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None:
            # Heartbeats change only conditions, which don't matter here.
            keep = ("labels",)
            if (
                (old.get("spec") or {}) == (new.get("spec") or {})
                and [old["metadata"].get(k) for k in keep] == [new["metadata"].get(k) for k in keep]
                and status_of(old).get("allocatable") == status_of(new).get("allocatable")
            ):
                return
        self._retry()

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> None:
        for pod in self.pods.by_index("claim", key_of(new or old or {})):
            if not pod["spec"].get("nodeName"):
                self._waiting.discard(key_of(pod))
                self.queue.add(key_of(pod))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        node = pod["spec"].get("nodeName")
        occupies = new is not None and bool(node) and not pod_ended(new)
        if occupies:
            if old is None or not old["spec"].get("nodeName"):
                self._assume(pod, node)
            return
        if node:
            usage = self._usage.get(node)
            if usage is not None and usage.remove(uid_of(pod)):
                self._retry()
            return
        key = key_of(pod)
        if new is None:
            self._waiting.discard(key)
        elif not deleting(new) and (new["spec"].get("schedulerName") or _NAME) == _NAME:
            changed = (
                old is None
                or old["spec"] != new["spec"]
                or old["metadata"].get("labels") != new["metadata"].get("labels")
            )
            if changed or key not in self._waiting:
                self._waiting.discard(key)
                self.queue.add(key)

    def _retry(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for key in waiting:
            self.queue.add(key)

    def _assume(self, pod: Obj, node: str) -> None:
        owner = controller_of(pod)
        usage = self._usage.setdefault(node, _Node())
        usage.add(
            uid_of(pod), scheduling.requests(pod), owner["uid"] if owner else uid_of(pod), scheduling.host_ports(pod)
        )

    # -- one pod ---------------------------------------------------------------------------------------------------

    async def sync(self, key: str) -> None:
        namespace, name = split_key(key)
        pod = self.pods.get(name, namespace)
        if pod is None or pod["spec"].get("nodeName") or deleting(pod):
            return
        if (pod["spec"].get("schedulerName") or _NAME) != _NAME:
            return
        if pod["spec"].get("schedulingGates"):
            return
        node, message = self._choose(pod)
        if node is None:
            self._waiting.add(key)
            await self._unschedulable(pod, message)
            return
        # Taken at once, so that the next pod does not count on the same room.
        self._assume(pod, node)
        try:
            if not await self._claims_bound(pod, node):
                self._usage[node].remove(uid_of(pod))
                self._waiting.add(key)
                return
            await self._bind(pod, node)
        except ApiException as error:
            self._usage[node].remove(uid_of(pod))
            if error.not_found:
                return
            raise

    def _choose(self, pod: Obj) -> tuple[str | None, str]:
        """(node, "") or (None, why)."""
        nodes = self.nodes.all()
        problem, pinned = self._volume_problem(pod)
        if problem:
            # The odd end is what 1.36 says there: a later plugin misses state that the failed one should have left.
            return None, f"0/{len(nodes)} nodes are available: {problem}. not found"
        wanted = scheduling.requests(pod)
        ports = scheduling.host_ports(pod)
        owner = controller_of(pod)
        owner_uid = owner["uid"] if owner else uid_of(pod)
        reasons: dict[str, int] = {}
        unresolvable = 0
        best: tuple[tuple[int, int, str], str] | None = None
        for node in nodes:
            rejection = scheduling.node_rejection(pod, node)
            if rejection is None and pinned and not all(_volume_fits(v, node) for v in pinned):
                rejection = "node(s) didn't match PersistentVolume's node affinity"
            if rejection is not None:
                reasons[rejection] = reasons.get(rejection, 0) + 1
                unresolvable += 1
                continue
            usage = self._usage.get(name_of(node)) or _Node()
            room = self._room(node)
            short = scheduling.shortages(wanted, usage.used, len(usage.pods), room)
            if ports and ports & usage.ports:
                short.insert(0, scheduling.PORTS)
            if short:
                for reason in short:
                    reasons[reason] = reasons.get(reason, 0) + 1
                if any(value > room.get(key, 0) for key, value in wanted.items()):
                    unresolvable += 1
                continue
            rank = (usage.owners.get(owner_uid, 0), self._load(usage, wanted, room), name_of(node))
            if best is None or rank < best[0]:
                best = (rank, name_of(node))
        if best is not None:
            return best[1], ""
        if not nodes:
            return None, "no nodes available to schedule pods"
        detail = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        helpless = _preemption(len(nodes), unresolvable)
        return None, f"0/{len(nodes)} nodes are available: {detail}. {helpless}"

    def _room(self, node: Obj) -> dict[str, int]:
        version = str(node["metadata"].get("resourceVersion"))
        cached = self._allocatable.get(name_of(node))
        if cached is None or cached[0] != version:
            cached = self._allocatable[name_of(node)] = (version, scheduling.allocatable(node))
        return cached[1]

    @staticmethod
    def _load(usage: _Node, wanted: dict[str, int], room: dict[str, int]) -> int:
        """Thousandths of the scarcer of CPU and memory in use; nodes in use least come first."""
        parts = [
            1000 * (usage.used.get(key, 0) + wanted.get(key, 0)) // room[key]
            for key in ("cpu", "memory")
            if room.get(key)
        ]
        return max(parts, default=0) + len(usage.pods)

    def _volume_problem(self, pod: Obj) -> tuple[str, list[Obj]]:
        """(why no node will do, volumes that decide which node)."""
        pinned: list[Obj] = []
        for key in claims_of(pod):
            namespace, name = split_key(key)
            claim = self.claims.get(name, namespace)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found', []
            if deleting(claim):
                return f'persistentvolumeclaim "{name}" is being deleted', []
            if status_of(claim).get("phase") == "Lost":
                volume_name = claim["spec"].get("volumeName")
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume_name}"', []
            if claim["spec"].get("volumeName"):
                volume = self.volumes.get(claim["spec"]["volumeName"])
                if volume is not None and volume["spec"].get("nodeAffinity"):
                    pinned.append(volume)
                if status_of(claim).get("phase") == "Bound":
                    continue
            storage_class = self.classes.get(claim["spec"].get("storageClassName") or "")
            if storage_class is None or storage_class.get("volumeBindingMode") != "WaitForFirstConsumer":
                return "pod has unbound immediate PersistentVolumeClaims", []
        return "", pinned

    async def _claims_bound(self, pod: Obj, node: str) -> bool:
        """Tell claims that wait for their first consumer the node; their binding brings the pod back here."""
        bound = True
        for key in claims_of(pod):
            namespace, name = split_key(key)
            claim = self.claims.get(name, namespace)
            if claim is None or status_of(claim).get("phase") == "Bound":
                continue
            bound = False
            if annotations_of(claim).get(SELECTED_NODE) != node:
                await self.write.patch(PVCS, claim, {"metadata": {"annotations": {SELECTED_NODE: node}}})
        return bound

    async def _bind(self, pod: Obj, node: str) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await self.write.api.create(PODS, binding, namespace_of(pod), name=name_of(pod), subresource="binding")
        text = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
        self.recorder.event(pod, "Normal", "Scheduled", text)

    async def _unschedulable(self, pod: Obj, message: str) -> None:
        self.recorder.event(pod, "Warning", "FailedScheduling", message)
        current = condition(pod, "PodScheduled")
        if current is not None and current["status"] == "False" and current.get("message") == message:
            return
        new: Obj = {
            "type": "PodScheduled",
            "status": "False",
            "observedGeneration": pod["metadata"].get("generation"),
            "lastProbeTime": None,
            "lastTransitionTime": (
                current["lastTransitionTime"] if current is not None and current["status"] == "False" else stamp()
            ),
            "reason": "Unschedulable",
            "message": message,
        }
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [new]}}
        try:
            await self.write.patch(PODS, pod, patch, content_type=STRATEGIC_PATCH, subresource="status")
        except ApiException as error:
            if not error.not_found and not error.conflict:
                raise


def _volume_fits(volume: Obj, node: Obj) -> bool:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    return any(node_selector_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _preemption(count: int, unresolvable: int) -> str:
    """What the default preemption plugin finds; it never finds a victim here, as priorities are not simulated."""
    found = []
    if count - unresolvable:
        found.append(f"{count - unresolvable} No preemption victims found for incoming pod")
    if unresolvable:
        found.append(f"{unresolvable} Preemption is not helpful for scheduling")
    detail = ", ".join(sorted(found))
    return f"no new claims to deallocate, preemption: 0/{count} nodes are available: {detail}."
