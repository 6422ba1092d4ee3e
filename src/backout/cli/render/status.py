# SPDX-License-Identifier: Apache-2.0
"""What is deployed, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backout.cli.render.screen import Screen

if TYPE_CHECKING:
    from backout.app.reading import ClusterStatus, TargetStatus

MARKS = {True: "good", False: "bad", None: "unknown"}


def show_status(screen: Screen, found: Sequence[ClusterStatus]) -> None:
    """A line a target."""
    for one in found:
        if len(found) > 1:
            screen.line(one.cluster)
        for blind in one.blind:
            screen.line(f"{screen.mark('unknown')} {screen.say(blind)}")
        if not one.targets:
            screen.told("Nothing was seen here." if one.blind else "Nothing is deployed here.")
            continue
        heads = ("target", "namespace", "revision", "since", "state", "back to", "problem")
        screen.table(heads, [_row(screen, row) for row in one.targets])


def _row(screen: Screen, row: TargetStatus) -> tuple[str, ...]:
    return (
        f"{screen.mark(MARKS[row.healthy])} {row.target}",
        row.target.namespace,
        str(row.current.number) if row.current else "?",
        screen.ago(row.current.created) if row.current else "",
        screen.say(_state(row)),
        str(row.back_to.number) if row.back_to else "-",
        screen.say(row.problem) if row.problem else "",
    )


def _state(row: TargetStatus) -> str:
    if row.under_way:
        return "under way"
    return "scaled to 0" if row.stopped else {True: "healthy", False: "broken", None: "unknown"}[row.healthy]
