# SPDX-License-Identifier: Apache-2.0
"""From what workloads show to what is behind it: hypotheses weighed one against the other, or no change at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from backout.diagnosis.attribution.accounts import changes_of_account
from backout.diagnosis.attribution.capability import able
from backout.diagnosis.attribution.changes import Change, changes_of
from backout.diagnosis.attribution.circumstances import Circumstance
from backout.diagnosis.attribution.custom_change import custom_changes
from backout.diagnosis.attribution.failures import Failure, Kind, failure_of
from backout.diagnosis.attribution.finders import circumstance
from backout.diagnosis.attribution.hypotheses import Hypothesis, Other, Situation
from backout.diagnosis.attribution.overwritten import overwritten
from backout.diagnosis.attribution.rights import changes_of_rights
from backout.diagnosis.attribution.rules import weigh
from backout.diagnosis.evidence.collect import WorkloadKey
from backout.diagnosis.evidence.events import Events
from backout.diagnosis.evidence.history import WorkloadHistory, first_crash
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.change import FieldChange
from backout.model.diagnosis import Confidence
from backout.model.evidence import Symptom

_RANK: dict[Confidence, int] = {"certain": 3, "likely": 2, "possible": 1, "unknown": 0}


class Attribution(msgspec.Struct, kw_only=True):
    """What is behind the failures of one workload: a change (``best``), or a circumstance."""

    history: WorkloadHistory
    symptoms: list[Symptom]
    best: Hypothesis | None = None
    confidence: Confidence = "unknown"
    hypotheses: list[Hypothesis] = []
    circumstance: Circumstance | None = None
    since: datetime | None = None


async def attribute(
    histories: Mapping[WorkloadKey, WorkloadHistory],
    symptoms: Mapping[WorkloadKey, list[Symptom]],
    namespace: Namespace,
    events: Events,
    now: datetime,
) -> list[Attribution]:
    """One attribution for each workload of a namespace; those that nobody changed are asked first, as they tell of the
    others."""
    situations = {key: situation_of(history, symptoms[key], events, now) for key, history in histories.items()}
    changes = dict(
        zip(histories, await asyncio.gather(*(_changes(h, namespace) for h in histories.values())), strict=True)
    )
    weighed = {key: hypotheses_of(changes[key], situations[key]) for key in histories}
    unchanged = {
        key: situations[key].since
        for key, found in weighed.items()
        if situations[key].running and not any(not h.cleared and not h.change.made for h in found)
    }
    for key, situation in situations.items():
        if not situation.running:
            continue
        situation.others = [
            Other(at=at, words=situations[other].words, said=situations[other].said)
            for other, at in unchanged.items()
            if other != key and at is not None
        ]
        weighed[key] = hypotheses_of(changes[key], situation)
    return await asyncio.gather(
        *(_concluded(histories[key], symptoms[key], situations[key], weighed[key], namespace) for key in histories)
    )


async def _changes(history: WorkloadHistory, namespace: Namespace) -> list[Change]:
    told = await custom_changes(history, namespace)
    found = [
        *told,
        *await changes_of(history, namespace, templates=not told),
        *await changes_of_rights(history, namespace),
        *await changes_of_account(history, namespace),
        *overwritten(history),
    ]
    return sorted(found, key=lambda change: change.at.timestamp() if change.at else 0.0)


def situation_of(history: WorkloadHistory, symptoms: Sequence[Symptom], events: Events, now: datetime) -> Situation:
    """What one workload shows, and since when."""
    failures = [failure_of(symptom) for symptom in symptoms]
    # A pause holds a change back; it is no cause of what pods of that change suffer from.
    own = next(
        (
            found
            for less in ({Kind.FOLLOWS, Kind.HELD}, {Kind.FOLLOWS})
            if (found := [failure for failure in failures if failure.kinds - less])
        ),
        failures,
    )
    return Situation(history=history, events=events, failures=own, since=_since(history, own, events), now=now)


def _since(history: WorkloadHistory, failures: Sequence[Failure], events: Events) -> datetime | None:
    """The first sign, and not the last restart."""
    times = [failure.symptom.since for failure in failures if failure.symptom.since is not None]
    for pod in history.failing:
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            if status.last_state.terminated is not None or status.state.terminated is not None:
                crash = first_crash(pod, status, events)
                if crash is not None and any(f.container in ("", status.name) for f in failures):
                    times.append(crash)
    return min(times, default=None)


def hypotheses_of(changes: Sequence[Change], situation: Situation) -> list[Hypothesis]:
    """Each change that touches what fails with fields that could have brought it, weighed."""
    found, history = [], situation.history
    for place, change in enumerate(changes):
        later = {field.path for other in changes[place + 1 :] if _reached(other, history) for field in other.fields}
        # A field that was set again since is not in force any more.
        fields = [field for field in change.fields if field.path not in later or change.made]
        failures = [failure for failure in situation.failures if able(fields, failure)]
        if not failures:
            continue
        mine: dict[str, FieldChange] = {f.path: f for failure in failures for f in able(fields, failure)}
        hypothesis = Hypothesis(change=change, failures=failures, fields=tuple(mine.values()))
        weigh(hypothesis, situation)
        found.append(hypothesis)
    return found


def _reached(change: Change, history: WorkloadHistory) -> bool:
    """True unless all pods that fail were made before the template that the change brought."""
    if not change.generation or not history.failing:
        return True
    places = {one.name: place for place, one in enumerate(history.generations)}
    own = places.get(change.generation, -1)
    return any(places.get(history.generation_of(pod), own) >= own for pod in history.failing)


async def _concluded(
    history: WorkloadHistory,
    symptoms: list[Symptom],
    situation: Situation,
    hypotheses: list[Hypothesis],
    namespace: Namespace,
) -> Attribution:
    attribution = Attribution(history=history, symptoms=symptoms, hypotheses=hypotheses, since=situation.since)
    alive = [one for one in hypotheses if not one.cleared]

    def rank(one: Hypothesis) -> tuple[bool, int, float]:
        others = [other for other in alive if other is not one]
        at = one.change.at.timestamp() if one.change.at else 0.0
        return one.direct, _RANK[one.confidence(others)], at

    best = max(alive, key=rank, default=None)
    if best is not None:
        rivals = [other for other in alive if other is not best and other.change.target != best.change.target]
        attribution.best, attribution.confidence = best, best.confidence(rivals)
    if best is None or attribution.confidence == "possible":
        found = await circumstance(situation, namespace)
        if best is None or found.confidence in ("likely", "certain"):
            attribution.best, attribution.circumstance, attribution.confidence = None, found, found.confidence
    return attribution
