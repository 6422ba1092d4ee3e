# SPDX-License-Identifier: Apache-2.0
"""StatefulSets (facts: pkg/controller/statefulset/stateful_set_control.go).

The rule that makes a rollback hang is kept as it is there: with OrderedReady, a sync ends at the first pod that exists
and is not Running and Ready, before it comes to the code that replaces pods of an outdated revision.
"""

from __future__ import annotations

import contextlib

from kubetwin.client import ApiException, Obj
from kubetwin.controllers import statefulset_pods as sp
from kubetwin.controllers.history import RevisionedController
from kubetwin.controllers.workload import Attempt, min_ready_seconds
from kubetwin.informer import key_of
from kubetwin.kinds import PODS, PVCS, STATEFULSETS
from kubetwin.meta import deleting, name_of, namespace_of, pod_ended, pod_phase, status_of, with_meta


class _Stop(Exception):
    """This sync has done all it may."""


class _Set:
    """One StatefulSet during one sync."""

    def __init__(self, sts: Obj, current: Obj, update: Obj, collisions: int, pods: list[Obj]) -> None:
        self.sts = sts
        self.current = current
        self.update = update
        self.collisions = collisions
        self.start = sp.start_ordinal(sts)
        self.size = int(sts["spec"].get("replicas", 1))
        self.min_ready = min_ready_seconds(sts)
        self.monotonic = sts["spec"].get("podManagementPolicy") != "Parallel"
        strategy = sts["spec"].get("updateStrategy") or {}
        self.on_delete = strategy.get("type") == "OnDelete"
        self.rolling: Obj | None = strategy.get("rollingUpdate")
        self.replicas: list[Obj | None] = [None] * self.size
        self.condemned: list[Obj] = []
        for pod in pods:
            ordinal = sp.ordinal_of(pod)
            if self.start <= ordinal < self.start + self.size:
                self.replicas[ordinal - self.start] = pod
            elif ordinal >= 0:
                self.condemned.append(pod)
        self.condemned.sort(key=sp.ordinal_of, reverse=True)

    @property
    def pods(self) -> list[Obj]:
        return [p for p in (*self.replicas, *self.condemned) if p is not None]

    @property
    def partition(self) -> int:
        return int((self.rolling or {}).get("partition") or 0)

    def new_pod(self, ordinal: int) -> Obj:
        """At the current revision below the partition, else at the update revision."""
        below = self.start + (
            self.partition
            if self.rolling is not None
            else 0
            if self.on_delete
            else int(status_of(self.sts).get("currentReplicas") or 0)
        )
        revision = self.current if ordinal < below else self.update
        return sp.new_pod(self.sts, revision["data"]["spec"]["template"], name_of(revision), ordinal)

    def status(self) -> Obj:
        pods = self.pods
        before = status_of(self.sts)
        created = [p for p in pods if sp.is_created(p)]
        lasting = [p for p in created if not deleting(p)]
        ready = [p for p in pods if sp.running_and_ready(p)]
        at_current = sum(1 for p in lasting if sp.revision_of(p) == name_of(self.current))
        at_update = sum(1 for p in lasting if sp.revision_of(p) == name_of(self.update))
        status: Obj = {
            "observedGeneration": self.sts["metadata"].get("generation", 0),
            "replicas": len(created),
            "readyReplicas": len(ready),
            "currentReplicas": at_current,
            "updatedReplicas": at_update,
            "availableReplicas": sum(1 for p in pods if sp.running_and_available(p, self.min_ready)),
            "currentRevision": name_of(self.current),
            "updateRevision": name_of(self.update),
            "collisionCount": self.collisions,
        }
        if before.get("conditions"):
            status["conditions"] = before["conditions"]
        if not self.on_delete and at_update == self.size == len(ready) == len(created):
            status["currentReplicas"] = at_update
            status["currentRevision"] = name_of(self.update)
        for key in ("readyReplicas", "currentReplicas", "updatedReplicas"):
            if not status[key]:
                del status[key]
        return status


