# SPDX-License-Identifier: Apache-2.0
"""The order of the report."""

from __future__ import annotations

from backout.model.outcomes import outcomes
from backout.model.run import Run, RunEvent
from backout.report import after, background, checklist, fleet, head, work
from backout.report.facts import Facts
from backout.report.writer import Writer


def write(run: Run, events: list[RunEvent], lang: str) -> str:
    """The whole report: of an operation of several parts, each part after the other; of one over many clusters what is where, then
    the parts that there is something to say of."""
    page = Writer(lang)
    parts = run.operation.parts
    if run.operation.fleet is not None:
        found = outcomes(run.operation, events, under_way=run.state in ("pending", "running"))
        fleet.overview(page, run, found)
        shown = fleet.written_up(found)
        parts = tuple(part for part in parts if part.id in shown)
    for number, part in enumerate(parts):
        if number or run.operation.fleet is not None:
            page.line()
        _part(page, Facts(run, events, part))
    return page.text()


def _part(page: Writer, facts: Facts) -> None:
    head.title(page, facts)
    head.summary(page, facts)
    head.timeline(page, facts)
    background.cause(page, facts)
    background.evidence(page, facts)
    work.steps(page, facts)
    work.changes(page, facts)
    work.verdict(page, facts)
    checklist.checklist(page, facts)
    after.noticed(page, facts)
    after.redeployment(page, facts)
    after.undo(page, facts)
    after.footer(page, facts)
