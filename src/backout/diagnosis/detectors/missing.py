# SPDX-License-Identifier: Apache-2.0
"""ConfigMaps and Secrets that workloads read and that do not exist.

Pods that run keep what they read, so nothing may be broken yet: the next one that starts is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from msgspec.structs import replace

from backout.diagnosis.attribution.faults import Fault, Finding
from backout.diagnosis.attribution.read_objects import START_CODES, ran_with_it
from backout.diagnosis.detectors.configuration import workload_ref
from backout.diagnosis.detectors.symptoms import serving
from backout.diagnosis.evidence.baseline import Baseline
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.diagnosis.evidence.events import EventIndex
from backout.diagnosis.evidence.metadata import Known, reference
from backout.kube.references import Reference
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.redaction import redact_text
from backout.model.target import ObjectRef


def was_there(ref: ObjectRef, baseline: Baseline, ran: bool) -> Message | None:
    """Why an object that is missing is known to have been there; None when nothing tells."""
    snapshot = baseline.seen(ref)
    if snapshot is not None:
        return msg("Snapshot {id} holds it.", id=snapshot.short)
    there = baseline.installed.get((ref.kind, ref.name))
    if there is not None:
        return msg("Revision {number} of {release} holds it.", number=there.revision, release=str(there.release))
    if ran:
        return msg("Pods that read it are ready: it was there when they started.")
    return None


def unbroken(
    state: State,
    waiting: Collection[WorkloadKey],
    known: Known,
    readable: Callable[[str], bool],
    references: Callable[[WorkloadKey], tuple[Reference, ...]],
) -> Iterator[Finding]:
    """What the running pods of workloads (other than ``waiting``) could not start again without."""
    readers: dict[tuple[str, str, str], list[WorkloadKey]] = defaultdict(list)
    for key, workload in state.workloads.items():
        if key in waiting or serving(workload, key[1])[1] <= 0 or not ran_with_it(workload, key[1]):
            continue
        for one in dict.fromkeys((one.kind, one.name) for one in references(key) if not one.optional):
            if one not in known and readable(one[0]):
                readers[(key[0], *one)].append(key)
    for (namespace, kind, name), keys in sorted(readers.items()):
        ref = reference(kind, name, namespace)
        for key in keys:
            text = msg(
                "{object} does not exist: pods of {workload} go on with what they read, the next can't start",
                object=str(ref),
                workload=str(workload_ref(key)),
            )
            evidence = Evidence(
                source="object",
                ref=workload_ref(key),
                message=msg("{workload} reads {object}", workload=str(workload_ref(key)), object=str(ref)),
            )
            symptom = Symptom(code="MissingReference", ref=workload_ref(key), message=text, evidence=(evidence,))
            yield Finding(
                ref,
                symptom,
                key,
                msg("Pods that read it are ready: it was there when they started."),
                direct=True,
                gone=True,
            )


async def first_signs(events: EventIndex, faults: Collection[Fault]) -> None:
    """Adds what events tell of objects that are gone: since when somebody looked for them in vain."""
    gone = [fault for fault in faults if fault.missing]
    if not gone:
        return
    found = [event for event in (await events.of(gone[0].ref.namespace)).all() if event.type == "Warning"]
    for fault in gone:
        word = re.compile(rf"(?<![\w.-]){re.escape(fault.ref.name)}(?![\w-]|\.\w)")
        about = sorted((e for e in found if e.first is not None and word.search(e.message)), key=lambda e: str(e.first))
        for finding in fault.findings:
            symptom = finding.symptom
            if not about or symptom is None or finding.moved or any(e.source == "event" for e in symptom.evidence):
                continue
            first, last = about[0], about[-1]
            involved = last.involved_object
            evidence = Evidence(
                source="event",
                at=first.first,
                data={"reason": last.reason, "count": last.times},
                ref=ObjectRef("", involved.kind, involved.name, involved.namespace, involved.uid),
                message=msg(
                    "{reason}: {text} (seen {times} times)",
                    reason=last.reason,
                    text=redact_text(last.message)[:300],
                    times=last.times,
                ),
            )
            finding.symptom = replace(
                symptom, since=symptom.since or first.first, evidence=(*symptom.evidence, evidence)
            )


def waits(codes: Collection[str]) -> bool:
    """True for symptoms of pods that wait for an object."""
    return bool(START_CODES & set(codes))
