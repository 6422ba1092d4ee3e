# SPDX-License-Identifier: Apache-2.0
"""StatefulSets and DaemonSets whose pods can't be made: they have no condition that says so, only events."""

from __future__ import annotations

from datetime import datetime, timedelta

from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.events import Events
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.rollout import desired
from backout.model.evidence import Evidence, Symptom
from backout.model.message import msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef

FRESH = timedelta(minutes=15)
"""The controller tries again with a back-off that grows to some minutes."""


def refused(state: State, events: Events, namespace: str, now: datetime) -> dict[WorkloadKey, Symptom]:
    """Those with fewer pods than they want, and a refusal that is not old."""
    found = {}
    for key, workload in state.workloads.items():
        if key[0] != namespace or key[1] == "Deployment":
            continue
        status = workload.status
        there = status.number_ready if key[1] == "DaemonSet" else status.ready_replicas
        told = status.observed_generation >= workload.metadata.generation
        if there >= desired(key[1], workload) and told:
            # Before 1.27 a DaemonSet whose pods are refused kept the status of the generation before.
            continue
        said = [e for e in events.warnings(*key) if e.reason == "FailedCreate" and e.last is not None]
        if not said or now - (said[-1].last or now) > FRESH:
            continue
        last, ref = said[-1], ObjectRef(WORKLOAD_RESOURCES[key[1]].api_version, key[1], key[2], key[0])
        text = redact_text(last.message)[:300]
        found[key] = Symptom(
            code="ReplicaFailure",
            ref=ref,
            since=min((e.first for e in said if e.first is not None), default=None),
            message=msg("pods can't be created: {detail}", detail=text),
            evidence=(
                Evidence(
                    source="event",
                    ref=ref,
                    at=last.last,
                    data={"reason": last.reason, "count": last.times},
                    message=msg(
                        "{reason}: {text} (seen {times} times)", reason=last.reason, text=text, times=last.times
                    ),
                ),
            ),
        )
    return found
