# SPDX-License-Identifier: Apache-2.0
"""The definitions that the target's chart brings in ``crds/``, against those that are live: Helm leaves what is live."""

from __future__ import annotations

import asyncio

import msgspec

from backout.cluster.port import ClusterReader, Object
from backout.errors import AccessDenied, BackoutError, NotFoundError
from backout.helm.records import Record, Records
from backout.kube.definitions import CRDS, DefinitionGap, compare_definitions
from backout.mechanisms.helm.analysis import Analysis
from backout.model.message import Message, few, msg
from backout.model.part import Risk


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """``gaps``: where they differ. ``recorded``: the record holds some at all. ``blind``: those that may not be read."""

    gaps: tuple[DefinitionGap, ...] = ()
    recorded: bool = False
    blind: tuple[str, ...] = ()


async def read_definitions(reader: ClusterReader, records: Records, target: Record) -> Definitions:
    """Reads both sides."""
    try:
        wanted = await records.definitions(target)
    except BackoutError:
        return Definitions()
    names = [str((one.get("metadata") or {}).get("name") or "") for one in wanted]
    lives = await asyncio.gather(*(_live(reader, name) for name in names))
    gaps, blind = [], []
    for name, one, live in zip(names, wanted, lives, strict=True):
        if isinstance(live, AccessDenied):
            blind.append(name)
        elif (gap := compare_definitions(live, one)) is not None:
            gaps.append(gap)
    return Definitions(gaps=tuple(gaps), recorded=bool(wanted), blind=tuple(blind))


async def _live(reader: ClusterReader, name: str) -> Object | AccessDenied | None:
    try:
        return await reader.get(CRDS, name)
    except NotFoundError:
        return None
    except AccessDenied as error:
        return error


def notes(found: Definitions, analysis: Analysis) -> list[Message]:
    """What differs, and only that; and what can't be told though it may."""
    told = []
    number = analysis.target.revision
    if missing := [gap.name for gap in found.gaps if gap.missing]:
        told.append(
            msg(
                "Definitions that the chart of revision {n} brings are missing, and Helm does not make them on a rollback: {names}.",
                n=number,
                names=few(missing),
            )
        )
    by_words: dict[tuple[str, str], list[DefinitionGap]] = {}
    for gap in found.gaps:
        if not gap.missing:
            by_words.setdefault((gap.live, gap.wanted), []).append(gap)
    for (live, wanted), gaps in by_words.items():
        told.append(
            msg(
                "Helm leaves the definitions that are live{live}; the chart of revision {n} has others{wanted}: {names}. "
                "{fields}",
                live=f" ({live})" if live else "",
                n=number,
                wanted=f" ({wanted})" if wanted else "",
                names=few([gap.name for gap in gaps]),
                fields=_fields(gaps),
            )
        )
    if found.blind:
        told.append(
            msg(
                "Whether definitions of custom resources are those of the chart of revision {n} is not known, since they may not "
                "be read: {names}.",
                n=number,
                names=few(list(found.blind)),
            )
        )
    charts = analysis.head_release.chart_label != analysis.target_release.chart_label
    if not found.recorded and charts and any(item.custom for item in analysis.items):
        told.append(
            msg(
                "Which definitions of custom resources the chart of revision {n} had is not in its record; Helm leaves those that "
                "are live.",
                n=number,
            )
        )
    return told


def _fields(gaps: list[DefinitionGap]) -> Message:
    lacks = [f"{gap.name.partition('.')[0]} {path}" for gap in gaps for path in gap.lacks]
    more = [f"{gap.name.partition('.')[0]} {path}" for gap in gaps for path in gap.more]
    if lacks:
        return msg("Fields that the live ones lack are dropped: {fields}.", fields=few(lacks))
    if more:
        return msg("The live ones know more fields: {fields}.", fields=few(more))
    return msg("Their fields are the same.")


def risks(found: Definitions, analysis: Analysis) -> list[Risk]:
    """What the older operator could not work with."""
    told = []
    for gap in found.gaps:
        if gap.stored:
            told.append(
                Risk(
                    code="crd-stored-versions",
                    message=msg(
                        "Objects of {name} are stored as {versions}, which the definition in the chart of revision {n} does not know: "
                        "its operator may not read them.",
                        name=gap.name,
                        versions=", ".join(gap.stored),
                        n=analysis.target.revision,
                    ),
                )
            )
        if gap.unserved:
            told.append(
                Risk(
                    code="crd-unserved",
                    message=msg(
                        "{name} does not serve {versions}, which the operator of revision {n} may ask for.",
                        name=gap.name,
                        versions=", ".join(gap.unserved),
                        n=analysis.target.revision,
                    ),
                )
            )
    return told
