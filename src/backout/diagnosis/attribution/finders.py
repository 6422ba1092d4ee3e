# SPDX-License-Identifier: Apache-2.0
"""Who is asked what explains a failure that no change of the workload explains: the first finder that knows speaks."""

from __future__ import annotations

from backout.diagnosis.attribution.admission import admission
from backout.diagnosis.attribution.circumstances import (
    Circumstance,
    Finder,
    codes_of,
    limit_range,
    missing_reference,
    nodes,
    outside,
    quota,
    registry_down,
    words,
)
from backout.diagnosis.attribution.demands import demands
from backout.diagnosis.attribution.disks import claims, emptied
from backout.diagnosis.attribution.hypotheses import Situation
from backout.diagnosis.attribution.lost_rights import rights
from backout.diagnosis.attribution.surroundings import configured, gates, imposed, policies, unanswered, vanished
from backout.diagnosis.evidence.namespace import Namespace
from backout.model.message import msg

FINDERS: tuple[Finder, ...] = (
    quota,
    limit_range,
    admission,
    registry_down,
    missing_reference,
    claims,
    emptied,
    gates,
    nodes,
    rights,
    policies,
    unanswered,
    demands,
    configured,
    vanished,
    imposed,
    outside,
    words,
)


async def circumstance(situation: Situation, namespace: Namespace) -> Circumstance:
    """What explains the failure where no change of the workload does."""
    for finder in FINDERS:
        found = await finder(situation, namespace)
        if found is not None:
            return found
    return Circumstance(
        key=f"unknown:{situation.history.key}",
        confidence="unknown",
        cause=msg("{codes}; no change is known that brought it", codes=codes_of(situation)),
        notes=(msg("Look at what it depends on: nothing that was changed here explains it."),),
    )
