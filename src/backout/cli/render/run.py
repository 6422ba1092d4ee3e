# SPDX-License-Identifier: Apache-2.0
"""A run, as text: its events while it works, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backout.cli.render.page import Page, duration, paint
from backout.cli.render.plan import where
from backout.model.run import Run, RunEvent
from backout.model.verdict import CheckResult, Verdict

if TYPE_CHECKING:
    from backout.app.reading import Measured
    from backout.app.results import RunSummary
    from backout.app.runs import Pruning

STATUS = {"pass": "good", "fail": "bad", "unknown": "warn"}
OUTCOME = {"recovered": "good", "not-recovered": "bad", "unknown": "warn"}
SIGNS = {
    "step-done": ("✓", "good"),
    "step-failed": ("✗", "bad"),
    "step-started": ("▸", "head"),
    "step-progress": (" ", "dim"),
    "snapshot-skipped": ("!", "warn"),
    "check": ("·", "dim"),
    "verdict": ("=", "head"),
    "resumed": ("▸", "warn"),
}


def event_line(page: Page, event: RunEvent, started: datetime | None) -> str:
    """``  12.3s ✓ Helm put release thanos back to revision 2``."""
    seconds = (event.at - started).total_seconds() if started else 0.0
    sign, style = SIGNS.get(event.type, ("·", "dim"))
    if event.type == "check":
        status = str(event.data.get("status", "unknown"))
        sign, style = {"pass": "✓", "fail": "✗"}.get(status, "?"), STATUS.get(status, "warn")
    text = page.say(event.message)
    if event.type == "step-progress":
        text = paint(text, "dim")
    return f"{seconds:7.1f}s {paint(sign, style)} {text}"


HEALTH = {"recovered": "healthy", "not-recovered": "not healthy", "unknown": "not proven"}
"""What a verdict is called where nothing was rolled back."""


UNDONE = {"recovered": "taken back", "not-recovered": "not taken back", "unknown": "not proven"}
"""The same of an undo: the state before is in force again, and nobody claims that it is healthy."""


def show_measured(page: Page, found: Sequence[Measured]) -> None:
    """What the checks on each cluster found."""
    for one in found:
        page.line(one.cluster)
        show_verdict(page, one.verdict, 2, rolled_back=False)


def show_verdict(
    page: Page, verdict: Verdict, indent: int = 0, *, rolled_back: bool = True, undo: bool = False
) -> None:
    """Every check with what was measured."""
    rows = [_check_row(page, check) for check in verdict.checks]
    page.table(("", "check", "measured", "expected"), rows, indent)
    word = UNDONE[verdict.outcome] if undo else verdict.outcome if rolled_back else HEALTH[verdict.outcome]
    outcome = paint(page.say(word), OUTCOME[verdict.outcome])
    soak = paint(page.say("watched for {soak} s", soak=f"{verdict.soak:g}"), "dim") if verdict.soak else ""
    page.line(f"{outcome}   {soak}".rstrip(), indent)


def _check_row(page: Page, check: CheckResult) -> tuple[str, str, str, str]:
    mark = {"pass": page.mark("good"), "fail": page.mark("bad")}.get(check.status, page.mark("unknown"))
    expected = page.say(check.expected) if check.expected and check.status != "pass" else ""
    return mark, page.say(check.title), page.say(check.measured), expected


def show_run(page: Page, run: Run, events: Sequence[RunEvent]) -> None:
    """One run: head, events, verdict or failure."""
    page.line(paint(f"{run.id}   {' · '.join(where(run.operation))}", "head"))
    took = duration(((run.ended or datetime.now(UTC)) - run.started).total_seconds())
    page.told(
        "{state}, started {when}, took {took}, by {actor}",
        2,
        state=page.say(run.state),
        when=page.ago(run.started),
        took=took,
        actor=run.actor or "-",
    )
    for event in events:
        page.line(event_line(page, event, run.started))
    if run.verdict is not None:
        show_verdict(page, run.verdict, 2, undo=bool(run.operation.undo_of))
    if run.failure is not None:
        page.line(f"{page.mark('bad')} {page.say(run.failure.message)}", 2)
        for part in (run.failure.expected, run.failure.found, run.failure.hint):
            if part is not None and part.text:
                page.line(page.say(part), 4)


def show_runs(page: Page, runs: Sequence[RunSummary]) -> None:
    """A line a run."""
    if not runs:
        page.told("No run yet.")
        return
    _table(page, runs)


def show_pruned_runs(page: Page, found: Pruning) -> None:
    """What goes or went, and why others stay."""
    chosen, done = found.chosen, found.done
    gone = chosen.going if done is None else done.runs
    if gone:
        page.told("To be removed:" if done is None else "Removed:")
        _table(page, gone, 2)
    else:
        page.told("No run is to be removed.")
    if chosen.recent:
        page.told("Recent runs that stay: {count}", count=chosen.recent)
    for run in chosen.unfinished:
        page.told("{run} stays: it is not over. backout resume {run} finishes it.", run=run.id)
    for run in chosen.undoable:
        page.told("{run} stays: it could still be taken back. --undoable removes it all the same.", run=run.id)
    if done is not None:
        from backout.cli.render.snapshot import bytes_

        page.told("Captures removed: {count}; freed: {size}", count=done.captures, size=bytes_(done.freed))


def _table(page: Page, runs: Sequence[RunSummary], indent: int = 0) -> None:
    rows = []
    for run in runs:
        took = duration((run.ended - run.started).total_seconds()) if run.ended else "-"
        what = page.say("undo of {run}", run=run.undo_of) if run.undo_of else _goal(run)
        rows.append((run.id, page.ago(run.started), run.cluster, run.namespace, what, page.say(run.state), took))
    page.table(("run", "started", "cluster", "namespace", "what", "state", "took"), rows, indent)


def _goal(run: RunSummary) -> str:
    return f"{run.target} → {run.revision}" if run.revision else run.target


def show_outcome(page: Page, run: Run) -> None:
    """How a run ended, what was measured, and what one can do now."""
    page.line()
    if run.verdict is not None:
        show_verdict(page, run.verdict, 2, undo=bool(run.operation.undo_of))
    if run.failure is not None:
        page.line(f"{page.mark('bad')} {page.say(run.failure.message)}", 2)
        for part in (run.failure.expected, run.failure.found, run.failure.hint):
            if part is not None and part.text:
                page.line(page.say(part), 4)
    took = duration(((run.ended or datetime.now(UTC)) - run.started).total_seconds())
    word = UNDONE.get(run.state, run.state) if run.operation.undo_of else run.state
    outcome = paint(page.say(word), OUTCOME.get(run.state, "bad"))
    page.told(
        "{target} on {cluster}: {outcome} after {took}",
        2,
        target=run.operation.targets,
        cluster=", ".join(run.operation.clusters),
        outcome=outcome,
        took=took,
    )
    page.told("Report: backout report {run}    Undo: backout undo {run}", 2, "dim", run=run.id)
