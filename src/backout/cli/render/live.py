# SPDX-License-Identifier: Apache-2.0
"""A run as it happens, on stderr: one line an event; on a terminal, progress overwrites itself."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backout.cli.render.page import Page
    from backout.model.run import RunEvent

CLEAR = "\r\x1b[2K"
TRANSIENT = frozenset({"step-started", "step-progress", "soak"})
QUIET = frozenset({"verdict", "run-ended"})
"""Said again, better, when the run is over."""


class Live:
    """Prints events. ``started`` is the zero of the times on the left."""

    def __init__(self, page: Page, started: datetime, *, silent: bool) -> None:
        self._page = page
        self._started = started
        self._terminal = sys.stderr.isatty()
        self._open = False
        self._silent = silent
        self._last = ""

    def __call__(self, event: RunEvent) -> None:
        """Shows one event."""
        from backout.cli.render.run import event_line

        if self._silent or event.type in QUIET or event.data.get("status") == "pass":
            return
        line = event_line(self._page, event, self._started)
        self.close()
        if self._terminal and event.type in TRANSIENT:
            columns = _columns()
            click.echo(click.unstyle(line)[: columns - 1], err=True, nl=False)
            self._open = True
        elif line != self._last:
            click.echo(line, err=True)
        self._last = line

    def close(self) -> None:
        """Removes a line that was to be overwritten."""
        if self._open:
            sys.stderr.write(CLEAR)
            self._open = False


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
