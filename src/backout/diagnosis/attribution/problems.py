# SPDX-License-Identifier: Apache-2.0
"""The problems of a diagnosis, from what was found to be behind each workload: one for each cause."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from backout.diagnosis.attribution.changes import short
from backout.diagnosis.attribution.hypotheses import Hypothesis, Reason
from backout.diagnosis.attribution.root_cause import less_sure
from backout.diagnosis.attribution.workloads import Attribution
from backout.diagnosis.detectors.replicas import WANTED
from backout.diagnosis.evidence.collect import State, WorkloadKey
from backout.kube.rollout import desired
from backout.model.diagnosis import Considered, Problem
from backout.model.evidence import Symptom
from backout.model.message import Message, msg
from backout.model.target import ObjectRef, Target

Owners = dict[WorkloadKey, tuple[Target, tuple[Message, ...]]]
"""What would have to be acted on for each workload, and what has to be said of that."""
SHOWN = 3
CONSIDERED = 5


def problems_of(attributions: Iterable[Attribution], state: State, owners: Owners) -> list[Problem]:
    """One problem for each cause; workloads that suffer from the same are told together."""
    groups: dict[tuple[object, ...], list[Attribution]] = {}
    for one in attributions:
        groups.setdefault(_key(one), []).append(one)
    return [_completed(_problem(group, state, owners), group, state, owners) for group in groups.values()]


def _completed(problem: Problem, group: list[Attribution], state: State, owners: Owners) -> Problem:
    unread = {ref for one in group for ref in state.unread.get(one.history.key, ())}
    confidence, why = less_sure(unread, problem.confidence, problem.why)
    found = {owners[one.history.key][0] for one in group} - {problem.target}
    named = {one.history.itself for one in group}
    return msgspec.structs.replace(problem, confidence=confidence, why=why, owners=tuple(sorted(found - named)))


def _key(one: Attribution) -> tuple[object, ...]:
    if one.best is not None:
        change = one.best.change
        return "change", change.target, change.revision, change.at if change.by_hand else None
    assert one.circumstance is not None
    return "circumstance", one.circumstance.key


def _problem(group: list[Attribution], state: State, owners: Owners) -> Problem:
    first = max(group, key=lambda one: ["unknown", "possible", "likely", "certain"].index(one.confidence))
    symptoms = [symptom for one in group for symptom in one.symptoms]
    ready, wanted = _serving(group, state)
    refs = [one.history.ref for one in group]
    itself, owner_notes = owners[first.history.key]
    notes = [*owner_notes]
    if first.best is not None:
        change = first.best.change
        return Problem(
            target=change.target,
            mechanism=change.mechanism,
            workload=_plain(refs[0]) if len(refs) == 1 else None,
            symptoms=tuple(symptoms),
            cause=_cause(first.best, symptoms),
            suspect=change.entry(first.best.fields),
            bad_revision=change.revision,
            confidence=first.confidence,
            why=_why(first.best.reasons),
            against=_against(first.best.reasons),
            considered=_considered(first),
            notes=(*change.notes, *(notes if not change.mechanism else ())),
            serving=ready,
            desired=wanted,
        )
    found = first.circumstance
    assert found is not None
    elsewhere = found.change
    if elsewhere is None and not any("no change" in note.text for note in notes):
        notes.append(
            msg("Going back would not mend it, as far as anything tells; name a target to go back all the same.")
        )
    return Problem(
        target=elsewhere.target if elsewhere is not None else itself,
        mechanism=elsewhere.mechanism if elsewhere is not None else "",
        workload=_plain(refs[0]) if len(refs) == 1 else None,
        symptoms=tuple(symptoms),
        cause=found.cause,
        suspect=elsewhere.entry() if elsewhere is not None else None,
        bad_revision=elsewhere.revision if elsewhere is not None else None,
        confidence=found.confidence,
        why=found.why,
        considered=_considered(first),
        notes=(*found.notes, *notes),
        serving=ready,
        desired=wanted,
    )


def _serving(group: list[Attribution], state: State) -> tuple[int | None, int | None]:
    """Ready pods and wanted ones; nothing where nobody knows how many there should be."""
    ready = wanted = 0
    for one in group:
        workload = state.workloads.get(one.history.key)
        if workload is not None:
            kind = one.history.key[1]
            ready += workload.status.number_ready if kind == "DaemonSet" else workload.status.ready_replicas
            # Where it has no replicas, how many it should have stands in what was seen.
            told = [int(e.data.get(WANTED, 0)) for symptom in one.symptoms for e in symptom.evidence]
            wanted += desired(kind, workload) or max(told, default=0)
        elif one.history.key in state.makers:
            spec, status = one.history.obj.get("spec") or {}, one.history.obj.get("status") or {}
            serves = status.get("availableReplicas", status.get("readyReplicas"))
            ready += serves if isinstance(serves, int) else 0
            wanted += spec["replicas"] if isinstance(spec.get("replicas"), int) else 0
    return (ready, wanted) if wanted else (None, None)


def _why(reasons: Iterable[Reason]) -> tuple[Message, ...]:
    return tuple(reason.message for reason in reasons if reason.weight in ("direct", "for", "weak"))


def _against(reasons: Iterable[Reason]) -> tuple[Message, ...]:
    return tuple(reason.message for reason in reasons if reason.weight in ("against", "clears"))


def _considered(one: Attribution) -> tuple[Considered, ...]:
    """The other changes that touch what fails, those not ruled out first, the newest first."""
    others = [h for h in one.hypotheses if h is not one.best and h.change.at is not None]
    others.sort(key=lambda h: (not h.cleared, h.change.at.timestamp() if h.change.at else 0.0), reverse=True)
    found = []
    for hypothesis in others[:CONSIDERED]:
        entry = hypothesis.change.entry(hypothesis.fields)
        if entry is not None:
            found.append(
                Considered(
                    change=entry,
                    confidence=hypothesis.confidence([h for h in one.hypotheses if h is not hypothesis]),
                    why=_why(hypothesis.reasons),
                    against=_against(hypothesis.reasons),
                )
            )
    return tuple(found)


def _cause(best: Hypothesis, symptoms: Iterable[Symptom]) -> Message:
    """One sentence: what shows, and what was changed."""
    change = best.change
    codes = ", ".join(dict.fromkeys(symptom.code for symptom in symptoms))
    if change.made:
        return msg(
            "{codes} since {object} was created: it never ran",
            codes=codes,
            object=str(change.touches[0]) if change.touches else str(change.target),
        )
    image = next((f for f in best.fields if f.path.endswith(".image") and f.before and f.after), None)
    if image is not None and change.revision is not None:
        return msg(
            "{codes} since revision {number}: image {before} → {after}",
            codes=codes,
            number=change.revision,
            before=str(image.before),
            after=str(image.after),
        )
    if change.mechanism == "helm" and change.revision is None and not change.by_hand:
        return msg(
            "{codes} since a revision of {target} that is pruned: {what}",
            codes=codes,
            target=str(change.target),
            what=msg("image {before} → {after}", before=str(image.before), after=str(image.after))
            if image is not None
            else ", ".join(dict.fromkeys(short(field.path) for field in best.fields[:SHOWN])),
        )
    names = ", ".join(dict.fromkeys(short(field.path) for field in best.fields[:SHOWN]))
    more = ", …" if len(best.fields) > SHOWN else ""
    if change.actor and change.by_hand:
        return msg("{codes} since {manager} changed {keys}", codes=codes, manager=change.actor, keys=names + more)
    if change.revision is not None:
        return msg(
            "{codes} since revision {number}: {fields}", codes=codes, number=change.revision, fields=names + more
        )
    return msg("{codes}; {keys} were changed, by whom is not recorded", codes=codes, keys=names + more)


def _plain(ref: ObjectRef) -> ObjectRef:
    return ObjectRef(ref.api_version, ref.kind, ref.name, ref.namespace)
