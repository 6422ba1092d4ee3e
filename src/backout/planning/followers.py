# SPDX-License-Identifier: Apache-2.0
"""What fails and has no cause of its own, and began to after a change that is taken back: it may fail because of that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from backout.model.diagnosis import Problem
from backout.model.part import Step
from backout.model.target import WORKLOADS, ObjectRef, Target

START_ANEW = "workload.start-anew"
CRASHES = frozenset({"CrashLoopBackOff", "Error"})
"""What a next start may heal, which a kubelet puts off for ever longer."""


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
