# SPDX-License-Identifier: Apache-2.0
"""Rollouts of Argo Rollouts, while a pod of its controller runs: canaries by their steps, and blue-green.

Facts: argo-rollouts rollout/controller.go and sync.go (ReplicaSets named after the template's hash, with a revision that rises when
an earlier one comes back; a change of the template ends pauses and aborts; back to the stable template without steps),
utils/conditions (Available, Progressing, Healthy, Completed).
"""

from __future__ import annotations

import asyncio

from kubetwin.client import Obj, Resource
from kubetwin.controllers.base import Context, Controller
from kubetwin.controllers.discovery import of_crd
from kubetwin.controllers.rollout_math import (
    DEADLINE,
    HASH,
    REVISION,
    Progress,
    advance,
    available,
    find,
    hash_of,
    phase,
    plain,
    reset,
    revision_of,
    steps_of,
    template_hash,
)
from kubetwin.informer import Informer, key_of
from kubetwin.kinds import CRDS, REPLICASETS, SERVICES
from kubetwin.meta import (
    age_seconds,
    canonical_json,
    condition,
    controller_of,
    deleting,
    fnv32a,
    name_of,
    namespace_of,
    new_condition,
    owner_index,
    owner_reference,
    pod_ready,
    safe_encode,
    set_condition,
    stamp,
    status_of,
    uid_of,
)

GROUP, KIND = "argoproj.io", "Rollout"
IMAGE = "argo-rollouts"


