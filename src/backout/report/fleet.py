# SPDX-License-Identifier: Apache-2.0
"""What stands before the parts of an operation over many clusters: how many are verified, and what is where."""

from __future__ import annotations

from collections.abc import Sequence

from backout.locales import N_
from backout.model.outcomes import PartOutcome, PartState
from backout.model.run import Run
from backout.report.writer import Safe, Writer, escape, moment

FEW = 4
"""So many parts are written up in full; of more, those that are not verified, and the first that is."""
STATES: dict[PartState, str] = {
    "recovered": N_("recovered"),
    "running": N_("running"),
    "not-started": N_("not started"),
    "parked": N_("not known"),
    "unknown": N_("not proven"),
    "aborted": N_("aborted"),
    "refused": N_("refused, nothing was written"),
    "failed": N_("failed"),
    "not-recovered": N_("not healthy"),
}
UNDONE: dict[PartState, str] = {"recovered": N_("taken back"), "not-recovered": N_("not taken back")}


def overview(page: Writer, run: Run, found: Sequence[PartOutcome]) -> None:
    """The title of the whole, its end, and a line a part."""
    undo = bool(run.operation.undo_of)
    good = sum(1 for one in found if one.state == "recovered")
    title = (
        page.say("Taken back: {good} of {all} parts", good=good, all=len(found))
        if undo
        else page.say("{good} of {all} parts are verified", good=good, all=len(found))
    )
    page.heading(title, 1)
    if run.failure is not None:
        page.line(f"> {page.say(run.failure.message)}")
        page.line()
    page.table(
        (
            page.say("cluster"),
            page.say("what"),
            page.say("wave"),
            page.say("state"),
            page.say("ended (UTC)"),
            page.say("why"),
        ),
        [_row(page, one, undo=undo) for one in found],
    )


def written_up(found: Sequence[PartOutcome]) -> list[str]:
    """The ids of the parts that are written up in full."""
    if len(found) <= FEW:
        return [one.part for one in found]
    first = next((one.part for one in found if one.state == "recovered"), "")
    return [one.part for one in found if one.part == first or one.state not in ("recovered", "not-started")]


def _row(page: Writer, one: PartOutcome, *, undo: bool) -> list[str]:
    word = (UNDONE.get(one.state) if undo else None) or STATES[one.state]
    why = page.say(one.failure.message) if one.failure is not None else Safe("")
    what = f"{escape(one.target)} → {one.revision}"
    return [escape(one.cluster), what, str(one.wave), page.say(word), moment(one.ended), why]