class StatefulSetController(RevisionedController):
    name = "statefulset"
    resource = STATEFULSETS
    also_deleted = True

    def setup(self) -> None:
        super().setup()
        self.claims = self.inform(PVCS)
        self.claims.add_handler(self._claim_changed)

    def _claim_changed(self, old: Obj | None, new: Obj | None) -> None:
        # A deleted claim is made again for a pending pod; its name ends in <set>-<ordinal>.
        if new is None and old is not None:
            for sts in self.objects.by_index("namespace", namespace_of(old)):
                if f"-{name_of(sts)}-" in name_of(old):
                    self.queue.add(key_of(sts))

    async def reconcile(self, obj: Obj) -> None:
        pods = await self.claim(self.pods, PODS, obj, matches=lambda pod: sp.parent_name(pod) == name_of(obj))
        revisions = await self.owned_revisions(obj)
        update, collisions = await self.present_revision(obj, revisions)
        wanted = status_of(obj).get("currentRevision")
        current = next((r for r in revisions if name_of(r) == wanted), update)
        work = _Set(obj, current, update, collisions, pods)
        with Attempt() as attempt, contextlib.suppress(_Stop):
            if not deleting(obj):
                await self._update(work)
        await self.write_status(obj, work.status())
        await self.truncate(obj, revisions, update, {name_of(current)} | {sp.revision_of(p) for p in pods})
        self.look_again(obj, work.pods)
        attempt.settle()

    async def _update(self, work: _Set) -> None:
        # The first unhealthy pod, lowest ordinal first, may be scaled away although it is not healthy.
        pods = [*work.replicas, *reversed(work.condemned)]
        first_unhealthy = next((p for p in pods if p is None or sp.unavailable(p, work.min_ready)), None)
        for index in range(work.size):
            await self._process(work, index)
        for pod in work.condemned:
            await self._match_claims(work.sts, pod)
        for pod in work.condemned:
            await self._condemn(work, pod, first_unhealthy)
        if work.on_delete:
            return
        for index in range(work.size - 1, work.partition - 1, -1):
            replica = work.replicas[index]
            if replica is None:
                return
            if sp.revision_of(replica) != name_of(work.update) and not deleting(replica):
                await self._delete(work.sts, replica)
                work.replicas[index] = self.pods.get(name_of(replica), namespace_of(replica))
                return
            if sp.unavailable(replica, work.min_ready):
                return

    async def _process(self, work: _Set, index: int) -> None:
        """Bring one ordinal up. Raises _Stop where an ordered set must wait."""
        pod = work.replicas[index]
        ordinal = work.start + index
        if pod is not None and pod_ended(pod):
            if not deleting(pod):
                await self._delete(work.sts, pod)
            if work.monotonic:
                raise _Stop
            return
        if pod is None:
            if not self._stale_claims(work.sts, ordinal):
                work.replicas[index] = await self._create(work, ordinal)
            if work.monotonic:
                raise _Stop
            return
        if pod_phase(pod) == "Pending":
            await self._create_claims(work.sts, pod, ordinal)
            await self._match_claims(work.sts, pod)
        if work.monotonic and (
            deleting(pod) or not sp.running_and_ready(pod) or not sp.running_and_available(pod, work.min_ready)
        ):
            raise _Stop
        await self._match_claims(work.sts, pod)
        if not sp.identity_matches(work.sts, pod):
            await self._fix_identity(work.sts, pod)

    async def _condemn(self, work: _Set, pod: Obj, first_unhealthy: Obj | None) -> None:
        if deleting(pod):
            if work.monotonic:
                raise _Stop
            return
        healthy = sp.running_and_available(pod, work.min_ready)
        if work.monotonic and not healthy and pod is not first_unhealthy:
            raise _Stop
        await self._delete(work.sts, pod)
        if work.monotonic:
            raise _Stop

    # -- pods and claims -------------------------------------------------------------------------------------------

    async def _create(self, work: _Set, ordinal: int) -> Obj:
        sts = work.sts
        pod = work.new_pod(ordinal)
        try:
            await self._create_claims(sts, pod, ordinal)
            created = await self.write.create(PODS, pod)
        except ApiException as error:
            if not error.already_exists:
                self._record(sts, "Create", pod, error)
            raise
        await self._match_claims(sts, created)
        self._record(sts, "Create", created, None)
        return created

    async def _delete(self, sts: Obj, pod: Obj) -> None:
        try:
            await self.write.delete(PODS, pod)
        except ApiException as error:
            self._record(sts, "Delete", pod, error)
            raise
        self._record(sts, "Delete", pod, None)

    def _record(self, sts: Obj, verb: str, pod: Obj, error: ApiException | None) -> None:
        what = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(sts)}"
        if error is None:
            self.recorder.event(sts, "Normal", f"Successful{verb}", f"{what} successful")
        elif not error.namespace_terminating:
            self.recorder.event(sts, "Warning", f"Failed{verb}", f"{what} failed error: {error.message}")

    async def _fix_identity(self, sts: Obj, pod: Obj) -> None:
        labels = {sp.NAME_LABEL: name_of(pod), sp.INDEX_LABEL: str(sp.ordinal_of(pod))}
        await self.write.patch(PODS, pod, {"metadata": {"labels": labels}})

    async def _create_claims(self, sts: Obj, pod: Obj, ordinal: int) -> None:
        for wanted in sp.claims_for(sts, ordinal):
            existing = self.claims.get(name_of(wanted), namespace_of(wanted))
            if existing is not None and deleting(existing):
                message = f"pvc {name_of(wanted)} is being deleted"
                raise ApiException(0, "", message)
            if existing is not None:
                continue
            what = f"Create Claim {name_of(wanted)} Pod {name_of(pod)} in StatefulSet {name_of(sts)}"
            try:
                await self.write.create(PVCS, wanted)
            except ApiException as error:
                if error.already_exists:
                    continue
                self.recorder.event(sts, "Warning", "FailedCreate", f"{what} failed error: {error.message}")
                raise ApiException(
                    error.code, error.reason, f"failed to create PVC {name_of(wanted)}: {error.message}", error.details
                ) from error
            self.recorder.event(sts, "Normal", "SuccessfulCreate", f"{what} success")

    async def _match_claims(self, sts: Obj, pod: Obj) -> None:
        """Owner references of the pod's claims as the retention policy says."""
        ordinal = sp.ordinal_of(pod)
        for template in sts["spec"].get("volumeClaimTemplates") or ():
            existing = self.claims.get(sp.claim_name(sts, template, ordinal), namespace_of(sts))
            if existing is None:
                continue
            owners = sp.wanted_claim_owners(sts, existing, pod, ordinal)
            if owners != (existing["metadata"].get("ownerReferences") or []):
                await self.write.replace(PVCS, with_meta(existing, ownerReferences=owners))

    def _stale_claims(self, sts: Obj, ordinal: int) -> bool:
        """A claim still waits to be collected with the pod that had this ordinal before."""
        if sp.retention(sts)[1] == "Retain":
            return False
        pod_name = f"{name_of(sts)}-{ordinal}"
        for template in sts["spec"].get("volumeClaimTemplates") or ():
            existing = self.claims.get(sp.claim_name(sts, template, ordinal), namespace_of(sts))
            refs = (existing or {"metadata": {}})["metadata"].get("ownerReferences") or ()
            if any(r["kind"] == "Pod" and r["name"] == pod_name for r in refs):
                return True
        return False
