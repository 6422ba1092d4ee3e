# SPDX-License-Identifier: Apache-2.0
"""Jobs (facts: pkg/controller/job). Finished pods are counted by uid in memory, without the tracking finalizer."""

from __future__ import annotations

import itertools

from kubetwin.client import Obj
from kubetwin.controllers.refs import pod_from_template
from kubetwin.controllers.workload import Attempt, WorkloadController
from kubetwin.informer import key_of
from kubetwin.kinds import JOBS, PODS
from kubetwin.meta import (
    age_seconds,
    annotations_of,
    condition,
    condition_true,
    deleting,
    name_of,
    new_condition,
    pod_active,
    pod_ended,
    pod_phase,
    pod_ready,
    stamp,
    status_of,
    uid_of,
)

INDEX = "batch.kubernetes.io/job-completion-index"


class JobController(WorkloadController):
    name = "job"
    resource = JOBS

    def setup(self) -> None:
        self._finished: dict[str, dict[str, str]] = {}
        self._failed_at: dict[str, str] = {}
        super().setup()
        self.objects.add_handler(self._forget)

    def _forget(self, old: Obj | None, new: Obj | None) -> None:
        if new is None and old is not None:
            self._finished.pop(uid_of(old), None)
            self._failed_at.pop(uid_of(old), None)

    async def reconcile(self, obj: Obj) -> None:
        if job_ended(obj):
            await self._expire(obj)
            return
        pods = await self.claim(self.pods, PODS, obj)
        seen = self._finished.setdefault(uid_of(obj), {})
        for pod in pods:
            if pod_ended(pod) and uid_of(pod) not in seen:
                seen[uid_of(pod)] = f"{pod_phase(pod)}/{_index(pod)}"
                if pod_phase(pod) == "Failed":
                    self._failed_at[uid_of(obj)] = stamp()
        status = self._counted(obj, pods, seen)
        verdict = self._verdict(obj, pods, status, seen)
        with Attempt() as attempt:
            if verdict is None and not obj["spec"].get("suspend"):
                await self._manage(obj, pods, status, seen)
        if verdict is not None or obj["spec"].get("suspend"):
            await self.delete_pods(obj, [pod for pod in pods if pod_active(pod)])
        pods = self.pods_of(obj)
        status = self._counted(obj, pods, seen)
        self._conditions(obj, status, pods, verdict)
        await self.write_status(obj, status)
        self._deadline(obj, status)
        attempt.settle()

    # -- counting --------------------------------------------------------------------------------------------------

    def _counted(self, job: Obj, pods: list[Obj], seen: dict[str, str]) -> Obj:
        before = status_of(job)
        active = [p for p in pods if pod_active(p)]
        succeeded = sum(1 for v in seen.values() if v.startswith("Succeeded"))
        if job["spec"].get("completionMode") == "Indexed":
            succeeded = len(_completed_indexes(seen))
        failed = sum(1 for v in seen.values() if v.startswith("Failed"))
        status: Obj = {"terminating": sum(1 for p in pods if deleting(p) and not pod_ended(p))}
        counters = {
            "active": len(active),
            "succeeded": max(succeeded, int(before.get("succeeded") or 0)),
            "failed": max(failed, int(before.get("failed") or 0)),
        }
        status.update({k: v for k, v in counters.items() if v})
        status["ready"] = sum(1 for p in active if pod_ready(p))
        status["uncountedTerminatedPods"] = {}
        if not job["spec"].get("suspend") or before.get("startTime"):
            status["startTime"] = before.get("startTime") or stamp()
        if job["spec"].get("completionMode") == "Indexed" and _completed_indexes(seen):
            status["completedIndexes"] = _ranges(_completed_indexes(seen))
        if before.get("conditions"):
            status["conditions"] = before["conditions"]
        return status

    def _verdict(self, job: Obj, pods: list[Obj], status: Obj, seen: dict[str, str]) -> tuple[str, str, str] | None:
        """(interim condition, reason, message) when the outcome is decided."""
        for interim in ("SuccessCriteriaMet", "FailureTarget"):
            existing = condition(job, interim)
            if existing is not None:
                return interim, existing["reason"], existing["message"]
        spec = job["spec"]
        limit = int(spec.get("backoffLimit", 6))
        restarts = sum(
            s.get("restartCount", 0)
            for p in pods
            if (spec["template"].get("spec") or {}).get("restartPolicy") == "OnFailure" and not deleting(p)
            for s in status_of(p).get("containerStatuses") or ()
        )
        exceeded = status.get("failed", 0) > limit or (restarts > 0 and restarts >= max(1, limit))
        if exceeded:
            return "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and not spec.get("suspend") and age_seconds(status.get("startTime")) >= deadline:
            return "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"
        completions = spec.get("completions")
        reached = (
            status.get("succeeded", 0) >= completions
            if completions is not None
            else status.get("succeeded", 0) > 0 and status.get("active", 0) == 0
        )
        if reached:
            return "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"
        return None

    # -- pods ------------------------------------------------------------------------------------------------------

    async def _manage(self, job: Obj, pods: list[Obj], status: Obj, seen: dict[str, str]) -> None:
        spec = job["spec"]
        parallelism = int(spec.get("parallelism", 1))
        completions = spec.get("completions")
        active = [p for p in pods if pod_active(p)]
        wanted = parallelism
        if completions is not None:
            wanted = min(parallelism, completions - status.get("succeeded", 0))
        elif status.get("succeeded", 0) > 0:
            # Without a number of completions, one success ends the creation of pods.
            wanted = len(active)
        surplus = len(active) - max(0, wanted)
        if surplus > 0:
            ranked = sorted(active, key=lambda p: (pod_ready(p), p["metadata"]["creationTimestamp"]))
            await self.delete_pods(job, ranked[:surplus])
            return
        missing = wanted - len(active) - sum(1 for p in pods if deleting(p) and pod_phase(p) == "Pending")
        if missing <= 0:
            return
        delay = self._backoff(job, status)
        if delay > 0:
            self.queue.add_after(key_of(job), delay)
            return
        indexes: list[int | None] = [None] * missing
        if spec.get("completionMode") == "Indexed":
            taken = {int(_index(p)) for p in active if _index(p)} | _completed_indexes(seen)
            free = (i for i in range(int(completions or 0)) if i not in taken)
            indexes = list(itertools.islice(free, missing))

        await self.create_pods(job, len(indexes), lambda number: self._new_pod(job, indexes[number]))

    def _backoff(self, job: Obj, status: Obj) -> float:
        """Seconds until another pod may be made after a failure: 10 s, doubling, at most 10 min, by default."""
        failures = int(status.get("failed", 0))
        last = self._failed_at.get(uid_of(job))
        if not failures or last is None:
            return 0.0
        settings = self.ctx.settings
        delay = min(settings.job_backoff_max, settings.job_backoff_initial * 2.0 ** min(failures - 1, 20))
        return float(max(0.0, delay - age_seconds(last)))

    @staticmethod
    def _new_pod(job: Obj, index: int | None) -> Obj:
        if index is None:
            return pod_from_template(job["spec"]["template"], job)
        pod = pod_from_template(job["spec"]["template"], job, generate_name=f"{name_of(job)}-{index}-")
        for part in ("labels", "annotations"):
            pod["metadata"].setdefault(part, {})[INDEX] = str(index)
        pod["spec"]["hostname"] = f"{name_of(job)}-{index}"
        variable = {"name": "JOB_COMPLETION_INDEX", "value": str(index)}
        for container in pod["spec"].get("containers") or ():
            container["env"] = [*(container.get("env") or ()), variable]
        return pod

    # -- conditions and the end ------------------------------------------------------------------------------------

    def _conditions(self, job: Obj, status: Obj, pods: list[Obj], verdict: tuple[str, str, str] | None) -> None:
        conditions = [c for c in status.get("conditions") or () if c["type"] != "Suspended"]
        suspended = bool(job["spec"].get("suspend"))
        had = condition(job, "Suspended")
        if suspended or had is not None:
            text = ("JobSuspended", "Job suspended") if suspended else ("JobResumed", "Job resumed")
            if had is None or (had["status"] == "True") != suspended:
                self.recorder.event(job, "Normal", "Suspended" if suspended else "Resumed", text[1])
                had = _condition("Suspended", *text, "True" if suspended else "False")
                if suspended:
                    status.pop("startTime", None)
            conditions.append(had)
        if verdict is not None:
            interim, reason, message = verdict
            if condition({"conditions": conditions}, interim) is None:
                conditions.append(_condition(interim, reason, message))
            if not status.get("active") and not status["terminating"]:
                self._finish(job, status, conditions, interim, reason, message)
        if conditions:
            status["conditions"] = conditions

    def _finish(self, job: Obj, status: Obj, conditions: list[Obj], interim: str, reason: str, message: str) -> None:
        status["ready"] = 0
        if interim == "SuccessCriteriaMet":
            conditions.append(_condition("Complete", reason, message))
            status["completionTime"] = stamp()
            self.recorder.event(job, "Normal", "Completed", "Job completed")
        else:
            conditions.append(_condition("Failed", reason, message))
            self.recorder.event(job, "Warning", reason, message)

    def _deadline(self, job: Obj, status: Obj) -> None:
        limit = job["spec"].get("activeDeadlineSeconds")
        if limit is not None and status.get("startTime") and not job_ended({"status": status}):
            self.queue.add_after(key_of(job), max(0.05, limit - age_seconds(status["startTime"])))
        if job_ended({"status": status}):
            self.queue.add(key_of(job))

    async def _expire(self, job: Obj) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return
        ended = next(
            c["lastTransitionTime"]
            for c in status_of(job)["conditions"]
            if c["type"] in ("Complete", "Failed") and c["status"] == "True"
        )
        left = float(ttl) - age_seconds(ended)
        if left > 0:
            self.queue.add_after(key_of(job), left)
            return
        await self.write.delete(JOBS, job, propagation="Foreground")


def _condition(kind: str, reason: str, message: str, status: str = "True") -> Obj:
    return new_condition(kind, status, reason, message, "lastProbeTime")


def job_ended(job: Obj) -> bool:
    return condition_true(job, "Complete") or condition_true(job, "Failed")


def _index(pod: Obj) -> str:
    return annotations_of(pod).get(INDEX, "")


def _completed_indexes(seen: dict[str, str]) -> set[int]:
    return {int(v.partition("/")[2]) for v in seen.values() if v.startswith("Succeeded/") and v.partition("/")[2]}


def _ranges(indexes: set[int]) -> str:
    """0,2-4 for {0, 2, 3, 4}."""
    out: list[str] = []
    ordered = sorted(indexes)
    while ordered:
        first = last = ordered.pop(0)
        while ordered and ordered[0] == last + 1:
            last = ordered.pop(0)
        out.append(str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}")
    return ",".join(out)
