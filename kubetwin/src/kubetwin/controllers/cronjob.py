# SPDX-License-Identifier: Apache-2.0
"""CronJobs (facts: pkg/controller/cronjob): five-field schedules, concurrency policy, history limits."""

from __future__ import annotations

import copy
import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kubetwin.client import ApiException, Obj
from kubetwin.controllers.base import ObjectController
from kubetwin.controllers.job import job_ended
from kubetwin.controllers.refs import owner_keys
from kubetwin.informer import key_of
from kubetwin.kinds import CRONJOBS, JOBS
from kubetwin.meta import (
    condition_true,
    name_of,
    namespace_of,
    now,
    owner_index,
    owner_reference,
    parse_time,
    stamp,
    status_of,
    uid_of,
)

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_NAMES = {
    3: ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    4: ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}

_NEVER = "time difference between two schedules is less than 1 second"
"""What a controller says of a day that no month has: it takes no time at all for two times."""


class Schedule:
    """A cron expression. Raises ValueError when it is malformed."""

    def __init__(self, text: str) -> None:
        parts = _MACROS.get(text.strip(), text).split()
        if len(parts) != 5:
            raise ValueError(f"expected exactly 5 fields, found {len(parts)}: {text}")
        self._sets = [self._field(part, index) for index, part in enumerate(parts)]
        self._any_day = parts[2] in ("*", "?")
        self._any_weekday = parts[4] in ("*", "?")

    @staticmethod
    def _field(text: str, index: int) -> frozenset[int]:
        low, high = _FIELDS[index]
        out: set[int] = set()

        def number(word: str) -> int:
            names = _NAMES.get(index)
            if names and word.lower() in names:
                return names.index(word.lower()) + low
            value = int(word)
            return 0 if index == 4 and value == 7 else value

        for part in text.split(","):
            body, _, step = part.partition("/")
            first, last = low, high
            if body not in ("*", "?"):
                start, dash, end = body.partition("-")
                first = number(start)
                last = number(end) if dash else (high if step else first)
            if not low <= first <= last <= high:
                raise ValueError(f"value out of range in {text}")
            out.update(range(first, last + 1, int(step or 1)))
        return frozenset(out)

    def _day(self, when: dt.datetime) -> bool:
        day = when.day in self._sets[2]
        weekday = (when.weekday() + 1) % 7 in self._sets[4]
        # With both given, either is enough.
        return day and weekday if self._any_day or self._any_weekday else day or weekday

    def after(self, when: dt.datetime) -> dt.datetime | None:
        """The first time later than ``when``; None when there is none in five years."""
        at = when.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)
        limit = at + dt.timedelta(days=5 * 366)
        while at < limit:
            if at.month not in self._sets[3] or not self._day(at):
                at = at.replace(hour=0, minute=0) + dt.timedelta(days=1)
            elif at.hour not in self._sets[1]:
                at = at.replace(minute=0) + dt.timedelta(hours=1)
            elif at.minute not in self._sets[0]:
                at += dt.timedelta(minutes=1)
            else:
                return at
        return None


