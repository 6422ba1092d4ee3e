# SPDX-License-Identifier: Apache-2.0
"""From symptoms to a cause: which revision brought them, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from backout.cluster.port import ClusterReader
from backout.diagnosis.attribution import object_cause
from backout.diagnosis.attribution.faults import Fault
from backout.diagnosis.attribution.suspects import suspect_of
from backout.diagnosis.evidence.collect import WorkloadKey
from backout.diagnosis.evidence.nearness import SKEW, SOON
from backout.errors import BackoutError
from backout.helm.unfinished import instead, never_installed
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.mechanisms import registry
from backout.mechanisms.port import Reading
from backout.model.change import LedgerEntry
from backout.model.diagnosis import Confidence, Problem
from backout.model.evidence import Symptom
from backout.model.message import Message, msg
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target
from backout.ownership.owner import Owner


@dataclass(slots=True)
class Case:
    """Everything broken that one owner must take back."""

    target: Target
    mechanism: str
    owner: Owner
    symptoms: list[Symptom] = field(default_factory=list)
    workloads: list[WorkloadKey] = field(default_factory=list)
    serving: int = 0
    desired: int = 0
    fault: Fault | None = None
    """The single object that is to blame, where there is one."""
    contents: list[tuple[Fault, list[Symptom]]] = field(default_factory=list)
    """Objects at fault that this owner wrote itself, with what shows because of each."""
    unread: set[ObjectRef] = field(default_factory=set)
    """Objects that the failing pods name, and that may not be read."""

    @property
    def since(self) -> datetime | None:
        """The first sign of any symptom of a pod; of the release where no pod shows one."""
        own = [s.since for s in self.symptoms if s.since and not s.code.startswith("Release")]
        return min(own or [s.since for s in self.symptoms if s.since], default=None)


async def conclude(cluster: ClusterReader, case: Case) -> Problem:
    """The problem of one case. A history that can't be read leaves the cause unknown, and says why."""
    if case.fault is not None:
        return await _of_object(cluster, case, case.fault)
    notes: list[Message] = []
    reading: Reading | None = None
    revisions: Sequence[Revision] = ()
    if case.mechanism:
        try:
            reading = await registry.get(case.mechanism).read(cluster, case.target)
            revisions = reading.revisions
        except BackoutError as error:
            notes.append(msg("Its history can't be read: {reason}", reason=error.message))
    else:
        notes.append(case.owner.message)
    mechanism = case.mechanism
    if mechanism == "helm" and never_installed(revisions):
        notes.append(instead(case.target))
        mechanism = ""
    bad = first_bad(revisions, case.since) or writer(revisions, case)
    confidence, why = less_sure(case.unread, *weigh(revisions, bad, case))
    suspect = _suspect(reading, case, bad)
    notes += _unexplained(case, suspect)
    return Problem(
        target=case.target,
        mechanism=mechanism,
        workload=_workload(case),
        symptoms=tuple(case.symptoms),
        cause=_cause(case, bad, suspect),
        suspect=suspect,
        bad_revision=bad.number if bad else None,
        confidence=confidence,
        why=why,
        notes=tuple(notes),
        serving=case.serving if case.workloads else None,
        desired=case.desired if case.workloads else None,
    )


async def _of_object(cluster: ClusterReader, case: Case, fault: Fault) -> Problem:
    """The problem of one object: its own last change is the cause, whatever the revisions of what reads it."""
    notes = object_cause.notes(fault)
    number = None
    if case.mechanism:
        number = await object_cause.revision_in_force(cluster, case.target)
    else:
        notes.insert(0, case.owner.message)
    fields, evidence = object_cause.shown(fault.before, fault.live)
    symptoms = [*case.symptoms]
    if evidence and symptoms:
        symptoms[0] = msgspec.structs.replace(symptoms[0], evidence=(*symptoms[0].evidence, *evidence))
    sure, why = object_cause.confidence(fault, case.since)
    return Problem(
        target=case.target,
        mechanism=case.mechanism,
        workload=_workload(case),
        symptoms=tuple(symptoms),
        cause=object_cause.cause(fault, symptoms, fields or object_cause.set_by_hand(fault)),
        suspect=object_cause.suspect(fault, case.target, fields or object_cause.set_by_hand(fault)),
        bad_revision=number,
        confidence=sure,
        why=why,
        against=object_cause.against_of(fault),
        notes=tuple(notes),
        readers=fault.readers,
        snapshot=fault.baseline.good.short
        if fault.baseline.good and fault.baseline.kept(fault.ref) is not None
        else "",
        serving=case.serving if case.workloads else None,
        desired=case.desired if case.workloads else None,
    )


def first_bad(revisions: Sequence[Revision], since: datetime | None) -> Revision | None:
    """The revision that brought the symptoms: the first one after the last that is proven good.

    Where none is proven good, the last one that was made before the first symptom.
    """
    last_good = max((i for i, revision in enumerate(revisions) if revision.goodness == "good"), default=None)
    if last_good is not None:
        return next(iter(revisions[last_good + 1 :]), None)
    earlier = [r for r in revisions if since is None or r.created is None or r.created <= since + SKEW]
    return earlier[-1] if earlier else None


