# SPDX-License-Identifier: Apache-2.0
"""What was done, what it changed, and what was measured."""

from __future__ import annotations

from backout.model.change import Action
from backout.model.verdict import CheckStatus
from backout.report.background import field_line
from backout.report.facts import Facts, StepState
from backout.report.writer import Writer, code

_MANY_FIELDS = 40


def steps(page: Writer, facts: Facts) -> None:
    """Each step: changed, already so, failed, not begun."""
    page.heading(page.say("What was done"))
    if facts.part.why_good and not facts.undoing:
        page.line(page.say("Back to revision {number}, because:", number=facts.part.revision.number))
        for reason in facts.part.why_good:
            page.bullet(page.say(reason))
        page.line()
    rows = []
    for number, fact in enumerate(facts.steps, 1):
        said = page.say(fact.said) if fact.said else ""
        rows.append(
            (
                str(number),
                page.say(fact.step.title),
                _state(page, fact.state),
                page.length(fact.took) if fact.took else "",
                said,
            )
        )
    left = (*facts.run.operation.skipped, *facts.part.skipped)
    if left:
        page.line(page.say("Left as it is, as was asked for:"))
        for one in left:
            page.bullet(f"{code(one.what)}: {page.say(one.how)}")
        page.line()
    page.table(("#", page.say("step"), page.say("result"), page.say("took"), page.say("details")), rows)
    page.line()
    captured = facts.capture
    if captured is not None:
        page.line(
            page.say(
                "Before the first write the state of {count} objects was kept, encrypted: {path} ({digest}).",
                count=captured.data.get("objects", "?"),
                path=code(str(captured.data.get("path", ""))),
                digest=str(captured.data.get("digest", ""))[:19],
            )
        )
    elif facts.wrote:
        page.line(page.say("No capture of the state before the run is recorded."))
    else:
        page.line(page.say("Nothing was written, so no state had to be kept."))
    kept = facts.snapshot
    if kept is not None and kept.type == "snapshot":
        id_ = str(kept.data.get("snapshot", ""))
        page.line()
        page.line(
            page.say(
                "The whole namespace as it was then is snapshot {id} ({count} objects). What differs: {command}",
                id=code(id_),
                count=kept.data.get("objects", "?"),
                command=code(f"backout snapshot diff {id_[:8]} live"),
            )
        )
    elif kept is not None:
        page.line()
        page.line(page.say(kept.message))


def _state(page: Writer, state: StepState) -> str:
    return {
        "changed": page.say("changed"),
        "already": page.say("already so"),
        "earlier": page.say("done before the interruption"),
        "failed": page.say("failed"),
        "cut": page.say("cut off, outcome unknown"),
        "not-begun": page.say("not begun"),
    }[state]


def changes(page: Writer, facts: Facts) -> None:
    """The diff, as it was approved."""
    effective = facts.part.changes.effective
    if facts.wrote:
        page.heading(page.say("Diff of the plan that was carried out"))
    else:
        page.heading(page.say("Diff of the plan (not carried out)"))
    if not effective:
        page.line(page.say("No object differs."))
    for change in effective:
        page.bullet(f"**{_action(page, change.action)}** {code(str(change.ref))}")
        for field in change.fields[:_MANY_FIELDS]:
            page.bullet(field_line(page, field), 1)
            for line in field.lines:
                page.bullet(code(line), 2)
        if len(change.fields) > _MANY_FIELDS:
            page.bullet(page.say("and {count} more fields", count=len(change.fields) - _MANY_FIELDS), 1)
        for note in change.notes:
            page.bullet(page.say(note), 1)
    for note in facts.part.changes.notes:
        page.bullet(page.say(note))


def _action(page: Writer, action: Action) -> str:
    return {
        "create": page.say("created"),
        "update": page.say("changed"),
        "delete": page.say("deleted"),
        "recreate": page.say("deleted and created again"),
        "keep": page.say("kept"),
    }[action]


def verdict(page: Writer, facts: Facts) -> None:
    """Each check with its measured value."""
    page.heading(page.say("Verification"))
    found = facts.verdict
    if found is None:
        page.line(page.say("Nothing was measured in this run."))
        return
    rows = [
        (
            _mark(page, check.status),
            page.say(check.title),
            page.say(check.measured),
            page.say(check.expected) if check.expected else "",
        )
        for check in found.checks
    ]
    page.table((page.say("result"), page.say("check"), page.say("measured"), page.say("expected")), rows)
    page.line()
    if not found.checks:
        page.line(page.say("The plan has no checks, so nothing is proven."))
    elif found.soak:
        page.line(
            page.say(
                "What can change was watched for {soak} s; the rest was measured at the end.", soak=f"{found.soak:g}"
            )
        )


def _mark(page: Writer, status: CheckStatus) -> str:
    return {
        "pass": f"✅ {page.say('holds')}",
        "fail": f"❌ {page.say('does not hold')}",
        "unknown": f"❔ {page.say('not measured')}",
    }[status]