class CronJobController(ObjectController):
    name = "cronjob"
    resource = CRONJOBS

    def setup(self) -> None:
        super().setup()
        self.jobs = self.inform(JOBS)
        self.jobs.add_index("owner", owner_index)
        self.jobs.add_handler(self._job_changed)

    def _job_changed(self, old: Obj | None, new: Obj | None) -> None:
        for key in owner_keys(self.objects, "CronJob", old, new):
            self.queue.add(key)

    async def reconcile(self, obj: Obj) -> None:
        jobs = self.jobs.by_index("owner", uid_of(obj))
        status = dict(status_of(obj))
        running = [j for j in jobs if not job_ended(j)]
        done = [c for c in (status_of(j).get("completionTime") for j in jobs if condition_true(j, "Complete")) if c]
        if done:
            status["lastSuccessfulTime"] = max(done)
        await self._trim(obj, jobs)
        if not obj["spec"].get("suspend"):
            await self._schedule(obj, status, running)
            running = [j for j in self.jobs.by_index("owner", uid_of(obj)) if not job_ended(j)]
        if running:
            status["active"] = [
                {
                    "kind": "Job",
                    "namespace": namespace_of(obj),
                    "name": name_of(j),
                    "uid": uid_of(j),
                    "apiVersion": "batch/v1",
                    "resourceVersion": j["metadata"]["resourceVersion"],
                }
                for j in running
            ]
        else:
            status.pop("active", None)
        await self.write_status(obj, status)

    async def _schedule(self, cron: Obj, status: Obj, running: list[Obj]) -> None:
        spec = cron["spec"]
        try:
            schedule = Schedule(spec["schedule"])
            zone = ZoneInfo(spec["timeZone"]) if spec.get("timeZone") else dt.UTC
        except (ValueError, ZoneInfoNotFoundError) as error:
            self.recorder.event(
                cron, "Warning", "UnparseableSchedule", f"unparseable schedule: {spec['schedule']!r} : {error}"
            )
            return
        if schedule.after(dt.datetime(2000, 1, 1, tzinfo=zone)) is None:
            text = f"invalid schedule: {spec['schedule']} : {_NEVER}"
            self.recorder.event(cron, "Warning", "InvalidSchedule", text)
            return
        moment = now()
        since = parse_time(status.get("lastScheduleTime") or cron["metadata"].get("creationTimestamp")) or moment
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None:
            since = max(since, moment - dt.timedelta(seconds=deadline))
        due: dt.datetime | None = None
        at = schedule.after(since.astimezone(zone))
        while at is not None and at <= moment:
            due, at = at, schedule.after(at)
        if due is not None:
            policy = spec.get("concurrencyPolicy") or "Allow"
            if policy == "Forbid" and running:
                self.recorder.event(
                    cron,
                    "Normal",
                    "JobAlreadyActive",
                    "Not starting job because prior execution is running and concurrency policy is Forbid",
                )
            else:
                if policy == "Replace":
                    for job in running:
                        await self.write.delete(JOBS, job, propagation="Background")
                        self.recorder.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")
                await self._start(cron, due)
                status["lastScheduleTime"] = stamp(due.astimezone(dt.UTC))
        if at is not None:
            self.queue.add_after(key_of(cron), max(0.1, (at - now()).total_seconds() + 0.1))

    async def _start(self, cron: Obj, due: dt.datetime) -> None:
        template = cron["spec"]["jobTemplate"]
        meta = template.get("metadata") or {}
        job: Obj = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                # One name a scheduled minute keeps a time from being started twice.
                "name": f"{name_of(cron)}-{int(due.timestamp()) // 60}",
                "namespace": namespace_of(cron),
                "labels": dict(meta.get("labels") or {}),
                "annotations": {
                    **(meta.get("annotations") or {}),
                    "batch.kubernetes.io/cronjob-scheduled-timestamp": due.isoformat().replace("+00:00", "Z"),
                },
                "ownerReferences": [owner_reference(cron)],
            },
            "spec": copy.deepcopy(template["spec"]),
        }
        try:
            created = await self.write.create(JOBS, job)
        except ApiException as error:
            if error.already_exists:
                return
            self.recorder.event(cron, "Warning", "FailedCreate", f"Error creating job: {error.message}")
            raise
        self.recorder.event(cron, "Normal", "SuccessfulCreate", f"Created job {name_of(created)}")

    async def _trim(self, cron: Obj, jobs: list[Obj]) -> None:
        for kind, field, default in (
            ("Complete", "successfulJobsHistoryLimit", 3),
            ("Failed", "failedJobsHistoryLimit", 1),
        ):
            limit = cron["spec"].get(field, default)
            ended = sorted(
                (j for j in jobs if condition_true(j, kind)), key=lambda j: status_of(j).get("startTime") or ""
            )
            for job in ended[: max(0, len(ended) - int(limit))]:
                await self.write.delete(JOBS, job, propagation="Background")
                self.recorder.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")
