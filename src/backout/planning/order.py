# SPDX-License-Identifier: Apache-2.0
"""The order of the parts of an operation: each after those that it needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from backout.errors import PlanChanged
from backout.model.part import Part


def in_order(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts, each after what it needs; otherwise as they are written.

    Raises:
        PlanChanged: two have one id, one needs what is not there, or they need each other.
    """
    known = {part.id for part in parts}
    if len(known) != len(parts):
        raise PlanChanged("Two parts of the plan have the same id.", hint="Make a new plan.")
    ordered: list[Part] = []
    done: set[str] = set()
    left = list(parts)
    while left:
        ready = next((part for part in left if done.issuperset(part.needs)), None)
        if ready is None:
            stuck = left[0]
            raise PlanChanged(
                "Part {part} of the plan can never begin: it needs {needs}.",
                part=stuck.id,
                needs=", ".join(stuck.needs),
                hint="Make a new plan.",
            )
        left.remove(ready)
        ordered.append(ready)
        done.add(ready.id)
    return tuple(ordered)


def reversed_needs(parts: Sequence[Part], kept: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """Of each part of ``kept``, what must be taken back before it: all of ``kept`` that needed it, through others too."""
    needed_by: dict[str, set[str]] = {part.id: set() for part in parts}
    for part in reversed(in_order(parts)):
        for need in part.needs:
            needed_by[need] |= {part.id, *needed_by[part.id]}
    return {part.id: tuple(other.id for other in kept if other.id in needed_by[part.id]) for part in kept}
