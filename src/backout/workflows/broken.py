# SPDX-License-Identifier: Apache-2.0
"""``nothing-broken``: what a diagnosis calls broken is not healthy, whoever asks.

`backout verify` measures it of all that a diagnosis finds. After a run it is measured where the plan was made for something that
objects show as they are: a Service that leads nowhere, a reference to nothing, no replicas. Crashes, events and conditions of
before would only be old signs by then, and have checks of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from backout.cluster.port import ClusterReader
from backout.mechanisms.common.measuring import Placed
from backout.mechanisms.port import CheckOf, Measure
from backout.model.diagnosis import Problem
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import joined, msg
from backout.model.part import Check
from backout.model.target import Target

CODE = "nothing-broken"
STANDING = frozenset(
    {
        "ConnectionRefused",
        "LostRoute",
        "MissingObject",
        "MissingReference",
        "NoEndpoints",
        "NoIngressClass",
        "NoScaleTarget",
        "NoSuchPort",
        "NodesLost",
        "ScaledToZero",
        "WrongBackend",
    }
)
"""Symptoms that last exactly as long as what brings them."""


class BrokenParams(Placed, frozen=True, kw_only=True):
    """``whole``: of the target's namespace, and not of it alone; ``standing``: only what the target itself is to blame for, and
    what objects show as they are."""

    whole: bool = False
    standing: bool = False


def of_namespace(namespace: str, cluster: str) -> Check:
    """Of everything there."""
    target = Target("namespace", namespace, namespace, cluster)
    return Check(code=CODE, target=target, title=msg("A diagnosis finds nothing broken"), params={"whole": True})


def of_target(target: Target) -> Check:
    """Of one target."""
    return Check(
        code=CODE, target=target, title=msg("A diagnosis finds nothing broken of {target}", target=str(target))
    )


def after_run(target: Target, problems: Iterable[Problem]) -> tuple[Check, ...]:
    """The check of a plan that was made for such a problem; none for another one."""
    codes = {symptom.code for problem in problems for symptom in problem.symptoms}
    if not codes & STANDING:
        return ()
    return (
        Check(
            code=CODE,
            target=target,
            title=msg("A diagnosis finds {codes} no more", codes=", ".join(sorted(codes & STANDING))),
            params={"standing": True},
        ),
    )


async def nothing_broken(check: CheckOf[BrokenParams], cluster: ClusterReader) -> Measured:
    """Diagnoses, as `backout diagnose` does."""
    from backout.diagnosis.diagnose import diagnose

    seen = await diagnose(cluster, check.target.namespace, () if check.params.whole else (check.target,))
    problems = list(seen.problems)
    if check.params.standing:
        problems = [p for p in problems if p.target == check.target and any(s.code in STANDING for s in p.symptoms)]
    if problems:
        told = joined(msg("{target}: {cause}", target=str(p.target), cause=p.cause) for p in problems[:3])
        return failed(told, again=True, problems=[str(problem.target) for problem in problems])
    hidden = seen.forbidden if check.params.standing else seen.blind
    if hidden:
        return unknown(msg("not all of it may be looked at: {why}", why=joined(hidden[:3])))
    return passed(msg("nothing is broken"))


MEASURES: Mapping[str, Measure[Any]] = {CODE: Measure(nothing_broken, BrokenParams)}
