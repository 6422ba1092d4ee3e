# SPDX-License-Identifier: Apache-2.0
"""CronJobs whose last run failed and the one before did not; CronJobs that somebody suspended since all was well.

A Job that stands alone and failed is what its owner has to look at: it is over, and nothing waits for it.
"""

from __future__ import annotations

from backout.diagnosis.detectors.seen import Seen
from backout.diagnosis.evidence.collect import State
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.namespace import CRONJOBS, JOBS, Namespace
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef


async def detect(namespace: Namespace, state: State, events: Events) -> list[Seen]:
    """One for each CronJob whose newest finished Job failed, where the CronJob was changed since it went well."""
    crons = (await namespace.objects(CRONJOBS)).items
    if not crons:
        return []
    jobs = (await namespace.objects(JOBS)).items
    found = []
    for obj in crons:
        if (obj.get("spec") or {}).get("suspend"):
            continue
        ref = ObjectRef.of(obj)
        mine = [
            job
            for job in jobs
            if any(o.get("uid") == obj["metadata"].get("uid") for o in job["metadata"].get("ownerReferences") or ())
        ]
        mine.sort(key=lambda job: str(job["metadata"].get("creationTimestamp")))
        if not mine:
            continue
        failed = next(
            (
                c
                for c in (mine[-1].get("status") or {}).get("conditions") or ()
                if c.get("type") == "Failed" and c.get("status") == "True"
            ),
            None,
        )
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
