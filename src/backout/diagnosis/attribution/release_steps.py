# SPDX-License-Identifier: Apache-2.0
"""Services and Ingresses that a revision of their own release made lead nowhere: the revision, and the field of it.

Such a field makes the symptom by itself, at once and for as long as it stays: which revision brought it is in the release's
records, so neither when it showed first nor whether that revision's pods are well matters.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from backout.cluster.port import ClusterReader
from backout.diagnosis.attribution.changes import Change, short
from backout.diagnosis.attribution.faults import Fault, Way
from backout.diagnosis.attribution.object_change import step_of_release
from backout.diagnosis.evidence.baseline import ROUTES
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.diagnosis import Confidence, Problem
from backout.model.evidence import Symptom
from backout.model.message import Message, distinct, msg
from backout.model.target import Target


async def find_steps(cluster: ClusterReader, found: Iterable[tuple[Fault, Way]]) -> None:
    """Fills in `Fault.step` of those that a release wrote."""
    wanted = [(fault, way) for fault, way in found if way.mechanism == "helm" and fault.ref.kind in ROUTES]
    namespaces = {name: Namespace(cluster, name) for name in {fault.ref.namespace for fault, _ in wanted}}

    async def one(fault: Fault, way: Way) -> None:
        release = (await namespaces[fault.ref.namespace].releases()).get(way.target.name)
        if release is not None:
            fault.step = await step_of_release(release, fault.ref, fault.fields)

    try:
        await asyncio.gather(*(one(fault, way) for fault, way in wanted))
    finally:
        await asyncio.gather(*(namespace.close() for namespace in namespaces.values()))


def problems_of_steps(found: Iterable[Fault]) -> list[Problem]:
    """One problem for each revision that made something lead nowhere."""
    groups: dict[tuple[Target, int | None], list[tuple[Fault, Change]]] = defaultdict(list)
    for fault in found:
        if fault.step is not None:
            groups[fault.step.target, fault.step.revision].append((fault, fault.step))
    return [_problem(group) for group in groups.values()]


def _problem(group: Sequence[tuple[Fault, Change]]) -> Problem:
    symptoms = [symptom for fault, step in group for symptom in _symptoms(fault, step)]
    codes = ", ".join(dict.fromkeys(symptom.code for symptom in symptoms))
    first = group[0][1]
    fields = tuple(field for _, step in group for field in step.fields)
    change = replace(first, fields=fields, touches=tuple(ref for _, step in group for ref in step.touches))
    names = ", ".join(dict.fromkeys(short(field.path) for field in fields[:3]))
    return Problem(
        target=change.target,
        mechanism=change.mechanism,
        symptoms=tuple(symptoms),
        cause=msg("{codes} since revision {number}: {fields}", codes=codes, number=change.revision, fields=names),
        suspect=change.entry(),
        bad_revision=change.revision,
        confidence=_confidence([fault for fault, _ in group]),
        why=_why(group),
        readers=tuple(sorted({reader for fault, _ in group for reader in fault.readers})),
    )


def _symptoms(fault: Fault, step: Change) -> Iterable[Symptom]:
    for finding in fault.findings:
        if finding.symptom is not None:
            yield replace(finding.symptom, since=finding.symptom.since or step.at)


def _confidence(faults: Sequence[Fault]) -> Confidence:
    """Certain where it was seen, and a good snapshot holds what led somewhere."""
    sure = all(
        any(finding.direct for finding in fault.findings) and fault.before is not None and fault.before.good
        for fault in faults
    )
    return "certain" if sure else "likely"


def _why(group: Sequence[tuple[Fault, Change]]) -> tuple[Message, ...]:
    proofs = [finding.proof for fault, _ in group for finding in fault.findings if finding.proof is not None]
    told = [msg("It is not as in {source}.", source=step.before) for _, step in group if step.before is not None]
    return distinct((*proofs, *told))[:4]
