# SPDX-License-Identifier: Apache-2.0
"""DaemonSets: one pod on each node that qualifies (facts: pkg/controller/daemon)."""

from __future__ import annotations

from kubetwin.client import Obj
from kubetwin.controllers.history import RevisionedController
from kubetwin.controllers.refs import pod_from_template
from kubetwin.controllers.scheduling import matches_affinity, untolerated
from kubetwin.controllers.workload import Attempt, min_ready_seconds
from kubetwin.informer import key_of
from kubetwin.kinds import DAEMONSETS, NODES, PODS
from kubetwin.meta import (
    annotations_of,
    deleting,
    labels_of,
    name_of,
    now,
    pod_available,
    pod_ended,
    pod_phase,
    pod_ready,
    scaled_value,
    status_of,
)

HASH_LABEL = "controller-revision-hash"
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_TOLERATIONS = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class DaemonSetController(RevisionedController):
    name = "daemonset"
    resource = DAEMONSETS
    hash_label = HASH_LABEL

    def setup(self) -> None:
        super().setup()
        self.nodes = self.inform(NODES)
        self.nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None:
            same_spec = (old.get("spec") or {}) == (new.get("spec") or {})
            if same_spec and labels_of(old) == labels_of(new):
                return
        for ds in self.objects.all():
            self.queue.add(key_of(ds))

    async def reconcile(self, obj: Obj) -> None:
        selector = obj["spec"].get("selector") or {}
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            self.recorder.event(obj, "Warning", "SelectingAll", text)
            return
        revisions = await self.owned_revisions(obj)
        update, collisions = await self.present_revision(obj, revisions)
        digest = labels_of(update)[HASH_LABEL]
        with Attempt() as attempt:
            await self._manage(obj, await self._pods_by_node(obj), digest)
            if (obj["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate":
                await self._roll(obj, await self._pods_by_node(obj), digest)
            live = {labels_of(p).get(HASH_LABEL) for p in await self._own_pods(obj)}
            names = {name_of(r) for r in revisions if labels_of(r).get(HASH_LABEL) in live}
            await self.truncate(obj, revisions, update, names)
        # Pods that are refused don't keep the status back: syncDaemonSet updates it, observedGeneration included, before
        # it returns the error (since 1.27).
        by_node = await self._pods_by_node(obj)
        await self.write_status(obj, self._status(obj, by_node, digest, collisions))
        attempt.settle()
        self.look_again(obj, [pod for on_node in by_node.values() for pod in on_node])

    async def _own_pods(self, ds: Obj) -> list[Obj]:
        return [pod for on_node in (await self._pods_by_node(ds)).values() for pod in on_node]

    async def _pods_by_node(self, ds: Obj) -> dict[str, list[Obj]]:
        pods = await self.claim(self.pods, PODS, ds)
        by_node: dict[str, list[Obj]] = {}
        for pod in sorted(pods, key=lambda p: (p["metadata"].get("creationTimestamp") or "", name_of(p))):
            by_node.setdefault(target_node(pod), []).append(pod)
        return by_node

    # -- which pods on which nodes ---------------------------------------------------------------------------------

    async def _manage(self, ds: Obj, by_node: dict[str, list[Obj]], digest: str) -> None:
        needing: list[str] = []
        doomed: list[Obj] = []
        known = set()
        for node in self.nodes.all():
            node_name = name_of(node)
            known.add(node_name)
            run, stay = should_run(ds, node)
            pods = by_node.get(node_name, [])
            if run and not pods:
                needing.append(node_name)
            elif stay and pods:
                more, less = self._on_node(ds, pods, digest)
                doomed.extend(less)
                if more and run:
                    needing.append(node_name)
            elif not stay:
                doomed.extend(p for p in pods if not deleting(p))
        for node_name, pods in by_node.items():
            if node_name not in known:
                doomed.extend(p for p in pods if not deleting(p))
        await self._apply(ds, needing, doomed, digest)

    def _on_node(self, ds: Obj, pods: list[Obj], digest: str) -> tuple[bool, list[Obj]]:
        """(a pod is missing, pods to delete) for a node that should keep running the daemon."""
        doomed: list[Obj] = []
        running: list[Obj] = []
        for pod in pods:
            if deleting(pod):
                continue
            phase = pod_phase(pod)
            if pod_ended(pod):
                kind, reason = ("Warning", "FailedDaemonPod") if phase == "Failed" else ("Normal", "SucceededDaemonPod")
                action = "try to kill it" if phase == "Failed" else "try to delete it"
                where = f"{pod['metadata']['namespace']}/{name_of(pod)} on node {target_node(pod)}"
                self.recorder.event(ds, kind, reason, f"Found {phase.lower()} daemon pod {where}, will {action}")
                doomed.append(pod)
            else:
                running.append(pod)
        if _surge(ds, 1) == 0:
            return False, doomed + running[1:]
        if not running:
            return True, doomed
        fresh = [p for p in running if labels_of(p).get(HASH_LABEL) == digest]
        stale = [p for p in running if labels_of(p).get(HASH_LABEL) != digest]
        doomed += fresh[1:] + stale[1:]
        if fresh and stale and (not pod_ready(stale[0]) or pod_available(fresh[0], min_ready_seconds(ds))):
            doomed.append(stale[0])
        return False, doomed

    async def _roll(self, ds: Obj, by_node: dict[str, list[Obj]], digest: str) -> None:
        desired = sum(1 for node in self.nodes.all() if should_run(ds, node)[0])
        surge = _surge(ds, desired)
        rolling = (ds["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        budget = scaled_value(rolling.get("maxUnavailable", 1), desired, round_up=True)
        if surge == 0 and budget == 0:
            budget = 1
        busy = 0
        replace: list[Obj] = []
        candidates: list[Obj] = []
        add: list[str] = []
        surge_candidates: list[str] = []
        for node_name, pods in by_node.items():
            alive = [p for p in pods if not deleting(p)]
            fresh = [p for p in alive if labels_of(p).get(HASH_LABEL) == digest]
            stale = [p for p in alive if labels_of(p).get(HASH_LABEL) != digest]
            if len(fresh) > 1 or len(stale) > 1:
                busy += 1
            elif surge:
                if stale and fresh:
                    if pod_available(fresh[0], min_ready_seconds(ds)):
                        replace.append(stale[0])
                    else:
                        busy += 1
                elif stale and not pod_available(stale[0], min_ready_seconds(ds)):
                    add.append(node_name)
                elif stale:
                    surge_candidates.append(node_name)
            elif bool(fresh) == bool(stale):
                busy += 1
            elif fresh:
                busy += 0 if pod_available(fresh[0], min_ready_seconds(ds)) else 1
            elif not pod_available(stale[0], min_ready_seconds(ds)):
                replace.append(stale[0])
                busy += 1
            else:
                candidates.append(stale[0])
        if surge:
            add += surge_candidates[: max(0, surge - busy)]
        else:
            replace += candidates[: max(0, budget - busy)]
        await self._apply(ds, add, replace, digest)

    async def _apply(self, ds: Obj, nodes: list[str], doomed: list[Obj], digest: str) -> None:
        await self.create_pods(ds, len(nodes), lambda index: self._new_pod(ds, nodes[index], digest))
        await self.delete_pods(ds, doomed)

    def _new_pod(self, ds: Obj, node_name: str, digest: str) -> Obj:
        pod = pod_from_template(ds["spec"]["template"], ds)
        labels = pod["metadata"].setdefault("labels", {})
        labels[HASH_LABEL] = digest
        generation = annotations_of(ds).get(_TEMPLATE_GENERATION)
        if generation:
            labels["pod-template-generation"] = generation
        spec = pod["spec"]
        wanted = {"key": "metadata.name", "operator": "In", "values": [node_name]}
        affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
        terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or [{}]
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{**term, "matchFields": [wanted]} for term in terms]
        }
        spec["tolerations"] = daemon_tolerations(spec)
        return pod

    def _status(self, ds: Obj, by_node: dict[str, list[Obj]], digest: str, collisions: int) -> Obj:
        desired = current = misscheduled = ready = available = updated = 0
        moment = now()
        for node in self.nodes.all():
            run, _ = should_run(ds, node)
            pods = by_node.get(name_of(node), [])
            if not run:
                misscheduled += bool(pods)
                continue
            desired += 1
            if not pods:
                continue
            current += 1
            pod = pods[0]
            if pod_ready(pod):
                ready += 1
                available += pod_available(pod, min_ready_seconds(ds), moment)
            # The newest revision counts, on whichever of two pods it is.
            updated += any(labels_of(p).get(HASH_LABEL) == digest for p in pods[:1])
        status: Obj = {
            "currentNumberScheduled": current,
            "numberMisscheduled": misscheduled,
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "observedGeneration": ds["metadata"].get("generation", 0),
        }
        optional = {
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
            "numberUnavailable": desired - available,
        }
        status.update({k: v for k, v in optional.items() if v})
        before = status_of(ds)
        if collisions or before.get("collisionCount") is not None:
            status["collisionCount"] = collisions
        if before.get("conditions"):
            status["conditions"] = before["conditions"]
        return status


def _surge(ds: Obj, desired: int) -> int:
    strategy = ds["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return 0
    return scaled_value((strategy.get("rollingUpdate") or {}).get("maxSurge"), desired, round_up=True)


def daemon_tolerations(spec: Obj) -> list[Obj]:
    """The template's tolerations and those that every daemon has."""
    wanted = list(_TOLERATIONS)
    if spec.get("hostNetwork"):
        wanted.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    out = list(spec.get("tolerations") or ())
    for key, effect in wanted:
        toleration = {"key": key, "operator": "Exists", "effect": effect}
        if toleration not in out:
            out.append(toleration)
    return out


def target_node(pod: Obj) -> str:
    """The node a daemon's pod runs on, or is pinned to while it waits for the scheduler."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and field.get("values"):
                return str(field["values"][0])
    return ""


def should_run(ds: Obj, node: Obj) -> tuple[bool, bool]:
    """(should run here, may continue to run here)."""
    spec = ds["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != name_of(node):
        return False, False
    if not matches_affinity(spec, node):
        return False, False
    tolerations = daemon_tolerations(spec)
    if untolerated(tolerations, node) is not None:
        return False, untolerated(tolerations, node, ("NoExecute",)) is None
    return True, True
