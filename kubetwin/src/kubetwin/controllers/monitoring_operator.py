# SPDX-License-Identifier: Apache-2.0
"""An operator as prometheus-operator is: custom resources become StatefulSets, while a pod of it runs.

It works as long as some ready pod runs an image called ``prometheus-operator``; a broken image of it changes nothing of what it
made before. Facts: prometheus-operator pkg/prometheus/server/operator.go (sync, paused, the StatefulSet deleted and made anew when
an immutable field changes), pkg/operator/status.go (conditions Available and Reconciled with observedGeneration),
cmd/operator/main.go (``--prometheus-config-reloader``, ``--repair-policy-for-statefulsets``).
"""

from __future__ import annotations

import asyncio

from kubetwin.client import ApiException, Obj, Resource
from kubetwin.controllers.base import Context, Controller
from kubetwin.controllers.discovery import of_crd
from kubetwin.controllers.monitoring_objects import (
    GROUP,
    KINDS,
    OPERATOR,
    Made,
    Refused,
    checked,
    configuration,
    governing_service,
    input_hash,
    set_name,
    stateful_set,
)
from kubetwin.informer import Informer, key_of
from kubetwin.kinds import CRDS, PODS, SECRETS, SERVICES, STATEFULSETS
from kubetwin.meta import (
    condition,
    controller_of,
    deleting,
    name_of,
    namespace_of,
    pod_ready,
    set_condition,
    stamp,
    status_of,
    uid_of,
)

_RELOADER = "quay.io/prometheus-operator/prometheus-config-reloader:v0.72.0"