class RolloutController(Controller):
    """Reconciles Rollouts once their definition is established."""

    name = "rollouts"
    component = "rollouts-controller"
    user_agent = "rollouts-controller"

    def __init__(self, ctx: Context) -> None:
        self._served: tuple[Resource, Informer, asyncio.Task[None]] | None = None
        self._running = False
        super().__init__(ctx)

    def setup(self) -> None:
        self.inform(CRDS).add_handler(self._definition_changed)
        self.sets = self.inform(REPLICASETS)
        self.sets.add_index("owner", owner_index)
        self.sets.add_handler(self._set_changed)
        self.ctx.pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            if self._served is not None:
                self._served[2].cancel()
                await asyncio.gather(self._served[2], return_exceptions=True)

    def _definition_changed(self, old: Obj | None, new: Obj | None) -> None:
        about = new or old or {}
        if about["spec"]["group"] != GROUP or about["spec"]["names"]["kind"] != KIND:
            return
        resource = of_crd(new) if new is not None else None
        if resource is None:
            if self._served is not None and new is None:
                self._served[2].cancel()
                self._served = None
            return
        if self._served is None:
            informer = Informer(self.write.api, resource)
            informer.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
            self._served = (resource, informer, asyncio.get_running_loop().create_task(informer.run()))

    def _set_changed(self, old: Obj | None, new: Obj | None) -> None:
        owner = controller_of(new or old or {})
        if owner is not None and owner["kind"] == KIND:
            self.queue.add(f"{namespace_of(new or old or {})}/{owner['name']}")

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if not _of_controller(new or old or {}):
            return
        before = self._running
        self._running = any(_of_controller(p) and pod_ready(p) and not deleting(p) for p in self.ctx.pods.all())
        if self._running and not before and self._served is not None:
            for obj in self._served[1].all():
                self.queue.add(key_of(obj))

    async def sync(self, key: str) -> None:
        namespace, name = key.split("/")
        if self._served is None or not self._running:
            return
        resource, informer, _ = self._served
        found = informer.get(name, namespace)
        if found is None or deleting(found) or not (found.get("spec") or {}).get("template"):
            return
        rollout = {"apiVersion": resource.api_version, "kind": KIND, **found}
        sets = [one for one in self.sets.by_index("owner", uid_of(rollout)) if not deleting(one)]
        new = await self._newest(rollout, sets)
        if new is None:
            self.queue.add_after(key, 0.05)
            return
        status = dict(status_of(rollout))
        steps = safe_encode(str(fnv32a(canonical_json(steps_of(rollout)))))
        if (status.get("currentPodHash"), status.get("currentStepHash")) != (hash_of(new), steps):
            reset(rollout, status)
        status |= {"currentPodHash": hash_of(new), "currentStepHash": steps}
        stable = next((one for one in sets if hash_of(one) == status.get("stableRS")), None)
        others = [one for one in sets if uid_of(one) != uid_of(new)]
        progress = Progress(status)
        if not rollout["spec"].get("paused"):
            progress = advance(rollout, new, stable, others, status, stamp())
            for one in (new, *others):
                await self._scale(one, progress.scale.get(name_of(one)))
        if progress.promoted:
            await self._promote(rollout, status, progress.promoted)
        await self._tell(resource, rollout, new, [new, *others], status)
        if progress.wake:
            self.queue.add_after(key, progress.wake)

    async def _newest(self, rollout: Obj, sets: list[Obj]) -> Obj | None:
        """The ReplicaSet of the template in force, made where there is none. None while the cache lacks it."""
        template = rollout["spec"]["template"]
        found = find(sets, template)
        highest = max((revision_of(one) for one in sets if one is not found), default=0)
        if found is not None:
            if revision_of(found) <= highest:
                notes = {"metadata": {"annotations": {REVISION: str(highest + 1)}}}
                found = await self.write.patch(REPLICASETS, found, notes)
            return found
        name = template_hash(template)
        bare = plain(template)
        labels = {**bare["metadata"]["labels"], HASH: name}
        selector = rollout["spec"].get("selector") or {}
        await self.write.create(
            REPLICASETS,
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{name_of(rollout)}-{name}",
                    "namespace": namespace_of(rollout),
                    "labels": labels,
                    "annotations": {REVISION: str(highest + 1)},
                    "ownerReferences": [owner_reference(rollout)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH: name}},
                    "template": {**bare, "metadata": {**bare["metadata"], "labels": labels}},
                },
            },
        )
        return None

    async def _scale(self, replica_set: Obj, wanted: int | None) -> None:
        if wanted is not None and replica_set["spec"].get("replicas", 0) != wanted:
            await self.write.patch(REPLICASETS, replica_set, {"spec": {"replicas": wanted}})

    async def _promote(self, rollout: Obj, status: Obj, name: str) -> None:
        """Its pods are the stable ones now; of blue-green, the active Service leads to them."""
        status["stableRS"] = name
        status.pop("pauseConditions", None)
        status.pop("controllerPause", None)
        settings = (rollout["spec"].get("strategy") or {}).get("blueGreen")
        if settings is None:
            return
        status["blueGreen"] = {"activeSelector": name}
        if settings.get("activeService"):
            service = await self.write.api.get(SERVICES, settings["activeService"], namespace_of(rollout))
            if (service["spec"].get("selector") or {}).get(HASH) != name:
                await self.write.patch(SERVICES, service, {"spec": {"selector": {HASH: name}}})

    async def _tell(self, resource: Resource, rollout: Obj, new: Obj, sets: list[Obj], status: Obj) -> None:
        counts = {
            "replicas": sum(int(status_of(one).get("replicas") or 0) for one in sets),
            "readyReplicas": sum(int(status_of(one).get("readyReplicas") or 0) for one in sets),
            "availableReplicas": sum(available(one) for one in sets),
            "updatedReplicas": int(status_of(new).get("replicas") or 0),
        }
        status |= {**counts, "observedGeneration": str(rollout["metadata"].get("generation", 1))}
        status["conditions"] = self._conditions(rollout, new, status)
        status["phase"], message = phase(rollout, status)
        status["message"] = message
        told = {key: value for key, value in status.items() if value not in (None, "", [])}
        if told != status_of(rollout):
            answer = await self.write.update_status(resource, rollout, told)
            if self._served is not None:
                self._served[1].observe(answer)

    def _conditions(self, rollout: Obj, new: Obj, status: Obj) -> list[Obj]:
        wanted = int(rollout["spec"].get("replicas", 1))
        done = status.get("stableRS") == status["currentPodHash"]
        healthy = done and status["availableReplicas"] >= wanted and not status.get("pauseConditions")
        before = {"conditions": list(status.get("conditions") or ())}
        conditions = before["conditions"]
        name = name_of(new)
        progressing = condition(before, "Progressing") or {}
        moved = any(
            status.get(key) != status_of(rollout).get(key)
            for key in ("availableReplicas", "updatedReplicas", "currentPodHash", "currentStepIndex")
        )
        if status.get("abort"):
            number = revision_of(new)
            text = f"Rollout aborted update to revision {number}"
            found = new_condition("Progressing", "False", "RolloutAborted", text, "lastUpdateTime")
        elif healthy:
            text = f'ReplicaSet "{name}" has successfully progressed.'
            found = new_condition("Progressing", "True", "NewReplicaSetAvailable", text, "lastUpdateTime")
        elif status.get("pauseConditions"):
            found = new_condition("Progressing", "Unknown", "RolloutPaused", "Rollout is paused", "lastUpdateTime")
        elif not moved and _late(rollout, progressing):
            text = f'ReplicaSet "{name}" has timed out progressing.'
            found = new_condition("Progressing", "False", "ProgressDeadlineExceeded", text, "lastUpdateTime")
        else:
            text = f'ReplicaSet "{name}" is progressing.'
            found = new_condition("Progressing", "True", "ReplicaSetUpdated", text, "lastUpdateTime")
            deadline = float(rollout["spec"].get("progressDeadlineSeconds", DEADLINE))
            self.queue.add_after(key_of(rollout), deadline + 1)
        if moved or found["reason"] != progressing.get("reason"):
            conditions = [one for one in conditions if one["type"] != "Progressing"] + [found]
        enough = status["availableReplicas"] >= wanted
        for kind, holds, reason in (
            ("Available", enough, "AvailableReason"),
            ("Healthy", healthy, "RolloutHealthy"),
            ("Completed", done, "RolloutCompleted"),
        ):
            conditions = set_condition(conditions, new_condition(kind, "True" if holds else "False", reason, reason))
        return conditions


def _late(rollout: Obj, progressing: Obj) -> bool:
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return True
    deadline = float(rollout["spec"].get("progressDeadlineSeconds", DEADLINE))
    updated = progressing.get("lastUpdateTime")
    return progressing.get("reason") == "ReplicaSetUpdated" and bool(updated) and age_seconds(updated) > deadline


def _of_controller(pod: Obj) -> bool:
    return any(
        str(one.get("image", "")).rpartition("/")[2].partition("@")[0].partition(":")[0] == IMAGE
        for one in (pod.get("spec") or {}).get("containers") or ()
    )
