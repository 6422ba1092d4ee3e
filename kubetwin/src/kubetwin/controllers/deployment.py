# SPDX-License-Identifier: Apache-2.0
"""Deployments: ReplicaSets by template, rolling or recreated (facts: pkg/controller/deployment)."""

from __future__ import annotations

from kubetwin.client import ApiException, Obj
from kubetwin.controllers import deployment_math as math
from kubetwin.controllers.deployment_status import next_status, rollout_status, seconds_to_deadline, stamped
from kubetwin.controllers.refs import owner_keys
from kubetwin.controllers.workload import WorkloadController
from kubetwin.informer import key_of
from kubetwin.kinds import DEPLOYMENTS, REPLICASETS
from kubetwin.meta import (
    annotations_of,
    condition,
    controller_of,
    deleting,
    name_of,
    namespace_of,
    owner_index,
    owner_reference,
    pod_ended,
    set_condition,
    status_of,
    uid_of,
    with_meta,
)


class _Sets:
    """A Deployment being worked on and its ReplicaSets, kept current while the sync writes."""

    def __init__(self, deployment: Obj, owned: list[Obj]) -> None:
        self.deployment = deployment
        self.key = math.template_key(deployment["spec"]["template"])
        self.newest: Obj | None = None
        self.old: list[Obj] = []
        for rs in math.by_creation(owned):
            if self.newest is None and math.template_key(rs["spec"]["template"]) == self.key:
                self.newest = rs
            else:
                self.old.append(rs)

    @property
    def all(self) -> list[Obj]:
        return [*self.old, self.newest] if self.newest is not None else list(self.old)

    def update(self, rs: Obj) -> None:
        if self.newest is not None and uid_of(self.newest) == uid_of(rs):
            self.newest = rs
        else:
            self.old = [rs if uid_of(o) == uid_of(rs) else o for o in self.old]