class MonitoringOperator(Controller):
    """Reconciles what has a definition, once that is established."""

    name = "monitoring-operator"
    component = "prometheus-operator"
    user_agent = "PrometheusOperator"

    def __init__(self, ctx: Context) -> None:
        self._resources: dict[str, tuple[Resource, Informer, asyncio.Task[None]]] = {}
        self._running: frozenset[str] = frozenset()
        super().__init__(ctx)

    def setup(self) -> None:
        self.definitions = self.inform(CRDS)
        self.definitions.add_handler(self._definition_changed)
        self.sets = self.inform(STATEFULSETS)
        self.sets.add_handler(self._set_changed)
        self.ctx.pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            tasks = [task for _, _, task in self._resources.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # what happens in the cluster

    def _definition_changed(self, old: Obj | None, new: Obj | None) -> None:
        about = new or old or {}
        kind = about["spec"]["names"]["kind"]
        if about["spec"]["group"] != GROUP or kind not in KINDS:
            return
        resource = of_crd(new) if new is not None else None
        known = self._resources.get(kind)
        if resource is None:
            if known is not None and new is None:
                known[2].cancel()
                del self._resources[kind]
            return
        if known is None:
            informer = Informer(self.write.api, resource)
            informer.add_handler(lambda old, new: self.queue.add(f"{kind}/{key_of(new or old or {})}"))
            task = asyncio.get_running_loop().create_task(informer.run(), name=f"operator {resource.plural}")
            self._resources[kind] = (resource, informer, task)

    def _set_changed(self, old: Obj | None, new: Obj | None) -> None:
        owner = controller_of(new or old or {})
        if owner is not None and owner["kind"] in KINDS:
            self.queue.add(f"{owner['kind']}/{namespace_of(new or old or {})}/{owner['name']}")

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old or {}
        if _operator(pod) is not None:
            running = {
                uid_of(each)
                for each in self.ctx.pods.all()
                if _operator(each) and pod_ready(each) and not deleting(each)
            }
            if running - self._running:
                # A new process of it looks at everything once.
                for kind, (_, informer, _) in self._resources.items():
                    for obj in informer.all():
                        self.queue.add(f"{kind}/{key_of(obj)}")
            self._running = frozenset(running)
            return
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == "StatefulSet":
            above = self.sets.get(owner["name"], namespace_of(pod))
            if above is not None:
                self._set_changed(None, above)

    # one resource

    async def sync(self, key: str) -> None:
        kind, namespace, name = key.split("/")
        if kind not in self._resources or not self._running:
            return
        resource, informer, _ = self._resources[kind]
        found = informer.get(name, namespace)
        if found is None or deleting(found):
            return
        obj = {"apiVersion": resource.api_version, "kind": kind, **found}
        made = KINDS[kind]
        if (obj.get("spec") or {}).get("paused"):
            await self._tell(resource, made, obj, "Unknown", "StatefulSetPaused", "reconciliation is paused")
            return
        try:
            checked(obj)
            await self._ensure(SERVICES, governing_service(made, obj))
            await self._ensure(SECRETS, configuration(made, obj))
            await self._stateful_set(made, obj)
        except Refused as refused:
            self.recorder.event(obj, "Warning", "ReconciliationFailed", str(refused))
            await self._tell(resource, made, obj, "False", "ReconciliationFailed", str(refused))
            return
        await self._repair(made, obj)
        await self._tell(resource, made, obj, "True", "", "")

    async def _ensure(self, resource: Resource, wanted: Obj) -> None:
        try:
            await self.write.create(resource, wanted)
        except ApiException as error:
            if not error.already_exists:
                raise

    async def _stateful_set(self, made: Made, obj: Obj) -> None:
        wanted = stateful_set(made, obj, self._argument("prometheus-config-reloader") or _RELOADER)
        live = self.sets.get(set_name(made, obj), namespace_of(obj))
        if live is None:
            await self._ensure(STATEFULSETS, wanted)
            return
        if deleting(live) or input_hash(live) == input_hash(wanted):
            return
        body = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}
        try:
            await self.write.replace(STATEFULSETS, body)
        except ApiException as error:
            if error.code != 422:
                raise
            # An immutable field, such as the size of a claim: the set is made anew, its claims stay.
            await self.write.delete(STATEFULSETS, live, propagation="Foreground")

    async def _repair(self, made: Made, obj: Obj) -> None:
        """Pods of an earlier revision that do not get ready are deleted, if the operator was told so."""
        policy = self._argument("repair-policy-for-statefulsets") or "none"
        live = self.sets.get(set_name(made, obj), namespace_of(obj))
        if live is None or policy not in ("delete", "evict"):
            return
        update = status_of(live).get("updateRevision")
        for pod in self._pods(live):
            stale = (pod["metadata"].get("labels") or {}).get("controller-revision-hash") != update
            if stale and not pod_ready(pod) and not deleting(pod):
                await self.write.delete(PODS, pod)

    def _pods(self, live: Obj) -> list[Obj]:
        return [pod for pod in self.ctx.pods.by_index("owner", uid_of(live)) if not deleting(pod)]

    async def _tell(self, resource: Resource, made: Made, obj: Obj, reconciled: str, reason: str, message: str) -> None:
        """Its status: replicas, and the conditions Available and Reconciled of this generation."""
        live = self.sets.get(set_name(made, obj), namespace_of(obj))
        pods = self._pods(live) if live is not None else []
        wanted = (obj.get("spec") or {}).get("replicas", 1)
        ready = [pod for pod in pods if pod_ready(pod)]
        update = status_of(live).get("updateRevision") if live is not None else None
        updated = [p for p in pods if (p["metadata"].get("labels") or {}).get("controller-revision-hash") == update]
        available = "True" if len(ready) >= wanted else "Degraded" if ready else "False"
        why = {"True": "", "Degraded": "SomePodsNotReady", "False": "NoPodReady"}[available]
        generation = obj["metadata"].get("generation", 1)
        conditions = list((status_of(obj).get("conditions")) or ())
        for kind, status, because, text in (
            ("Available", available, why, _unready(pods)),
            ("Reconciled", reconciled, reason, message),
        ):
            before = condition({"conditions": conditions}, kind)
            changed = before is None or before.get("status") != status
            conditions = set_condition(
                conditions,
                {
                    "type": kind,
                    "status": status,
                    "reason": because,
                    "message": text,
                    "observedGeneration": generation,
                    "lastTransitionTime": stamp() if changed or before is None else before.get("lastTransitionTime"),
                },
            )
        body = {
            **status_of(obj),
            "paused": bool((obj.get("spec") or {}).get("paused")),
            "replicas": len(pods),
            "updatedReplicas": len(updated),
            "availableReplicas": len(ready),
            "unavailableReplicas": max(0, len(pods) - len(ready)),
            "conditions": conditions,
        }
        if body != status_of(obj):
            answer = await self.write.update_status(resource, obj, body)
            self._resources[made.kind][1].observe(answer)

    def _argument(self, name: str) -> str:
        """A flag of the running operator."""
        for pod in self.ctx.pods.all():
            if uid_of(pod) in self._running:
                for word in (_operator(pod) or {}).get("args") or ():
                    flag, _, value = str(word).partition("=")
                    if flag == f"--{name}":
                        return value
        return ""


def _operator(pod: Obj) -> Obj | None:
    """The container of an operator."""
    for container in (pod.get("spec") or {}).get("containers") or ():
        if str(container.get("image", "")).rpartition("/")[2].partition("@")[0].partition(":")[0] == OPERATOR:
            return dict(container)
    return None


def _unready(pods: list[Obj]) -> str:
    """Why pods are not ready, as the operator's condition says it."""
    told = []
    for pod in sorted(pods, key=name_of):
        if pod_ready(pod):
            continue
        for status in status_of(pod).get("containerStatuses") or ():
            waiting = (status.get("state") or {}).get("waiting") or {}
            if waiting:
                told.append(f"pod {name_of(pod)}: containers with incomplete status: [{status['name']}]")
                break
    return "\n".join(told)
