# SPDX-License-Identifier: Apache-2.0
"""What fails and has no cause of its own, and began to after a change that is taken back: it may fail because of that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from backout.mechanisms.common.backoff import LONGEST
from backout.model.diagnosis import Problem
from backout.model.part import Step
from backout.model.target import WORKLOADS, ObjectRef, Target

START_ANEW, WAIT_READY = "workload.start-anew", "workload.wait-ready"
CRASHES = frozenset({"CrashLoopBackOff", "Error"})
"""What a next start may heal, which a kubelet puts off for ever longer."""


def concerned(problems: Iterable[Problem]) -> list[ObjectRef]:
    """What the problems are of, and what was changed by hand before them: of an upgrade, not all that it touched."""
    found: list[ObjectRef] = []
    for one in problems:
        found += [symptom.ref for symptom in one.symptoms]
        found += [one.workload] if one.workload is not None else []
        if one.suspect is not None and one.suspect.source == "managedfields":
            found += one.suspect.touches
    return list(dict.fromkeys(found))


def followers(problems: Iterable[Problem], acted: Collection[Target]) -> list[Problem]:
    """The problems that may follow from what is taken back with ``acted``."""
    every = list(problems)
    changes = [one.suspect.at for one in every if one.target in acted and one.suspect is not None and one.suspect.at]
    found = []
    for one in every:
        began = [symptom.since for symptom in one.symptoms if symptom.since is not None]
        mine = one.target in acted or bool(set(acted) & set(one.owners))
        if not mine and one.suspect is None and began and any(min(began) >= change for change in changes):
            found.append(one)
    return found


def crashing(problem: Problem) -> list[ObjectRef]:
    """The workloads of it whose pods end again and again."""
    refs = [symptom.ref for symptom in problem.symptoms if symptom.code in CRASHES and symptom.ref.kind != "Pod"]
    return list(dict.fromkeys(refs))


def uncovered(problems: Iterable[Problem], target: Target, steps: Iterable[Step]) -> list[ObjectRef]:
    """The workloads that fail because of the target, by the diagnosis, and of which none of the way back's own steps speaks: what
    calls a program is no part of it."""
    spoken = {(step.params.get("kind"), step.params.get("name")) for step in steps if step.action != START_ANEW}
    spoken |= {(WORKLOADS.get(target.kind), target.name)}
    refs = [ref for one in problems if one.target == target for ref in crashing(one)]
    return [ref for ref in dict.fromkeys(refs) if (ref.kind, ref.name) not in spoken]


def to_start(
    problems: Iterable[Problem], target: Target, steps: Sequence[Step], waiting: Iterable[ObjectRef]
) -> list[ObjectRef]:
    """Who would go on waiting for its next start once the target is back: ``waiting`` are those that the way back knows of itself;
    to them come who fails because of the target, and what began to fail after it."""
    every = list(problems)
    found = [*waiting, *uncovered(every, target, steps)]
    found += [ref for one in followers(every, {target}) for ref in crashing(one)]
    return list(dict.fromkeys(msgspec.structs.replace(ref, uid="") for ref in found if ref.kind in WORKLOADS.values()))


def placed(steps: Iterable[Step], starts: Iterable[Step]) -> list[Step]:
    """Each before it is waited for, or at the end."""
    left = {_about(step): step for step in starts}
    found = []
    for step in steps:
        if step.action == WAIT_READY and _about(step) in left:
            found.append(left.pop(_about(step)))
        found.append(step)
    return [*found, *left.values()]


def waited_for(steps: Iterable[Step], refs: Collection[ObjectRef]) -> list[Step]:
    """The steps, where those workloads start by themselves only: their failing says nothing before the longest back-off is over."""
    found = []
    for step in steps:
        if step.action == WAIT_READY and any((r.kind, r.namespace, r.name) == _about(step) for r in refs):
            patient = {**step.params, "patience": LONGEST}
            step = msgspec.structs.replace(step, params=patient, timeout=max(step.timeout, LONGEST))
        found.append(step)
    return found


def _about(step: Step) -> tuple[Any, Any, Any]:
    return step.params.get("kind"), step.params.get("namespace"), step.params.get("name")