class DeploymentController(WorkloadController):
    name = "deployment"
    resource = DEPLOYMENTS
    also_deleted = True

    def setup(self) -> None:
        self.sets = self.inform(REPLICASETS)
        self.sets.add_index("owner", owner_index)
        super().setup()
        self.sets.add_handler(self.child_changed)

    def pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        # Only Recreate waits for pods to be gone.
        if new is not None and not pod_ended(new):
            return
        ref = controller_of(old or new or {})
        if ref is None or ref["kind"] != "ReplicaSet":
            return
        rs = self.sets.get(ref["name"], namespace_of(old or new or {}))
        if rs is not None:
            for key in owner_keys(self.objects, "Deployment", None, rs):
                deployment = self.objects.by_key(key)
                if deployment is not None and not math.is_rolling(deployment):
                    self.queue.add(key)

    async def reconcile(self, obj: Obj) -> None:
        if not obj["spec"].get("selector"):
            return
        sets = _Sets(obj, await self.claim(self.sets, REPLICASETS, obj))
        if deleting(obj):
            await self._sync_revision(sets, create=False)
            await self._write_status(sets, next_status(sets.deployment, sets.old, sets.newest))
            return
        await self._paused_condition(sets)
        await self._sync_revision(sets, create=False)
        if obj["spec"].get("paused") or self._scaled(sets):
            await self._scale(sets)
            if obj["spec"].get("paused"):
                await self._clean_up(sets)
            await self._write_status(sets, next_status(sets.deployment, sets.old, sets.newest))
            return
        if math.is_rolling(obj):
            await self._roll(sets)
        else:
            await self._recreate(sets)

    # -- revisions -------------------------------------------------------------------------------------------------

    async def _sync_revision(self, sets: _Sets, *, create: bool) -> None:
        deployment = sets.deployment
        revision = max((math.revision_of(rs) for rs in sets.old), default=0) + 1
        if sets.newest is None:
            if create:
                await self._create_newest(sets, revision)
            return
        rs = sets.newest
        wanted = math.new_set_annotations(deployment, annotations_of(rs), revision, exists=True)
        min_ready = deployment["spec"].get("minReadySeconds") or 0
        if wanted != annotations_of(rs) or (rs["spec"].get("minReadySeconds") or 0) != min_ready:
            spec = dict(rs["spec"])
            if min_ready or "minReadySeconds" in spec:
                spec["minReadySeconds"] = min_ready
            sets.update(await self.write.replace(REPLICASETS, {**with_meta(rs, annotations=wanted), "spec": spec}))
        reason = None
        if math.has_deadline(deployment) and condition(deployment, "Progressing") is None:
            reason = ("FoundNewReplicaSet", f'Found new replica set "{name_of(rs)}"')
        await self._announce(sets, math.revision_of(sets.newest), reason)

    async def _announce(self, sets: _Sets, revision: int, reason: tuple[str, str] | None) -> None:
        """Write the Deployment's revision annotation and a Progressing condition, if they changed."""
        deployment = sets.deployment
        annotations = annotations_of(deployment)
        status = dict(status_of(deployment))
        if reason is not None:
            new = stamped("Progressing", "True", *reason)
            status["conditions"] = set_condition(status.get("conditions") or [], new, keep_transition=False)
        if reason is None and annotations.get(math.REVISION) == str(revision):
            return
        changed = with_meta(deployment, annotations={**annotations, math.REVISION: str(revision)})
        sets.deployment = await self.write.update_status(DEPLOYMENTS, changed, status)

    async def _create_newest(self, sets: _Sets, revision: int) -> None:
        deployment = sets.deployment
        template = deployment["spec"]["template"]
        digest = math.template_hash(template, status_of(deployment).get("collisionCount"))
        meta = template.get("metadata") or {}
        labels = {**(meta.get("labels") or {}), math.HASH_LABEL: digest}
        selector = deployment["spec"]["selector"]
        size = math.new_set_size(deployment, sets.old, 0)
        spec: Obj = {
            "replicas": size,
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), math.HASH_LABEL: digest}},
            "template": {**template, "metadata": {**meta, "labels": labels}},
        }
        if deployment["spec"].get("minReadySeconds"):
            spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
        name = f"{name_of(deployment)[: 253 - 1 - len(digest)]}-{digest}"
        rs: Obj = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": namespace_of(deployment),
                "labels": labels,
                "annotations": math.new_set_annotations(deployment, {}, revision, exists=False),
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": spec,
        }
        there = None
        try:
            sets.newest = await self.write.create(REPLICASETS, rs)
        except ApiException as error:
            there = self._created_before(deployment, name) if error.already_exists else None
            if there is None:
                await self._create_failed(sets, name, error)
                return
            sets.newest = there
        if size > 0 and there is None:
            self._event(deployment, f"Scaled up replica set {name} from 0 to {size}")
        reason = ("NewReplicaSetCreated", f'Created new replica set "{name}"')
        await self._announce(sets, revision, reason if math.has_deadline(deployment) else None)

    def _created_before(self, deployment: Obj, name: str) -> Obj | None:
        """The set that is there already, if it is this Deployment's own of the same template: then an answer was lost, and
        hashes do not collide (pkg/controller/deployment/sync.go, getNewReplicaSet).

        Raises:
            ApiException: it is there, and not known here yet.
        """
        rs = self.sets.get(name, namespace_of(deployment))
        if rs is None:
            raise ApiException(404, "NotFound", f'replicaset.apps "{name}" not found')
        ref = controller_of(rs)
        mine = ref is not None and ref["uid"] == deployment["metadata"]["uid"]
        same = math.template_key(rs["spec"]["template"]) == math.template_key(deployment["spec"]["template"])
        return rs if mine and same else None

    async def _create_failed(self, sets: _Sets, name: str, error: ApiException) -> None:
        deployment = sets.deployment
        if error.namespace_terminating:
            raise error
        status = dict(status_of(deployment))
        if error.already_exists:
            # Another object has this name: a collision of hashes. The count changes the next hash.
            status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
            await self.write.update_status(DEPLOYMENTS, deployment, status)
            raise error
        message = f'Failed to create new replica set "{name}": {error.message}'
        if math.has_deadline(deployment):
            failed = stamped("Progressing", "False", "ReplicaSetCreateError", message)
            status["conditions"] = set_condition(status.get("conditions") or [], failed)
            sets.deployment = await self.write.update_status(DEPLOYMENTS, deployment, status)
        self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        raise error

    # -- scaling ---------------------------------------------------------------------------------------------------

    def _scaled(self, sets: _Sets) -> bool:
        desired = str(math.replicas_of(sets.deployment))
        return any(annotations_of(rs).get(math.DESIRED_REPLICAS, desired) != desired for rs in math.active(sets.all))

    async def _scale_set(self, sets: _Sets, rs: Obj, size: int, *, force: bool = False) -> bool:
        current = math.replicas_of(rs)
        if not force and current == size:
            return False
        annotations = {**annotations_of(rs), **math.replica_annotations(sets.deployment)}
        if current == size and annotations == annotations_of(rs):
            return False
        body = {**with_meta(rs, annotations=annotations), "spec": {**rs["spec"], "replicas": size}}
        sets.update(await self.write.replace(REPLICASETS, body))
        if current == size:
            return False
        direction = "up" if size > current else "down"
        self._event(sets.deployment, f"Scaled {direction} replica set {name_of(rs)} from {current} to {size}")
        return True

    def _event(self, deployment: Obj, message: str) -> None:
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    async def _scale(self, sets: _Sets) -> None:
        deployment = sets.deployment
        desired = math.replicas_of(deployment)
        running = math.active(sets.all)
        if len(running) <= 1:
            only = running[0] if running else sets.newest or next(reversed(math.by_creation(sets.old)), None)
            if only is not None:
                await self._scale_set(sets, only, desired)
            return
        if math.is_saturated(deployment, sets.newest):
            for rs in math.active(sets.old):
                await self._scale_set(sets, rs, 0)
            return
        if math.is_rolling(deployment):
            await self._scale_proportionally(sets, running)

    async def _scale_proportionally(self, sets: _Sets, running: list[Obj]) -> None:
        deployment = sets.deployment
        desired = math.replicas_of(deployment)
        allowed = desired + math.max_surge(deployment) if desired > 0 else 0
        to_add = allowed - math.total(running)
        ordered = math.by_creation(running)
        if to_add > 0:
            ordered.reverse()
        ordered.sort(key=math.replicas_of, reverse=True)
        sizes: list[int] = []
        added = 0
        for rs in ordered:
            share = math.proportion(deployment, rs, to_add, added) if to_add else 0
            sizes.append(math.replicas_of(rs) + share)
            added += share
        if to_add:
            sizes[0] = max(0, sizes[0] + to_add - added)
        for rs, size in zip(ordered, sizes, strict=True):
            await self._scale_set(sets, rs, size, force=True)

    # -- strategies ------------------------------------------------------------------------------------------------

    async def _roll(self, sets: _Sets) -> None:
        await self._sync_revision(sets, create=True)
        newest = sets.newest
        if newest is None:
            return
        desired, size = math.replicas_of(sets.deployment), math.replicas_of(newest)
        if size != desired:
            target = desired if size > desired else math.new_set_size(sets.deployment, sets.all, size)
            if await self._scale_set(sets, newest, target):
                await self._write_rollout(sets)
                return
        if await self._shrink_old(sets):
            await self._write_rollout(sets)
            return
        if math.is_complete(sets.deployment, status_of(sets.deployment)):
            await self._clean_up(sets)
        await self._write_rollout(sets)

    async def _shrink_old(self, sets: _Sets) -> bool:
        newest = sets.newest
        if newest is None or math.total(sets.old) == 0:
            return False
        deployment = sets.deployment
        min_available = math.replicas_of(deployment) - math.max_unavailable(deployment)
        new_unavailable = math.replicas_of(newest) - int(status_of(newest).get("availableReplicas") or 0)
        most = math.total(sets.all) - min_available - new_unavailable
        if most <= 0:
            return False
        removed = 0
        # Replicas that serve nobody go first, else they would block the rollout.
        for rs in math.by_creation(math.active(sets.old)):
            size, available = math.replicas_of(rs), int(status_of(rs).get("availableReplicas") or 0)
            unhealthy = min(most - removed, size - available)
            if unhealthy > 0:
                await self._scale_set(sets, rs, size - unhealthy)
                removed += unhealthy
        spare = math.total_status(sets.all, "availableReplicas") - min_available
        for rs in math.by_creation(math.active(sets.old)):
            if spare <= 0:
                break
            size = math.replicas_of(rs)
            step = min(size, spare)
            await self._scale_set(sets, rs, size - step)
            spare -= step
            removed += step
        return removed > 0

    async def _recreate(self, sets: _Sets) -> None:
        scaled = False
        for rs in math.active(sets.old):
            scaled = await self._scale_set(sets, rs, 0) or scaled
        if scaled or self._old_pods_running(sets):
            await self._write_rollout(sets)
            return
        await self._sync_revision(sets, create=True)
        if sets.newest is not None:
            await self._scale_set(sets, sets.newest, math.replicas_of(sets.deployment))
        if math.is_complete(sets.deployment, status_of(sets.deployment)):
            await self._clean_up(sets)
        await self._write_rollout(sets)

    def _old_pods_running(self, sets: _Sets) -> bool:
        if math.total_status(sets.old, "replicas") > 0:
            return True
        return any(not pod_ended(pod) for rs in sets.old for pod in self.pods.by_index("owner", uid_of(rs)))

    async def _clean_up(self, sets: _Sets) -> None:
        limit = sets.deployment["spec"].get("revisionHistoryLimit")
        if limit is None or limit == 2**31 - 1:
            return
        alive = [rs for rs in sets.old if not deleting(rs)]
        surplus = len(alive) - int(limit)
        for rs in sorted(alive, key=lambda rs: (math.revision_of(rs), rs["metadata"]["creationTimestamp"]))[
            : max(0, surplus)
        ]:
            status = status_of(rs)
            observed = int(status.get("observedGeneration") or 0)
            if status.get("replicas") or math.replicas_of(rs) or rs["metadata"].get("generation", 0) > observed:
                continue
            await self.write.delete(REPLICASETS, rs)

    # -- status ----------------------------------------------------------------------------------------------------

    async def _paused_condition(self, sets: _Sets) -> None:
        deployment = sets.deployment
        if not math.has_deadline(deployment):
            return
        current = condition(deployment, "Progressing")
        if current is not None and current.get("reason") == "ProgressDeadlineExceeded":
            return
        was_paused = current is not None and current.get("reason") == "DeploymentPaused"
        if bool(deployment["spec"].get("paused")) == was_paused:
            return
        reason = (
            ("DeploymentResumed", "Deployment is resumed")
            if was_paused
            else ("DeploymentPaused", "Deployment is paused")
        )
        status = dict(status_of(deployment))
        new = stamped("Progressing", "Unknown", *reason)
        status["conditions"] = set_condition(status.get("conditions") or [], new)
        sets.deployment = await self.write.update_status(DEPLOYMENTS, deployment, status)

    async def _write_rollout(self, sets: _Sets) -> None:
        status = rollout_status(sets.deployment, sets.old, sets.newest)
        await self._write_status(sets, status)
        wait = seconds_to_deadline(sets.deployment, status)
        if wait is not None:
            self.queue.add_after(key_of(sets.deployment), wait)

    async def _write_status(self, sets: _Sets, status: Obj) -> None:
        sets.deployment = await self.write_status(sets.deployment, status)
