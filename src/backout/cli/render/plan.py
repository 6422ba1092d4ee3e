# SPDX-License-Identifier: Apache-2.0
"""A plan, as text: why, where to, what happens, what it changes, what could go wrong, how it will be proven."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from backout.cli.render.changes import show_changes
from backout.cli.render.page import Page, paint, width
from backout.locales import N_
from backout.model.operation import Operation
from backout.model.part import Check, Part, Step
from backout.model.revision import Revision
from backout.model.target import Target

STATUS = (N_("in force"), N_("no pods"), N_("held back (paused)"), N_("not rolled out yet"), N_("missing"))
_ID = re.compile(r"[0-9a-f]{32}")
GOODNESS = {"good": "good", "bad": "bad", "unknown": "warn"}


def show_plans(page: Page, plans: Sequence[Operation], file: str = "", *, apart: bool = False) -> None:
    """One after the other, and the file that they were written to; ``apart`` from what comes next."""
    for number, plan in enumerate(plans):
        if number:
            page.line()
        show_plan(page, plan)
    if file:
        page.line()
        page.told("Written to {file}. Carry it out with: backout run {file}", file=file)
    if apart and plans:
        page.line()


def show_plan(page: Page, plan: Operation) -> None:
    """The whole plan: its parts in their order, and the hash over all of it."""
    for number, part in enumerate(plan.parts):
        if number:
            page.line()
        _part(page, part)
    page.line(paint(plan.hash, "dim"), 2)


def where(plan: Operation) -> tuple[str, ...]:
    """Where a plan acts and on what, from the large to the small."""
    if len(plan.parts) == 1:
        return (*plan.parts[0].scope.place, plan.targets)
    return (", ".join(plan.clusters), plan.targets)


def _part(page: Page, part: Part) -> None:
    page.line(paint(" · ".join((*part.scope.place, str(part.target))), "head"))
    columns = max(width(page.say(label)) for label in ("Cause", "Back to", "Now at"))
    page.line(f"{page.label('Cause', columns)}{page.say(part.cause)}", 2)
    page.line(f"{page.label('Back to', columns)}{revision_line(page, part.revision)}", 2)
    for reason in part.why_good:
        page.line(f"· {page.say(reason)}", columns + 4)
    if part.current is not None:
        page.line(f"{page.label('Now at', columns)}{revision_line(page, part.current)}", 2)
    if part.needs:
        page.told("Begins when these are verified: {parts}", 2, parts=", ".join(part.needs))
    page.line()
    page.told("Steps", 2, "head")
    _steps(page, part.steps)
    page.line()
    page.told("What changes", 2, "head")
    show_changes(page, part.changes, 2)
    if part.risks:
        page.line()
        page.told("Know before you say yes", 2, "head")
        for risk in part.risks:
            approval = paint(page.say(" (needs your explicit yes)"), "bad") if risk.needs_approval else ""
            page.line(f"{page.mark('warn')} {page.say(risk.message)}{approval}", 2)
    page.line()
    page.told("Afterwards this is measured, over {soak} s:", 2, "head", soak=f"{part.soak:g}")
    _checks(page, part.checks)


def _steps(page: Page, steps: Sequence[Step]) -> None:
    """A line a step; a row of steps that wait for one workload each shares a line."""
    number = 0
    for action, group in groupby(steps, key=lambda step: step.action):
        row = list(group)
        first, number = number + 1, number + len(row)
        if action == "workload.wait-ready" and len(row) > 2:
            names = ", ".join(_name(step.params, step.target) for step in row)
            page.told(
                "{first}.–{last}. Wait until these are ready, at the right revision: {names}",
                2,
                first=first,
                last=number,
                names=names,
            )
            continue
        for offset, step in enumerate(row):
            page.line(f"{first + offset}. {page.say(step.title)}", 2)
            if step.effect is not None:
                page.line(paint(page.say(step.effect), "dim"), 5)
            if step.destroys:
                page.line(paint(page.say("deletes: {objects}", objects=", ".join(map(str, step.destroys))), "bad"), 5)


def _checks(page: Page, checks: Sequence[Check]) -> None:
    """A line a check; the same measurement of many objects shares a line."""
    rows: dict[str, list[Check]] = {}
    for check in checks:
        rows.setdefault(check.code, []).append(check)
    shared = {
        "workload-ready": "Ready at the new revision: {names}",
        "no-new-restarts": "No pod restarts: {names}",
        "pvc-bound": "Volume claims are Bound: {names}",
    }
    for code, row in rows.items():
        if code in shared and len(row) > 1:
            names = ", ".join(_name(check.params, check.target) for check in row)
            page.line(f"· {page.say(shared[code], names=names)}", 2)
            continue
        for check in row:
            page.line(f"· {page.say(check.title)}", 2)


def _name(params: Mapping[str, Any], target: Target) -> str:
    """The workload that a step or check is about, else its target."""
    kind, name = params.get("kind"), params.get("name")
    return f"{str(kind).lower()}/{name}" if kind and name else str(target)


def revision_line(page: Page, revision: Revision) -> str:
    """``revision 2, thanos-mini-1.0.0, made 20:14:05 UTC (2m ago)``."""
    parts = [page.say("revision {number}", number=revision.number)]
    parts += [part for part in (revision.chart, revision.change_cause) if part]
    parts += _snapshots(page, revision)
    parts += [page.say(revision.status)] if revision.status == "missing" else []
    if revision.created is not None:
        # Of a snapshot's content it is only known since when it is kept.
        since = "first seen {when}" if revision.names and not revision.chart else "made {when}"
        parts.append(page.say(since, when=page.ago(revision.created)))
    return ", ".join(parts)


def _snapshots(page: Page, revision: Revision) -> list[str]:
    """The newest snapshot that holds a revision, and its tags."""
    ids = [name for name in revision.names if _ID.fullmatch(name)]
    if not ids:
        return []
    tags = [name for name in revision.names if not _ID.fullmatch(name)]
    told = page.say("snapshot {id}", id=ids[-1][:8])
    return [f"{told} ({', '.join(tags)})" if tags else told]


def _status(page: Page, status: str) -> str:
    """A workload's status in the reader's words; the words of Helm's records are its own, and stay."""
    said = []
    for part in status.split(", "):
        counted = re.fullmatch(r"(\d+) of (\d+) pods ready", part)
        if counted:
            said.append(page.say("{ready} of {desired} pods ready", ready=counted[1], desired=counted[2]))
        else:
            said.append(page.say(part) if part in STATUS else part)
    return ", ".join(said)


def show_history(page: Page, revisions: Sequence[Revision], *, verbose: bool = False) -> None:
    """All revisions, newest last, each with its verdict and the first reason for it."""
    rows = []
    for revision in revisions:
        verdict = paint(page.say(revision.goodness), GOODNESS[revision.goodness])
        reason = page.say(revision.reasons[0]) if revision.reasons else ""
        number = f"{revision.number}{'*' if revision.current else ''}"
        content = revision.chart or ", ".join(revision.images or _snapshots(page, revision))
        rows.append((number, page.ago(revision.created), _status(page, revision.status), content, verdict, reason))
    page.table(("revision", "made", "status", "content", "proven", "why"), rows)
    if verbose:
        for revision in revisions:
            for more in revision.reasons[1:]:
                page.line(f"{revision.number}: {page.say(more)}", 2)
    page.told("* in force now", style="dim")
