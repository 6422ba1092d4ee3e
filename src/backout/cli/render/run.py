# SPDX-License-Identifier: Apache-2.0
"""A run, as text: its events while it works, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backout.cli.render.fleet import show_outcomes
from backout.cli.render.plan import MANY, clusters_of, where
from backout.cli.render.screen import Screen, duration, paint
from backout.model.outcomes import outcomes
from backout.model.run import Run, RunEvent, changed_steps
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
    "lease-left": ("!", "warn"),
    "check": ("·", "dim"),
    "verdict": ("=", "head"),
    "resumed": ("▸", "warn"),
    "wave-started": ("▸", "head"),
    "part-started": ("▸", "dim"),
    "part-ended": ("·", "dim"),
    "part-parked": ("?", "warn"),
}
OF_PARTS = frozenset(
    {
        "run-started",
        "resumed",
        "wave-started",
        "gate",
        "part-started",
        "part-ended",
        "part-parked",
        "abort-asked",
        "undo-follows",
        "undo-left",
        "approval-needed",
        "approved",
        "approval-late",
        "freeze-overridden",
        "lease-left",
        "lease-returned",
        "run-ended",
    }
)
"""What is told of a run over many clusters where nobody asked for more: a line a change."""


def event_line(screen: Screen, event: RunEvent, started: datetime | None) -> str:
    """``  12.3s ✓ Helm put release thanos back to revision 2``."""
    seconds = (event.at - started).total_seconds() if started else 0.0
    sign, style = SIGNS.get(event.type, ("·", "dim"))
    if event.type == "check":
        status = str(event.data.get("status", "unknown"))
        sign, style = {"pass": "✓", "fail": "✗"}.get(status, "?"), STATUS.get(status, "warn")
    if event.type == "part-ended":
        good = event.data.get("state") == "recovered"
        sign, style = ("✓", "good") if good else ("✗", "bad")
    text = screen.say(event.message)
    if event.type == "step-progress":
        text = paint(text, "dim")
    return f"{seconds:7.1f}s {paint(sign, style)} {text}"


HEALTH = {"recovered": "healthy", "not-recovered": "not healthy", "unknown": "not proven"}
"""What a verdict is called where nothing was rolled back."""


UNDONE = {"recovered": "taken back", "not-recovered": "not taken back", "unknown": "not proven"}
"""The same of an undo: the state before is in force again, and nobody claims that it is healthy."""


def show_measured(screen: Screen, found: Sequence[Measured]) -> None:
    """What the checks on each cluster found."""
    for one in found:
        screen.line(one.cluster)
        for blind in one.blind:
            screen.line(f"{screen.mark('unknown')} {screen.say(blind)}", 2)
        show_verdict(screen, one.verdict, 2, rolled_back=False)


def show_verdict(
    screen: Screen, verdict: Verdict, indent: int = 0, *, rolled_back: bool = True, undo: bool = False
) -> None:
    """Every check with what was measured."""
    rows = [_check_row(screen, check) for check in verdict.checks]
    screen.table(("", "check", "measured", "expected"), rows, indent)
    word = UNDONE[verdict.outcome] if undo else verdict.outcome if rolled_back else HEALTH[verdict.outcome]
    outcome = paint(screen.say(word), OUTCOME[verdict.outcome])
    soak = paint(screen.say("watched for {soak} s", soak=f"{verdict.soak:g}"), "dim") if verdict.soak else ""
    screen.line(f"{outcome}   {soak}".rstrip(), indent)


def _check_row(screen: Screen, check: CheckResult) -> tuple[str, str, str, str]:
    mark = {"pass": screen.mark("good"), "fail": screen.mark("bad")}.get(check.status, screen.mark("unknown"))
    expected = screen.say(check.expected) if check.expected and check.status != "pass" else ""
    return mark, screen.say(check.title), screen.say(check.measured), expected


def show_run(
    screen: Screen, run: Run, events: Sequence[RunEvent], every: Sequence[RunEvent] = (), *, verbose: bool = False
) -> None:
    """One run: head, events, verdict or failure. Of one that goes over many clusters, what became of each part by ``every``
    event, and the events of its parts where it is ``verbose``."""
    screen.line(paint(f"{run.id}   {' · '.join(where(run.operation))}", "head"))
    took = duration(((run.ended or datetime.now(UTC)) - run.started).total_seconds())
    screen.told(
        "{state}, started {when}, took {took}, by {actor}",
        2,
        state=screen.say(run.state),
        when=screen.ago(run.started),
        took=took,
        actor=run.actor or "-",
    )
    if run.operation.fleet is not None:
        show_outcomes(
            screen,
            outcomes(run.operation, every or events, under_way=run.state in ("pending", "running")),
            undo=bool(run.operation.undo_of),
        )
        if not verbose:
            events = [event for event in events if event.type in OF_PARTS]
    for event in events:
        screen.line(event_line(screen, event, run.started))
    if run.verdict is not None and run.operation.fleet is None:
        show_verdict(screen, run.verdict, 2, undo=bool(run.operation.undo_of))
    if run.failure is not None:
        screen.line(f"{screen.mark('bad')} {screen.say(run.failure.message)}", 2)
        for part in (run.failure.expected, run.failure.found, run.failure.hint):
            if part is not None and part.text:
                screen.line(screen.say(part), 4)


def show_runs(screen: Screen, runs: Sequence[RunSummary], *, chosen: bool = False) -> None:
    """A line a run; ``chosen``: not all were asked for."""
    if not runs:
        screen.told(
            "No run is like that. `backout runs` lists those of every cluster and state." if chosen else "No run yet."
        )
        return
    _table(screen, runs)


def show_pruned_runs(screen: Screen, found: Pruning) -> None:
    """What goes or went, and why others stay."""
    chosen, done = found.chosen, found.done
    gone = chosen.going if done is None else done.runs
    if gone:
        screen.told("To be removed:" if done is None else "Removed:")
        _table(screen, gone, 2)
    else:
        screen.told("No run is to be removed.")
    if chosen.recent:
        screen.told("Recent runs that stay: {count}", count=chosen.recent)
    for run in chosen.unfinished:
        screen.told("{run} stays: it is not over. backout resume {run} finishes it.", run=run.id)
    for run in chosen.undoable:
        screen.told("{run} stays: it could still be taken back. --undoable removes it all the same.", run=run.id)
    if done is not None:
        from backout.cli.render.snapshot import bytes_

        screen.told("Captures removed: {count}; freed: {size}", count=done.captures, size=bytes_(done.freed))


def _table(screen: Screen, runs: Sequence[RunSummary], indent: int = 0) -> None:
    rows = []
    for run in runs:
        took = duration((run.ended - run.started).total_seconds()) if run.ended else "-"
        what = screen.say("undo of {run}", run=run.undo_of) if run.undo_of else _goal(run)
        state = screen.say("waits for approval") if run.waits else screen.say(run.state)
        yes = (", ".join(run.approved_by),) if any(one.approved_by for one in runs) else ()
        rows.append((run.id, screen.ago(run.started), _where(run), run.namespace, what, state, took, *yes))
    heads = ("run", "started", "cluster", "namespace", "what", "state", "took", "approved by")
    screen.table(heads if rows and len(rows[0]) == len(heads) else heads[:-1], rows, indent)


def _where(run: RunSummary) -> str:
    clusters = {aim.cluster for aim in run.aims}
    return run.cluster if len(clusters) <= MANY else f"{len(clusters)} clusters"


def _goal(run: RunSummary) -> str:
    return f"{run.target} → {run.revision}" if run.revision else run.target


def show_outcome(screen: Screen, run: Run, events: Sequence[RunEvent] = ()) -> None:
    """How a run ended, what was measured, and what one can do now; of one over many clusters, what became of each part."""
    screen.line()
    if run.operation.fleet is not None:
        show_outcomes(screen, outcomes(run.operation, events, under_way=False), undo=bool(run.operation.undo_of))
    elif run.verdict is not None:
        show_verdict(screen, run.verdict, 2, undo=bool(run.operation.undo_of))
    if run.failure is not None:
        screen.line(f"{screen.mark('bad')} {screen.say(run.failure.message)}", 2)
        for part in (run.failure.expected, run.failure.found, run.failure.hint):
            if part is not None and part.text:
                screen.line(screen.say(part), 4)
    took = duration(((run.ended or datetime.now(UTC)) - run.started).total_seconds())
    word = UNDONE.get(run.state, run.state) if run.operation.undo_of else run.state
    outcome = paint(screen.say(word), OUTCOME.get(run.state, "bad"))
    screen.told(
        "{target} on {cluster}: {outcome} after {took}",
        2,
        target=run.operation.targets,
        cluster=clusters_of(run.operation),
        outcome=outcome,
        took=took,
    )
    if run.state == "interrupted":
        screen.told("Go on: backout resume {run}    End it: backout abort {run}", 2, "dim", run=run.id)
    elif run.undone_by or (events and not changed_steps(events)):
        # What changed nothing, or was taken back already, has no way back.
        screen.told("Report: backout report {run}", 2, "dim", run=run.id)
    else:
        screen.told("Report: backout report {run}    Undo: backout undo {run}", 2, "dim", run=run.id)
