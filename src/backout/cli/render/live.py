# SPDX-License-Identifier: Apache-2.0
"""What happens as it happens, on stderr: one line an event; on a terminal, progress overwrites itself."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from backout.cli.render.screen import Screen, coloured, styled

if TYPE_CHECKING:
    from rich.live import Live as RichLive

    from backout.model.run import RunEvent

TRANSIENT = frozenset({"step-started", "step-progress", "soak"})
QUIET = frozenset({"verdict", "run-ended"})
"""Said again, better, when the run is over."""


class Transient:
    """A line on a terminal that the next one overwrites; nothing where there is no terminal."""

    def __init__(self, *, colours: bool = True) -> None:
        self.possible = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        self._colours = colours and coloured(sys.stderr)
        self._live: RichLive | None = None

    def show(self, line: str) -> None:
        """Shows the line in place of the one before."""
        text = styled(line)
        text.overflow = "ellipsis"
        if self._live is None:
            from rich.console import Console
            from rich.live import Live as RichLive

            console = Console(
                stderr=True, highlight=False, markup=False, emoji=False, color_system="auto" if self._colours else None
            )
            self._live = RichLive(text, console=console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        self._live.update(text, refresh=True)

    def close(self) -> None:
        """Removes it."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class Live:
    """Prints the events of a run. ``started`` is the zero of the times on the left."""

    def __init__(self, screen: Screen, started: datetime, *, colours: bool = True) -> None:
        self._lang, self._options = screen.lang, screen.options
        self._started = started
        self._colours = colours
        self._transient = Transient(colours=colours)
        self._last = ""

    def __call__(self, event: RunEvent) -> None:
        """Shows one event."""
        from backout.cli.render.run import event_line

        if event.type in QUIET or event.data.get("status") == "pass":
            return
        screen = Screen(self._lang, options=self._options)
        line = event_line(screen, event, self._started)
        if self._transient.possible and event.type in TRANSIENT:
            self._transient.show(line)
        elif line != self._last:
            self._transient.close()
            screen.line(line)
            screen.show(err=True, colours=self._colours)
        self._last = line

    def close(self) -> None:
        """Removes a line that was to be overwritten."""
        self._transient.close()
