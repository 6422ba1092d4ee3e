# SPDX-License-Identifier: Apache-2.0
"""Which part goes after which: what plans tell of each other, and what the user says. Pure.

Plans tell two things. A single object (a ConfigMap with the hashring, a Secret) goes back before what reads it: a receiver that is scaled
or started before its ring is right joins a wrong one (`mechanisms.objects.hashring`). And what a part creates is there before
the part whose pods need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from backout.errors import UsageError
from backout.model.fleet import Fleet
from backout.model.operation import Operation
from backout.model.part import Part
from backout.model.target import WORKLOADS, parse_target

NEEDS_FIRST = "needs-first"
"""The code of the risk that a part's pods need what another one creates; its argument ``objects`` names them."""
EXPECTED = "LATER=EARLIER, such as helm/web=configmap/ring, or CLUSTER/kind/name where one cluster is meant"

After = Mapping[str, tuple[str, ...]]
"""By the id of a part, those of the parts that come before it."""


def between(parts: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """What the parts need of each other, as far as their plans tell; of two that each tell so of the other, neither."""
    found = {part.id: [other.id for other in parts if _needs(part, other)] for part in parts}
    return {part: tuple(one for one in needs if part not in found[one]) for part, needs in found.items()}


def with_needs(parts: Sequence[Part], said: Sequence[str] = ()) -> tuple[Part, ...]:
    """The parts with what they need of each other. ``said``: pairs of the user, which count more than what plans tell.

    Raises:
        UsageError: a pair is written wrong or names no part, or they go in a circle.
    """
    wanted = _said(parts, said)
    told = between(parts)
    found = []
    for part in parts:
        own = [one for one in (*part.needs, *told[part.id]) if part.id not in wanted.get(one, ())]
        needs = tuple(dict.fromkeys((*own, *wanted.get(part.id, ()))))
        found.append(msgspec.structs.replace(part, needs=needs))
    _require_no_circle(found)
    return tuple(found)


def before(plan: Operation, others: Sequence[Operation]) -> list[Operation]:
    """Which of the ``others``, plans of one call for a target each, have to be verified before this one begins."""
    return [
        other for other in others if other is not plan and _goes_after(plan, other) and not _goes_after(other, plan)
    ]


def in_turn(plans: Sequence[Operation]) -> list[Operation]:
    """Such plans, each after those that come `before` it; otherwise as they are."""
    left, ordered = list(plans), []
    while left:
        ready = next((one for one in left if not before(one, left)), left[0])
        left.remove(ready)
        ordered.append(ready)
    return ordered


def _goes_after(plan: Operation, other: Operation) -> bool:
    return any(_needs(part, first) for part in plan.parts for first in other.parts)


def require_before(fleet: Fleet, parts: Sequence[Part]) -> None:
    """
    Raises:
        UsageError: what a part needs comes in a later wave than itself.
    """
    for part in parts:
        for need in part.needs:
            if fleet.wave_of(need) > fleet.wave_of(part.id):
                raise UsageError(
                    "{later} is to go after {earlier}, which comes in a later wave.",
                    later=part.id,
                    earlier=need,
                    expected="{earlier} in wave {own} or before",
                    found="wave {other}",
                    own=fleet.wave_of(part.id),
                    other=fleet.wave_of(need),
                    hint="Say other waves with --wave: clusters are named in the order in which they go.",
                )


def _needs(part: Part, other: Part) -> bool:
    if part.scope.cluster != other.scope.cluster or part.scope.namespace != other.scope.namespace or part is other:
        return False
    return _reads(part, other) or _made_by(part, other)


def _reads(part: Part, other: Part) -> bool:
    """Whether ``other`` takes a single object back, and a workload of this part reads that."""
    if not other.target.single or part.target.single:
        return False
    readers = {(reader.ref.kind, reader.ref.name) for problem in other.problems for reader in problem.readers}
    readers |= {(str(step.params.get("kind")), str(step.params.get("name"))) for step in other.steps}
    mine = {(change.ref.kind, change.ref.name) for change in part.changes.objects}
    mine.add((WORKLOADS.get(part.target.kind, ""), part.target.name))
    return any(kind in WORKLOADS.values() for kind, _ in readers & mine)


def _made_by(part: Part, other: Part) -> bool:
    made = {str(change.ref) for change in other.changes.objects if change.action == "create"}
    wanted = [str(risk.message.args.get("objects", "")) for risk in part.risks if risk.code == NEEDS_FIRST]
    return any(made & set(names.split(", ")) for names in wanted)


def _said(parts: Sequence[Part], said: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in said:
        left, equals, right = text.partition("=")
        if not equals or not left or not right:
            raise UsageError("--after {text} says nothing of an order.", text=text, expected=EXPECTED)
        later, earlier = _meant(parts, left, text), _meant(parts, right, text)
        everywhere = _cluster_of(right) == "" == _cluster_of(left)
        for part in later:
            before = [one.id for one in earlier if not everywhere or one.scope.cluster == part.scope.cluster]
            found[part.id] = tuple(dict.fromkeys((*found.get(part.id, ()), *before)))
    return found


def _cluster_of(text: str) -> str:
    """``CLUSTER/kind/name``; the name of a cluster may have slashes itself."""
    return "/".join(text.split("/")[:-2])


def _meant(parts: Sequence[Part], text: str, pair: str) -> list[Part]:
    cluster, target = _cluster_of(text), parse_target("/".join(text.split("/")[-2:]))
    found = [
        part
        for part in parts
        if cluster in ("", part.scope.cluster) and (part.target.kind, part.target.name) == (target.kind, target.name)
    ]
    if not found:
        raise UsageError(
            "--after {pair}: {name} has no part in this plan.",
            pair=pair,
            name=text,
            expected=EXPECTED,
            found="{parts}",
            parts=", ".join(dict.fromkeys(str(part.target) for part in parts)),
        )
    return found


def _require_no_circle(parts: Sequence[Part]) -> None:
    needs = {part.id: set(part.needs) for part in parts}
    done: set[str] = set()
    while ready := {one for one, wanted in needs.items() if one not in done and wanted <= done}:
        done |= ready
    if stuck := [part for part in parts if part.id not in done]:
        raise UsageError(
            "The parts of this plan can't be put in order: {chain}.",
            chain=" → ".join(_circle(stuck)),
            hint="Leave out one --after.",
        )


def _circle(stuck: Sequence[Part]) -> list[str]:
    """One way round, from a part over what it needs back to itself."""
    needs = {part.id: [one for one in part.needs if any(one == other.id for other in stuck)] for part in stuck}
    way = [stuck[0].id]
    while way.count(way[-1]) == 1:
        way.append(needs[way[-1]][0])
    return way[way.index(way[-1]) :]
