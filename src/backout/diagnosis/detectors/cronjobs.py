# SPDX-License-Identifier: Apache-2.0
"""CronJobs whose last run failed and the one before did not; Jobs that were made anew with another template, and failed; Jobs
whose pods are refused.

Another Job that stands alone and failed is what its owner has to look at: it is over, and nothing waits for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from backout.cluster.port import Object
from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import CRONJOBS, JOBS, SERVICEACCOUNTS, Namespace
from backout.kube.names import HELM_HOOK
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each CronJob whose newest finished Job failed, and for each Job of nobody's that failed and is not as it was when
    all was well."""
    crons, jobs = (await namespace.objects(CRONJOBS)).items, (await namespace.objects(JOBS)).items
    found = [*await _alone(namespace, jobs), *await _refused(namespace, crons, jobs, events)]
    for obj in crons:
        if (obj.get("spec") or {}).get("suspend"):
            continue
        ref = ObjectRef.of(obj)
        mine = _jobs_of(obj, jobs)
        if not mine:
            continue
        failed = _failed(mine[-1])
        if failed is None:
            continue
        name = mine[-1]["metadata"]["name"]
        symptom = Symptom(
            code="JobFailed",
            ref=ObjectRef(ref.api_version, ref.kind, ref.name, namespace.name),
            message=msg(
                "its last run, job/{name}, failed: {detail}",
                name=name,
                detail=redact_text(str(failed.get("message") or failed.get("reason"))),
            ),
            evidence=(
                Evidence(
                    source="condition",
                    ref=ObjectRef.of(mine[-1]),
                    message=msg("{reason}", reason=str(failed.get("reason"))),
                ),
            ),
        )
        found.append(Seen(symptom=symptom, at_fault=obj, fields="jobTemplate", confidence="likely"))
    return found


def _jobs_of(cron: Object, jobs: list[Object]) -> list[Object]:
    """The newest last."""
    uid = cron["metadata"].get("uid")
    mine = [job for job in jobs if any(o.get("uid") == uid for o in job["metadata"].get("ownerReferences") or ())]
    return sorted(mine, key=lambda job: str(job["metadata"].get("creationTimestamp")))


async def _refused(namespace: Namespace, crons: list[Object], jobs: list[Object], events: Events) -> list[Seen]:
    """Jobs that go on and have no pod, since none is let in: the newest of each CronJob, and those of nobody's."""
    makers = {mine[-1]["metadata"]["name"]: cron for cron in crons if (mine := _jobs_of(cron, jobs))}
    found = []
    for job in jobs:
        name, status = job["metadata"]["name"], job.get("status") or {}
        over = any(c.get("type") in ("Failed", "Complete", "FailureTarget") for c in status.get("conditions") or ())
        if (
            over
            or status.get("active")
            or (job.get("spec") or {}).get("suspend")
            or (job["metadata"].get("ownerReferences") and name not in makers)
        ):
            continue
        said = [e for e in events.warnings(namespace.name, "Job", name) if e.reason == "FailedCreate"]
        if not said:
            continue
        owner = makers.get(name, job)
        text = redact_text(said[-1].message)[:300]
        shown = ObjectRef("batch/v1", str(owner["kind"]), owner["metadata"]["name"], namespace.name)
        ref = ObjectRef("batch/v1", "Job", name, namespace.name)
        symptom = Symptom(
            code="ReplicaFailure",
            ref=shown,
            since=min((e.first for e in said if e.first is not None), default=None),
            message=msg("pods of {job} can't be created: {detail}", job=str(ref), detail=text),
            evidence=(
                Evidence(
                    source="event",
                    ref=ref,
                    at=said[-1].last,
                    message=msg(
                        "{reason}: {text} (seen {times} times)", reason=said[-1].reason, text=text, times=said[-1].times
                    ),
                ),
            ),
        )
        gone = await _account_that_went(namespace, job)
        found.append(
            Seen(symptom=symptom, gone=gone)
            if gone is not None
            else Seen(symptom=symptom, at_fault=owner, fields=r"template\.spec")
        )
    return found


async def _account_that_went(namespace: Namespace, job: Object) -> ObjectRef | None:
    """The account that the pods of a Job run as, where it does not exist and the last good snapshot has it."""
    spec = (((job.get("spec") or {}).get("template") or {}).get("spec")) or {}
    name = str(spec.get("serviceAccountName") or "default")
    there = await namespace.objects_meta(SERVICEACCOUNTS)
    known = ("ServiceAccount", name) in (await namespace.baseline()).entries
    gone = ObjectRef("v1", "ServiceAccount", name, namespace.name)
    return gone if there is not None and name not in there and known else None


def _failed(job: Object) -> dict[str, Any] | None:
    """The condition that says so."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            return dict(condition)
    return None


async def _alone(namespace: Namespace, jobs: list[Object]) -> list[Seen]:
    """Jobs that nobody runs again, made since the last good snapshot under a name that it has."""
    found = []
    for job in jobs:
        meta, failed = job["metadata"], _failed(job)
        if failed is None or meta.get("ownerReferences") or HELM_HOOK in (meta.get("annotations") or {}):
            continue
        baseline = await namespace.baseline()
        ref = ObjectRef("batch/v1", "Job", meta["name"], namespace.name)
        if baseline.good is None or baseline.kept(ref) is None:
            continue
        if msgspec.convert(meta["creationTimestamp"], datetime) <= baseline.good.taken_at:
            continue
        symptom = Symptom(
            code="JobFailed",
            ref=ref,
            message=msg(
                "{job} failed: {detail}",
                job=str(ref),
                detail=redact_text(str(failed.get("message") or failed.get("reason"))),
            ),
            evidence=(
                Evidence(source="condition", ref=ref, message=msg("{reason}", reason=str(failed.get("reason")))),
            ),
        )
        found.append(Seen(symptom=symptom, at_fault=job, fields=r"template\.spec", only_changed=True))
    return found
