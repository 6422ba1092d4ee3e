# SPDX-License-Identifier: Apache-2.0
"""An operation over many clusters, as text: its waves and rules, what is alike told once, and what became of each part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from backout.cli.render.screen import Screen, duration, paint
from backout.locales import N_
from backout.model.fleet import Fleet
from backout.model.operation import Operation
from backout.model.outcomes import ORDER, PartOutcome, PartState, counted
from backout.model.part import Part

SHOWN = 6
"""So many clusters are named where a number says the rest."""
FEW = 12
"""So many parts are listed one by one; of more, those that are not verified."""
STYLE: dict[PartState, str] = {
    "recovered": "good",
    "running": "head",
    "not-started": "dim",
    "parked": "warn",
    "unknown": "warn",
    "aborted": "warn",
    "refused": "bad",
    "failed": "bad",
    "not-recovered": "bad",
}
CALLED: dict[PartState, str] = {
    "recovered": N_("recovered"),
    "running": N_("running"),
    "not-started": N_("not started"),
    "parked": N_("not known"),
    "unknown": N_("not proven"),
    "aborted": N_("aborted"),
    "refused": N_("refused"),
    "failed": N_("failed"),
    "not-recovered": N_("not healthy"),
}
UNDONE: dict[PartState, str] = {"recovered": N_("taken back"), "not-recovered": N_("not taken back")}
_RULES = {
    "stop": N_("More than {count} that are not verified: nothing more is begun."),
    "continue": N_("What is not verified does not stop the others."),
    "undo": N_("More than {count} that are not verified: nothing more is begun, and what was done is taken back."),
}


def named(screen: Screen, names: Sequence[str]) -> str:
    """The first of them, and how many more."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    return screen.say("{names} and {count} more", names=", ".join(names[:SHOWN]), count=len(names) - SHOWN)


def alike(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts in groups: of one group, all that a person decides by is the same, from the revision to the checks.

    Times, identities and what Kubernetes numbers for itself differ between any two clusters, and say nothing here.
    """
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(_key(part), []).append(part)
    return list(groups.values())


def _key(part: Part) -> str:
    seen: list[Any] = [
        (part.target.kind, part.target.namespace, part.target.name, part.mechanism, part.cause.text),
        [
            (one.number, one.chart, one.images, one.status, one.change_cause) if one is not None else None
            for one in (part.revision, part.current)
        ],
        [reason.template or reason.text for reason in part.why_good],
        [(step.action, step.title.text, [str(ref) for ref in step.destroys]) for step in part.steps],
        [
            (change.ref.kind, change.ref.namespace, change.ref.name, change.action, msgspec.to_builtins(change.fields))
            for change in part.changes.objects
        ],
        [(risk.code, risk.message.text, risk.needs_approval) for risk in part.risks],
        [(check.code, check.title.text) for check in part.checks],
        [need.partition("/")[2] for need in part.needs],
        part.soak,
    ]
    return msgspec.json.encode(seen).decode()


def head(screen: Screen, parts: Sequence[Part]) -> str:
    """What stands above a group: one place, or how many clusters are alike."""
    part = parts[0]
    if len(parts) == 1:
        return " · ".join((*part.scope.place, str(part.target)))
    where = screen.say("{count} clusters alike", count=len(parts))
    return " · ".join((where, part.scope.namespace, str(part.target)))


def show_waves(screen: Screen, plan: Operation, fleet: Fleet) -> None:
    """Who goes when, what opens the next wave, and who has no part."""
    clusters = {part.id: part.scope.cluster for part in plan.parts}
    screen.told(
        "{parts} parts on {clusters} clusters, in {waves} waves",
        style="head",
        parts=len(plan.parts),
        clusters=len(plan.clusters),
        waves=len(fleet.waves),
    )
    rows = []
    for number, wave in enumerate(fleet.waves, 1):
        names = list(dict.fromkeys(clusters[part] for part in wave.parts))
        rows.append((str(number), wave.asked, str(len(names)), named(screen, names)))
    screen.table(("wave", "asked for", "clusters", "which"), rows, 2)
    screen.told("At most {count} clusters at a time.", 2, count=fleet.parallel)
    screen.told(_RULES[fleet.on_failure], 2, count=fleet.max_failures)
    if fleet.on_failure != "continue" and len(fleet.waves) > 1:
        screen.told("Between two waves, what is verified is watched for {seconds} s.", 2, seconds=f"{fleet.soak:g}")
    if fleet.deadline:
        screen.told("A part that takes more than {seconds} s is left, as not known.", 2, seconds=f"{fleet.deadline:g}")
    _not_planned(screen, fleet)


def _not_planned(screen: Screen, fleet: Fleet) -> None:
    nothing = [one for one in fleet.not_planned if not one.needed]
    if nothing:
        names = list(dict.fromkeys(one.cluster for one in nothing))
        screen.told("Nothing to do on {count} clusters: {names}", 2, count=len(names), names=named(screen, names))
    if not fleet.missing:
        return
    screen.line()
    screen.told("Not planned", 2, "bad")
    for one in fleet.missing:
        place = " · ".join(filter(None, (one.cluster, one.target)))
        screen.line(f"{screen.mark('bad')} {place}: {screen.say(one.why)}", 2)
    if fleet.unplanned == "refuse":
        screen.told("Nothing is carried out without them; --unplanned skip goes on without them.", 2)
    else:
        screen.told("The others go on without them.", 2)


def called(state: PartState, *, undo: bool) -> str:
    """A state in people's words: an undo never recovers anything."""
    return UNDONE.get(state, CALLED[state]) if undo else CALLED[state]


def show_outcomes(screen: Screen, found: Sequence[PartOutcome], indent: int = 2, *, undo: bool = False) -> None:
    """How many are in which state, then each part: of many, those that are not verified."""
    screen.line(summary(screen, found, undo=undo), indent)
    rows = found if len(found) <= FEW else [one for one in found if one.state != "recovered"]
    ordered = sorted(rows, key=lambda one: (ORDER.index(one.state), one.wave)) if len(found) > FEW else rows
    if ordered:
        screen.table(
            ("cluster", "what", "wave", "state", "took", "why"),
            [_row(screen, one, undo=undo) for one in ordered],
            indent,
        )


def summary(screen: Screen, found: Sequence[PartOutcome], *, undo: bool = False) -> str:
    """``37 recovered, 2 not known, 11 not started``."""
    counts = counted(found)
    first = sorted(counts, key=lambda state: state != "recovered")
    return ", ".join(paint(f"{counts[state]} {screen.say(called(state, undo=undo))}", STYLE[state]) for state in first)


def _row(screen: Screen, one: PartOutcome, *, undo: bool) -> tuple[str, ...]:
    took = duration((one.ended - one.began).total_seconds()) if one.began and one.ended else "-"
    why = screen.say(one.failure.message) if one.failure is not None else ""
    what = f"{one.target} → {one.revision}"
    state = paint(screen.say(called(one.state, undo=undo)), STYLE[one.state])
    return (one.cluster, what, str(one.wave), state, took, why)
