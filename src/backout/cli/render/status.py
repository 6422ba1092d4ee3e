# SPDX-License-Identifier: Apache-2.0
"""What is deployed, as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from backout.app.reading import state_of
from backout.cli.render.screen import Screen

if TYPE_CHECKING:
    from backout.app.reading import ClusterStatus, TargetStatus

WORDS = {
    "broken": "broken",
    "unknown": "unknown",
    "under-way": "under way",
    "stopped": "scaled to 0",
    "healthy": "healthy",
}
"""State → what people read, the worst first."""
MARKS = {True: "good", False: "bad", None: "unknown"}


def show_status(screen: Screen, found: Sequence[ClusterStatus], states: Collection[str] = ()) -> None:
    """A line a target; of those in ``states``, where any are named, and then of the clusters that have one. Of several clusters,
    how many there are of each state stands at the end."""
    for one in found:
        targets = [target for target in one.targets if not states or state_of(target) in states]
        if states and not targets and not one.blind:
            continue
        if len(found) > 1:
            screen.line(one.cluster)
        for blind in one.blind:
            screen.line(f"{screen.mark('unknown')} {screen.say(blind)}")
        if not one.targets:
            screen.told("Nothing was seen here." if one.blind else "Nothing is deployed here.")
        elif targets:
            heads = ("target", "namespace", "revision", "since", "state", "back to", "problem")
            screen.table(heads, [_row(screen, row) for row in targets])
    if len(found) > 1:
        _sum(screen, found)
    elif states and not any(state_of(target) in states for one in found for target in one.targets):
        screen.told("No target is in that state.")


def _sum(screen: Screen, found: Sequence[ClusterStatus]) -> None:
    all_states = [state_of(target) for one in found for target in one.targets]
    counted = ", ".join(
        f"{all_states.count(state)} {screen.say(WORDS[state])}" for state in WORDS if state in all_states
    )
    unread = sum(1 for one in found if one.blind)
    screen.told(
        "{clusters} clusters, {targets} targets: {counted}.",
        clusters=len(found),
        targets=len(all_states),
        counted=counted or screen.say("none"),
    )
    if unread:
        screen.told("Of {count} clusters not everything is known.", count=unread)


def _row(screen: Screen, row: TargetStatus) -> tuple[str, ...]:
    return (
        f"{screen.mark(MARKS[row.healthy])} {row.target}",
        row.target.namespace,
        str(row.current.number) if row.current else "?",
        screen.ago(row.current.created) if row.current else "",
        screen.say(WORDS[state_of(row)]),
        str(row.back_to.number) if row.back_to else "-",
        screen.say(row.problem) if row.problem else "",
    )
