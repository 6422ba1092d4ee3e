# SPDX-License-Identifier: Apache-2.0
"""A plan, as text: why, where to, what happens, what it changes, what could go wrong, how it will be proven."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from backout.cli.render.changes import show_changes
from backout.cli.render.screen import Screen, paint, width
from backout.locales import N_
from backout.model.message import Message
from backout.model.operation import Operation
from backout.model.part import Check, Part, Spared, Step
from backout.model.revision import Revision
from backout.model.target import Target

STATUS = (N_("in force"), N_("no pods"), N_("held back (paused)"), N_("not rolled out yet"), N_("missing"))
_ID = re.compile(r"[0-9a-f]{32}")
GOODNESS = {"good": "good", "bad": "bad", "unknown": "warn"}


def show_plans(screen: Screen, plans: Sequence[Operation], file: str = "", *, apart: bool = False) -> None:
    """One after the other, and the file that they were written to; ``apart`` from what comes next."""
    for number, plan in enumerate(plans):
        if number:
            screen.line()
        show_plan(screen, plan)
    if file:
        screen.line()
        screen.told("Written to {file}. Carry it out with: backout run {file}", file=file)
    if apart and plans:
        screen.line()


def show_plan(screen: Screen, plan: Operation) -> None:
    """The whole plan: its parts in their order, and the hash over all of it."""
    if plan.fleet is not None:
        from backout.cli.render import fleet

        fleet.show_waves(screen, plan, plan.fleet)
        for group in fleet.alike(plan.parts):
            screen.line()
            names = [part.scope.cluster for part in group] if len(group) > 1 else []
            _part(screen, group[0], fleet.head(screen, group), fleet.named(screen, names))
    else:
        for number, part in enumerate(plan.parts):
            if number:
                screen.line()
            _part(screen, part, " · ".join((*part.scope.place, str(part.target))))
    if plan.skipped:
        screen.line()
        screen.told("Left out, as you asked", 2, "head")
        show_skipped(screen, plan.skipped, "")
    screen.line(paint(plan.hash, "dim"), 2)


def show_by_themselves(screen: Screen, steps: Sequence[Message]) -> None:
    """Of plans from a file: what their steps are, whatever its words say."""
    screen.told("The words above are those of the file. What its steps are by their parameters:", style="head")
    for step in steps:
        screen.line(f"· {screen.say(step)}", 2)
    screen.line()


def where(plan: Operation) -> tuple[str, ...]:
    """Where a plan acts and on what, from the large to the small."""
    if len(plan.parts) == 1:
        return (*plan.parts[0].scope.place, plan.targets)
    return (clusters_of(plan), plan.targets)


MANY = 3
"""So many clusters are named; of more, their number."""


def clusters_of(plan: Operation) -> str:
    """Its clusters, or how many they are."""
    return ", ".join(plan.clusters) if len(plan.clusters) <= MANY else f"{len(plan.clusters)} clusters"


def _part(screen: Screen, part: Part, head: str, clusters: str = "") -> None:
    screen.line(paint(head, "head"))
    if clusters:
        screen.line(clusters, 2)
    columns = max(width(screen.say(label)) for label in ("Cause", "Back to", "Now at"))
    screen.line(f"{screen.label('Cause', columns)}{screen.say(part.cause)}", 2)
    screen.line(f"{screen.label('Back to', columns)}{revision_line(screen, part.revision)}", 2)
    for reason in part.why_good:
        screen.line(f"· {screen.say(reason)}", columns + 4)
    if part.current is not None:
        screen.line(f"{screen.label('Now at', columns)}{revision_line(screen, part.current)}", 2)
    if part.needs:
        screen.told("Begins when these are verified: {parts}", 2, parts=", ".join(part.needs))
    screen.line()
    screen.told("Steps", 2, "head")
    _steps(screen, part.steps)
    screen.line()
    screen.told("What changes", 2, "head")
    show_changes(screen, part.changes, 2)
    if part.skipped:
        screen.line()
        screen.told("Left out, as you asked", 2, "head")
        show_skipped(screen, part.skipped, part.scope.namespace)
    if part.risks:
        screen.line()
        screen.told("Know before you say yes", 2, "head")
        for risk in part.risks:
            approval = paint(screen.say(" (needs your explicit yes)"), "bad") if risk.needs_approval else ""
            screen.line(f"{screen.mark('warn')} {screen.say(risk.message)}{approval}", 2)
    screen.line()
    screen.told("Afterwards this is measured, over {soak} s:", 2, "head", soak=f"{part.soak:g}")
    _checks(screen, part.checks)


def show_skipped(screen: Screen, spared: Sequence[Spared], here: str) -> None:
    """A line for each; the namespace is named where it is another one than ``here``."""
    for one in spared:
        place = f" ({one.namespace})" if one.namespace and one.namespace != here else ""
        screen.line(f"· {one.what}{place}: {screen.say(one.how)}", 2)


def _steps(screen: Screen, steps: Sequence[Step]) -> None:
    """A line a step; a row of steps that wait for one workload each shares a line."""
    number = 0
    for action, group in groupby(steps, key=lambda step: step.action):
        row = list(group)
        first, number = number + 1, number + len(row)
        if action == "workload.wait-ready" and len(row) > 2:
            names = ", ".join(_name(step.params, step.target) for step in row)
            screen.told(
                "{first}.–{last}. Wait until these are ready, at the right revision: {names}",
                2,
                first=first,
                last=number,
                names=names,
            )
            continue
        for offset, step in enumerate(row):
            screen.line(f"{first + offset}. {screen.say(step.title)}", 2)
            if step.effect is not None:
                screen.line(paint(screen.say(step.effect), "dim"), 5)
            if step.destroys:
                screen.line(
                    paint(screen.say("deletes: {objects}", objects=", ".join(map(str, step.destroys))), "bad"), 5
                )


def _checks(screen: Screen, checks: Sequence[Check]) -> None:
    """A line a check; the same measurement of many objects shares a line."""
    rows: dict[str, list[Check]] = {}
    for check in checks:
        rows.setdefault(check.code, []).append(check)
    shared = {
        "workload-ready": "Ready at the new revision: {names}",
        "no-new-restarts": "No pod restarts: {names}",
        "read-objects": "What pods read is there: {names}",
        "pvc-bound": "Volume claims are Bound: {names}",
    }
    for code, row in rows.items():
        if code in shared and len(row) > 1:
            names = ", ".join(_name(check.params, check.target) for check in row)
            screen.line(f"· {screen.say(shared[code], names=names)}", 2)
            continue
        for check in row:
            screen.line(f"· {screen.say(check.title)}", 2)


def _name(params: Mapping[str, Any], target: Target) -> str:
    """The workload that a step or check is about, else its target."""
    kind, name = params.get("kind"), params.get("name")
    return f"{str(kind).lower()}/{name}" if kind and name else str(target)


def revision_line(screen: Screen, revision: Revision) -> str:
    """``revision 2, thanos-mini-1.0.0, made 20:14:05 UTC (2m ago)``."""
    parts = [screen.say("revision {number}", number=revision.number)]
    parts += [part for part in (revision.chart, revision.change_cause) if part]
    parts += _snapshots(screen, revision)
    parts += [screen.say(revision.status)] if revision.status == "missing" else []
    if revision.created is not None:
        # Of a snapshot's content it is only known since when it is kept.
        since = "first seen {when}" if revision.names and not revision.chart else "made {when}"
        parts.append(screen.say(since, when=screen.ago(revision.created)))
    return ", ".join(parts)


def _snapshots(screen: Screen, revision: Revision) -> list[str]:
    """The newest snapshot that holds a revision, and its tags."""
    ids = [name for name in revision.names if _ID.fullmatch(name)]
    if not ids:
        return []
    tags = [name for name in revision.names if not _ID.fullmatch(name)]
    told = screen.say("snapshot {id}", id=ids[-1][:8])
    return [f"{told} ({', '.join(tags)})" if tags else told]


def _status(screen: Screen, status: str) -> str:
    """A workload's status in the reader's words; the words of Helm's records are its own, and stay."""
    said = []
    for part in status.split(", "):
        counted = re.fullmatch(r"(\d+) of (\d+) pods ready", part)
        if counted:
            said.append(screen.say("{ready} of {desired} pods ready", ready=counted[1], desired=counted[2]))
        else:
            said.append(screen.say(part) if part in STATUS else part)
    return ", ".join(said)


def show_history(screen: Screen, revisions: Sequence[Revision], *, verbose: bool = False) -> None:
    """All revisions, newest last, each with its verdict and the first reason for it."""
    rows = []
    for revision in revisions:
        verdict = paint(screen.say(revision.goodness), GOODNESS[revision.goodness])
        reason = screen.say(revision.reasons[0]) if revision.reasons else ""
        number = f"{revision.number}{'*' if revision.current else ''}"
        content = revision.chart or ", ".join(revision.images or _snapshots(screen, revision))
        rows.append((number, screen.ago(revision.created), _status(screen, revision.status), content, verdict, reason))
    screen.table(("revision", "made", "status", "content", "proven", "why"), rows)
    if verbose:
        for revision in revisions:
            for more in revision.reasons[1:]:
                screen.line(f"{revision.number}: {screen.say(more)}", 2)
    screen.told("* in force now", style="dim")