def writer(revisions: Sequence[Revision], case: Case) -> Revision | None:
    """The revision that wrote an object which is at fault, though every pod of it is well."""
    times = [fault.written.at for fault, _ in case.contents if fault.written is not None]
    earlier = [r for r in revisions if times and r.created is not None and r.created <= max(times) + SKEW]
    return earlier[-1] if earlier else None


def weigh(revisions: Sequence[Revision], bad: Revision | None, case: Case) -> tuple[Confidence, tuple[Message, ...]]:
    """How sure it is that ``bad`` is the cause, with the reasons."""
    if bad is None:
        if not revisions:
            return "unknown", ()
        return "possible", (msg("The revision in force was healthy before, so something else may have broken it."),)
    good_before = any(r.goodness == "good" and r.number < bad.number for r in revisions)
    why = list(bad.reasons[:2])
    if case.contents and bad.goodness == "good":
        # That its pods are ready speaks neither for nor against what it wrote into an object.
        why = [finding.proof for fault, _ in case.contents for finding in fault.findings if finding.proof][:2]
    gap = case.since - bad.created if case.since and bad.created else None
    if gap is None:
        return "possible", (*why, msg("When it began is not known."))
    if gap < -SKEW:
        return "possible", (*why, msg("The first sign of it is older than that revision."))
    seconds = max(0, int(gap.total_seconds()))
    if gap > SOON:
        return "possible", (*why, msg("It began {seconds} s after that change, which is long.", seconds=seconds))
    why.append(msg("It began {seconds} s after that change.", seconds=seconds))
    if good_before and bad.goodness == "bad":
        return "certain", (*why, msg("The revision before it was healthy."))
    return "likely", tuple(why)


def less_sure(
    unread: Iterable[ObjectRef], confidence: Confidence, why: tuple[Message, ...]
) -> tuple[Confidence, tuple[Message, ...]]:
    """What the failing pods themselves name may be the cause as well, as long as nobody could look at it."""
    names = ", ".join(sorted(map(str, unread)))
    if not names:
        return confidence, why
    said = msg("The failing pods name {objects}, which you may not read: the cause may be there.", objects=names)
    return "possible" if confidence in ("certain", "likely") else confidence, (*why, said)


def _suspect(reading: Reading | None, case: Case, bad: Revision | None) -> LedgerEntry | None:
    if bad is None or reading is None:
        return None
    previous = next((r for r in reversed(reading.revisions) if r.number < bad.number and r.goodness == "good"), None)
    try:
        failing = [*_refs(case), *(fault.ref for fault, _ in case.contents)]
        return suspect_of(reading, bad, previous, failing)
    except BackoutError:
        return None


def _touched(symptom: Symptom, suspect: LedgerEntry | None) -> bool:
    """True unless the suspect is known to have left alone what shows the symptom."""
    if suspect is None or symptom.ref.kind not in WORKLOAD_RESOURCES:
        return True
    names = {(ref.kind, ref.name) for ref in suspect.touches}
    return (symptom.ref.kind, symptom.ref.name) in names


def _unexplained(case: Case, suspect: LedgerEntry | None) -> list[Message]:
    """What fails though the suspect did not change it; nothing is said where it changed nothing that fails."""
    contents = {id(symptom) for _, symptoms in case.contents for symptom in symptoms}
    left = [s for s in case.symptoms if id(s) not in contents and not _touched(s, suspect)]
    if len(left) == len(case.symptoms):
        return []
    return [
        msg(
            "That revision did not change {object}: its {code} may have another cause.",
            object=str(symptom.ref),
            code=symptom.code,
        )
        for symptom in left
    ]


def _refs(case: Case) -> list[ObjectRef]:
    return [
        ObjectRef(WORKLOAD_RESOURCES[kind].api_version, kind, name, namespace)
        for namespace, kind, name in case.workloads
        if kind in WORKLOAD_RESOURCES
    ]


def _workload(case: Case) -> ObjectRef | None:
    refs = _refs(case)
    return refs[0] if len(refs) == 1 else None


def _cause(case: Case, bad: Revision | None, suspect: LedgerEntry | None) -> Message:
    explained = [symptom for symptom in case.symptoms if _touched(symptom, suspect)] or case.symptoms
    codes = ", ".join(dict.fromkeys(symptom.code for symptom in explained))
    if bad is None:
        return msg("{codes}; no change is known that brought it", codes=codes)
    image = next((f for f in suspect.fields if f.path.endswith(".image")), None) if suspect else None
    if image is not None and image.before is not None and image.after is not None:
        return msg(
            "{codes} since revision {number}: image {before} → {after}",
            codes=codes,
            number=bad.number,
            before=str(image.before),
            after=str(image.after),
        )
    return msg("{codes} since revision {number}", codes=codes, number=bad.number)
