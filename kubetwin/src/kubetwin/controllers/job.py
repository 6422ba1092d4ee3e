# SPDX-License-Identifier: Apache-2.0
"""Jobs (facts: pkg/controller/job). Finished pods are counted by uid in memory, without the tracking finalizer."""

from __future__ import annotations

import itertools

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import Controller
from kubetwin.controllers.refs import claim, create_pod, delete_pod, owner_keys, pod_from_template, slow_start
from kubetwin.informer import split_key
from kubetwin.kinds import JOBS, PODS
from kubetwin.meta import (
    age_seconds,
    annotations_of,
    condition,
    condition_true,
    deleting,
    label_selector,
    labels_of,
    name_of,
    owner_index,
    pod_phase,
    pod_ready,
    stamp,
    status_of,
    uid_of,
)

INDEX = "batch.kubernetes.io/job-completion-index"


class JobController(Controller):
    name = "job"

    def setup(self) -> None:
        self._finished: dict[str, dict[str, str]] = {}
        self._failed_at: dict[str, str] = {}
        self.jobs = self.enqueue_on(JOBS)
        self.jobs.add_index("owner", owner_index)
        self.jobs.add_handler(self._forget)
        self.pods = self.inform(PODS)
        self.pods.add_handler(self._pod_changed)

    def _forget(self, old: Obj | None, new: Obj | None) -> None:
        if new is None and old is not None:
            self._finished.pop(uid_of(old), None)
            self._failed_at.pop(uid_of(old), None)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in owner_keys(self.jobs, "Job", old, new):
            self.queue.add(key)

    async def sync(self, key: str) -> None:
        namespace, name = split_key(key)
        job = self.jobs.get(name, namespace)
        if job is None or deleting(job):
            return
        if _ended(job):
            await self._expire(key, job)
            return
        matches = label_selector(job["spec"].get("selector"))
        pods = await claim(self.write, self.pods, PODS, job, lambda p: matches(labels_of(p)))
        seen = self._finished.setdefault(uid_of(job), {})
        for pod in pods:
            if pod_phase(pod) in ("Succeeded", "Failed") and uid_of(pod) not in seen:
                seen[uid_of(pod)] = f"{pod_phase(pod)}/{_index(pod)}"
                if pod_phase(pod) == "Failed":
                    self._failed_at[uid_of(job)] = stamp()
        status = self._counted(job, pods, seen)
        verdict = self._verdict(job, pods, status, seen)
        failure: ApiException | None = None
        if verdict is not None or job["spec"].get("suspend"):
            for pod in pods:
                if pod_phase(pod) not in ("Succeeded", "Failed") and not deleting(pod):
                    await delete_pod(self.write, self.recorder, job, pod)
        else:
            try:
                await self._manage(key, job, pods, status, seen)
            except ApiException as error:
                failure = error
        pods = [p for p in self.pods.by_index("owner", uid_of(job)) if matches(labels_of(p))]
        status = self._counted(job, pods, seen)
        self._conditions(job, status, pods, verdict)
        if status != status_of(job):
            await self.write.update_status(JOBS, job, status)
        self._deadline(key, job, status)
        if failure is not None and not failure.namespace_terminating:
            raise failure

    # -- counting --------------------------------------------------------------------------------------------------

    def _counted(self, job: Obj, pods: list[Obj], seen: dict[str, str]) -> Obj:
        before = status_of(job)
        active = [p for p in pods if _active(p)]
        succeeded = sum(1 for v in seen.values() if v.startswith("Succeeded"))
        if job["spec"].get("completionMode") == "Indexed":
            succeeded = len(_completed_indexes(seen))
        failed = sum(1 for v in seen.values() if v.startswith("Failed"))
        status: Obj = {
            "terminating": sum(1 for p in pods if deleting(p) and pod_phase(p) not in ("Succeeded", "Failed"))
        }
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

    async def _manage(self, key: str, job: Obj, pods: list[Obj], status: Obj, seen: dict[str, str]) -> None:
        spec = job["spec"]
        parallelism = int(spec.get("parallelism", 1))
        completions = spec.get("completions")
        active = [p for p in pods if _active(p)]
        wanted = parallelism
        if completions is not None:
            wanted = min(parallelism, completions - status.get("succeeded", 0))
        elif status.get("succeeded", 0) > 0:
            # Without a number of completions, one success ends the creation of pods.
            wanted = len(active)
        surplus = len(active) - max(0, wanted)
        if surplus > 0:
            for pod in sorted(active, key=lambda p: (pod_ready(p), p["metadata"]["creationTimestamp"]))[:surplus]:
                await delete_pod(self.write, self.recorder, job, pod)
            return
        missing = wanted - len(active) - sum(1 for p in pods if deleting(p) and pod_phase(p) == "Pending")
        if missing <= 0:
            return
        delay = self._backoff(job, status)
        if delay > 0:
            self.queue.add_after(key, delay)
            return
        indexes: list[int | None] = [None] * missing
        if spec.get("completionMode") == "Indexed":
            taken = {int(_index(p)) for p in active if _index(p)} | _completed_indexes(seen)
            free = (i for i in range(int(completions or 0)) if i not in taken)
            indexes = list(itertools.islice(free, missing))

        async def create(number: int) -> object:
            return await create_pod(self.write, self.recorder, job, self._new_pod(job, indexes[number]))

        await slow_start(len(indexes), create)

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

    def _deadline(self, key: str, job: Obj, status: Obj) -> None:
        limit = job["spec"].get("activeDeadlineSeconds")
        if limit is not None and status.get("startTime") and not _ended({"status": status}):
            self.queue.add_after(key, max(0.05, limit - age_seconds(status["startTime"])))
        if _ended({"status": status}):
            self.queue.add(key)

    async def _expire(self, key: str, job: Obj) -> None:
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
            self.queue.add_after(key, left)
            return
        await self.write.delete(JOBS, job, propagation="Foreground")


def _condition(kind: str, reason: str, message: str, status: str = "True") -> Obj:
    moment = stamp()
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }


def _ended(job: Obj) -> bool:
    return condition_true(job, "Complete") or condition_true(job, "Failed")


def _active(pod: Obj) -> bool:
    return pod_phase(pod) not in ("Succeeded", "Failed") and not deleting(pod)


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
