# SPDX-License-Identifier: Apache-2.0
"""A run over many clusters as it goes: on a terminal a table of what is under way; elsewhere a line a change."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from backout.cli.render.fleet import SHOWN, STYLE, summary
from backout.cli.render.run import OF_PARTS, event_line
from backout.cli.render.screen import Screen, coloured, duration, paint, styled
from backout.model.outcomes import PartOutcome, outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group
    from rich.live import Live as RichLive

    from backout.model.run import Run, RunEvent

WIDEST = 40
"""So much of the name of a cluster is always seen."""
_SAID = frozenset(
    {
        "resumed",
        "wave-started",
        "gate",
        "part-ended",
        "part-parked",
        "undo-follows",
        "undo-left",
        "lease-left",
        "lease-returned",
    }
)
"""What stays on a terminal above the table."""
_DOING = frozenset({"step-started", "step-progress", "soak", "lease-acquired", "captured", "step-done"})

PAUSE = 0.1
"""Seconds between two drawings, at least, where nothing began or ended."""


class FleetLive:
    """Shows the events of one run. ``verbose``: those of every part, line by line."""

    def __init__(self, screen: Screen, run: Run, *, colours: bool = True, verbose: bool = False) -> None:
        self._lang, self._options = screen.lang, screen.options
        self._run = run
        self._verbose = verbose
        self._colours = colours
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and not verbose
        self._events: list[RunEvent] = []
        self._doing: dict[str, RunEvent] = {}
        self._live: RichLive | None = None
        self._drawn = 0.0

    def __call__(self, event: RunEvent) -> None:
        """Shows one event."""
        if event.part and event.type in _DOING:
            self._doing[event.part] = event
        if event.part and event.type in OF_PARTS:
            self._events.append(event)
        if self._terminal:
            if event.type in _SAID:
                self._say(event)
            if event.type in OF_PARTS or time.monotonic() - self._drawn > PAUSE:
                self._draw(event)
        elif event.type in OF_PARTS or self._verbose:
            self._say(event)

    def close(self) -> None:
        """Removes the table."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, event: RunEvent) -> None:
        if event.type == "run-ended":
            return  # said again, better, when the run is over
        screen = Screen(self._lang, options=self._options)
        line = event_line(screen, event, self._run.started)
        cluster = event.part.partition("/")[0]
        screen.line(f"{line}" if event.type in OF_PARTS or not cluster else f"{cluster}: {line.strip()}")
        self.close()
        screen.show(err=True, colours=self._colours)

    def _draw(self, event: RunEvent) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._drawn = time.monotonic()
        table = self._table(event)
        if self._live is None:
            console = Console(
                stderr=True,
                highlight=False,
                markup=False,
                emoji=False,
                color_system="auto" if self._colours and coloured(sys.stderr) else None,
            )
            self._live = RichLive(table, console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        self._live.update(table, refresh=True)

    def _table(self, event: RunEvent) -> Group:
        screen = Screen(self._lang, options=self._options)
        found = outcomes(self._run.operation, self._events, under_way=True)
        running = [one for one in found if one.state == "running"]
        below = [summary(screen, found, undo=bool(self._run.operation.undo_of))]
        if len(running) > 2 * SHOWN:
            below.insert(0, screen.say("and {count} more", count=len(running) - 2 * SHOWN))
        return picture([self._row(screen, one, event) for one in running[: 2 * SHOWN]], below)

    def _row(self, screen: Screen, one: PartOutcome, event: RunEvent) -> tuple[str, str, str]:
        took = duration((event.at - one.began).total_seconds()) if one.began else ""
        doing = self._doing.get(one.part)
        what = screen.say(doing.message) if doing is not None else ""
        return paint(one.cluster, STYLE[one.state]), took, paint(what, "dim")


def picture(rows: Sequence[tuple[str, str, str]], below: Sequence[str]) -> Group:
    """A row for each cluster that is worked on, as wide as their names ask for, and lines below that are as wide as they like."""
    from rich.console import Group
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, title=None)
    cells = [[styled(cell) for cell in row] for row in rows]
    for column in range(3):
        # What is being done may be long: it gives way, and not the name of the cluster.
        wanted = max((row[column].cell_len for row in cells), default=0) if column < 2 else 0
        table.add_column(no_wrap=True, overflow="ellipsis", min_width=min(wanted, WIDEST))
    for row in cells:
        table.add_row(*row)
    return Group(table, *(styled(line) for line in below))
