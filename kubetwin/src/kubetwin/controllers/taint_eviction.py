# SPDX-License-Identifier: Apache-2.0
"""Deletes pods from nodes with NoExecute taints that they do not tolerate, or not for longer.

Facts: pkg/controller/tainteviction.
"""

from __future__ import annotations

import asyncio

from kubetwin.client import STRATEGIC_PATCH, ApiException, Obj
from kubetwin.controllers import scheduling
from kubetwin.controllers.base import Controller
from kubetwin.informer import key_of, split_key
from kubetwin.kinds import NODES, PODS
from kubetwin.meta import deleting, name_of, node_index, stamp, uid_of


class TaintEvictionController(Controller):
    name = "taint-eviction"

    def setup(self) -> None:
        self._since: dict[str, float] = {}
        """When a pod's time on its tainted node began, by key; on the loop's clock."""
        self.nodes = self.inform(NODES)
        self.pods = self.inform(PODS)
        self.pods.add_index("node", node_index)
        self.nodes.add_handler(self._node_changed)
        self.pods.add_handler(self._pod_changed)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None and _no_execute(old) != _no_execute(new):
            for pod in self.pods.by_index("node", name_of(new)):
                self.queue.add(key_of(pod))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        key = key_of(pod)
        if new is None:
            self._since.pop(key, None)
        elif key in self._since or _no_execute(self.nodes.get(new["spec"].get("nodeName") or "")):
            same = old is not None and old["spec"] == new["spec"]
            if not same:
                self.queue.add(key)

    async def sync(self, key: str) -> None:
        namespace, name = split_key(key)
        pod = self.pods.get(name, namespace)
        if pod is None or deleting(pod) or not pod["spec"].get("nodeName"):
            self._since.pop(key, None)
            return
        seconds = _tolerated(pod, _no_execute(self.nodes.get(pod["spec"]["nodeName"])))
        if seconds is None:
            if self._since.pop(key, None) is not None:
                self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return
        now = asyncio.get_running_loop().time()
        left = self._since.setdefault(key, now) + seconds - now
        if left > 0:
            self.queue.add_after(key, left)
            return
        await self._evict(key, pod)
        self._since.pop(key, None)

    async def _evict(self, key: str, pod: Obj) -> None:
        self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        why = {
            "type": "DisruptionTarget",
            "observedGeneration": pod["metadata"].get("generation"),
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": stamp(),
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [why]}}
        try:
            await self.write.patch(PODS, pod, patch, content_type=STRATEGIC_PATCH, subresource="status")
        except ApiException as error:
            if error.not_found or error.conflict:
                return
            raise
        await self.write.delete(PODS, pod)


def _no_execute(node: Obj | None) -> list[Obj]:
    taints = ((node or {}).get("spec") or {}).get("taints") or ()
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


def _tolerated(pod: Obj, taints: list[Obj]) -> float | None:
    """The seconds that a pod may stay: 0 when a taint is not tolerated, None for ever."""
    shortest: float | None = None
    for taint in taints:
        used = next((t for t in pod["spec"].get("tolerations") or () if scheduling.tolerates([t], taint)), None)
        if used is None:
            return 0
        if (limit := used.get("tolerationSeconds")) is not None:
            shortest = max(0, limit) if shortest is None else min(shortest, max(0, limit))
    return shortest
