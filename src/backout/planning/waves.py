# SPDX-License-Identifier: Apache-2.0
"""Which cluster goes in which wave. Pure: from the clusters in their order, and how the waves are written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from backout.errors import PlanChanged, UsageError
from backout.model.fleet import Fleet, Wave
from backout.model.part import Part
from backout.model.selector import parse_selector

REST = "rest"
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_SHARE = re.compile(r"([1-9][0-9]?|100)%")
EXPECTED = "numbers, shares such as 25%, labels such as role=edge, names of clusters, and rest"


def split(
    asked: Sequence[str], clusters: Mapping[str, Mapping[str, str]], *, exact: bool = True
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The clusters (name → labels, in their order) of each wave that was ``asked`` for, each in one wave.

    A number and a share count from the first that is in no wave yet; a share is of all clusters, rounded up. ``rest`` is
    all that are left, and is left out where none is. Unless it has to be ``exact``, so is a number or a share of none: what a
    configuration says of any fleet may be too much for a small one.

    Raises:
        UsageError: a wave is written wrong, matches no cluster that is left, or a cluster is in no wave.
    """
    if not asked:
        raise UsageError("No wave was named.", expected=EXPECTED)
    left = list(clusters)
    found: list[tuple[str, tuple[str, ...]]] = []
    for number, text in enumerate(asked):
        if text == REST and number != len(asked) - 1:
            raise UsageError("The wave rest is what no other wave has, so it is the last one.", expected="… ,rest")
        taken = _taken(text, left, clusters)
        if not taken and (text == REST or not (left or exact)):
            continue
        if not taken:
            raise UsageError(
                "Wave {number} ({wave}) matches no cluster that is in no wave yet.",
                number=number + 1,
                wave=text,
                expected=EXPECTED,
                found="{count} clusters, {left} of them in no wave before it",
                count=len(clusters),
                left=len(left),
                hint="Say the waves with --wave, for example: --wave 1,rest",
            )
        left = [name for name in left if name not in taken]
        found.append((text, tuple(taken)))
    if left:
        raise UsageError(
            "These clusters are in no wave: {names}.",
            names=", ".join(left[:5]) + (", …" if len(left) > 5 else ""),
            hint="End the waves with rest: --wave {waves},rest",
            waves=",".join(asked),
        )
    return tuple(found)


def _taken(text: str, left: Sequence[str], clusters: Mapping[str, Mapping[str, str]]) -> list[str]:
    if text == REST:
        return list(left)
    if text in clusters:
        return [name for name in left if name == text]
    if _COUNT.fullmatch(text):
        return list(left[: int(text)])
    if share := _SHARE.fullmatch(text):
        return list(left[: math.ceil(len(clusters) * int(share[1]) / 100)])
    if "=" in text or "!" in text:
        terms = parse_selector(text)
        return [name for name in left if all(term.holds(clusters[name]) for term in terms)]
    raise UsageError("{wave} is no wave, and no cluster of this operation.", wave=text, expected=EXPECTED)


def waves_of(
    asked: Sequence[str], clusters: Mapping[str, Mapping[str, str]], parts: Sequence[Part], *, exact: bool = True
) -> tuple[Wave, ...]:
    """The waves with the ids of their parts.

    Raises:
        UsageError: see `split`.
    """
    found = []
    for text, names in split(asked, clusters, exact=exact):
        found.append(Wave(asked=text, parts=tuple(p.id for name in names for p in parts if p.scope.cluster == name)))
    return tuple(found)


def require_whole(fleet: Fleet, parts: Sequence[Part]) -> None:
    """Holds waves and parts to each other: each part in one wave, after those that it needs or together with them.

    Raises:
        PlanChanged: they don't fit, or a limit is none.
    """
    named = [part for wave in fleet.waves for part in wave.parts]
    if sorted(named) != sorted(part.id for part in parts) or not all(wave.parts for wave in fleet.waves):
        raise PlanChanged("The waves of the plan do not have each of its parts once.", hint="Make a new plan.")
    if fleet.parallel < 1 or fleet.max_failures < 0 or fleet.soak < 0 or fleet.deadline < 0:
        raise PlanChanged("The plan has a limit that is none.", hint="Make a new plan.")
    for part in parts:
        late = [need for need in part.needs if fleet.wave_of(need) > fleet.wave_of(part.id)]
        if late:
            raise PlanChanged(
                "Part {part} of the plan needs {needs}, which comes in a later wave.",
                part=part.id,
                needs=", ".join(late),
                hint="Make a new plan, with other waves.",
            )
