# SPDX-License-Identifier: Apache-2.0
"""ConfigMaps and Secrets that workloads read and that do not exist.

Pods that run keep what they read, so nothing may be broken yet: the next one that starts is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from backout.diagnosis.blame import START_CODES, ran_with_it
from backout.diagnosis.collect import State, WorkloadKey
from backout.diagnosis.configuration import workload_ref
from backout.diagnosis.faults import Finding
from backout.diagnosis.holdings import Known, reference
from backout.diagnosis.past import Past
from backout.diagnosis.symptoms import serving
from backout.ledger.references import Reference
from backout.model.evidence import Evidence, Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef


def was_there(ref: ObjectRef, past: Past, ran: bool) -> Message | None:
    """Why an object that is missing is known to have been there; None when nothing tells."""
    snapshot = past.seen(ref)
    if snapshot is not None:
        return msg("Snapshot {id} holds it.", id=snapshot.short)
    there = past.installed.get((ref.kind, ref.name))
    if there is not None:
        return msg("Revision {number} of {release} holds it.", number=there.revision, release=str(there.release))
    if ran:
        return msg("Pods that read it are ready: it was there when they started.")
    return None


def unbroken(
    state: State, waiting: Collection[WorkloadKey], known: Known, readable: Callable[[str], bool],
    references: Callable[[WorkloadKey], tuple[Reference, ...]],
) -> Iterator[Finding]:  # fmt: skip
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
            text = msg("{object} does not exist: pods of {workload} go on with what they read, the next can't start",
                       object=str(ref), workload=str(workload_ref(key)))  # fmt: skip
            evidence = Evidence(source="object", ref=workload_ref(key),
                                message=msg("{workload} reads {object}", workload=str(workload_ref(key)),
                                            object=str(ref)))  # fmt: skip
            symptom = Symptom(code="MissingReference", ref=workload_ref(key), message=text, evidence=(evidence,))
            yield Finding(ref, symptom, key, msg("Pods that read it are ready: it was there when they started."),
                          direct=True)  # fmt: skip


def waits(codes: Collection[str]) -> bool:
    """True for symptoms of pods that wait for an object."""
    return bool(START_CODES & set(codes))
