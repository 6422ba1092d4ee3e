# SPDX-License-Identifier: Apache-2.0
"""The terminal as a front of the verbs: progress on stderr, and Ctrl-C. The only place that handles signals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backout.app import events

if TYPE_CHECKING:
    from backout.app.events import Event
    from backout.cli.options import GlobalOptions
    from backout.cli.render.fleet_live import FleetLive
    from backout.cli.render.live import Live, Transient
    from backout.cli.render.screen import Screen
    from backout.model.message import Message
    from backout.model.run import Run


class Console:
    """Shows what a verb tells, on stderr: sentences for people; beside a document, only what nobody may miss and how a run goes."""

    def __init__(self, options: GlobalOptions) -> None:
        self._options = options
        self._live: Live | FleetLive | None = None
        self._counter: Transient | None = None

    @property
    def text(self) -> bool:
        """True when people read the output."""
        return self._options.text

    def screen(self) -> Screen:
        """An empty screen in the reader's language."""
        from backout.cli.render.screen import Screen

        return Screen(self._options.language, options=self._options)

    def note(self, text: Message | str, /, **args: object) -> None:
        """Progress for people, on stderr; nothing when the output is a document."""
        if self.text:
            screen = self.screen()
            screen.line(screen.say(text, **args))
            self._show(screen)

    def tell(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case events.RunBegins(run=run):
                self._live = self._live_of(run)
            case events.RunTells(event=told) if self._live is not None:
                self._live(told)
            case events.RunPauses() if self._live is not None:
                self._live.close()
                self._live = None
            case events.ObjectsTaken(count=count):
                self._count(count)
            case _:
                self._say(event)

    def _live_of(self, run: Run) -> Live | FleetLive:
        colours = not self._options.no_color
        if run.operation.fleet is not None:
            from backout.cli.render.fleet_live import FleetLive

            return FleetLive(self.screen(), run, colours=colours, verbose=self._options.verbose)
        from backout.cli.render.live import Live

        return Live(self.screen(), run.started, colours=colours)

    def _say(self, event: Event) -> None:
        from backout.cli.render.progress import ALWAYS, show_event

        if not self.text and not isinstance(event, ALWAYS):
            return
        screen = self.screen()
        show_event(screen, event)
        self._show(screen)

    def _show(self, screen: Screen) -> None:
        if self._live is not None:
            self._live.close()
        screen.show(err=True, colours=not self._options.no_color)

    def _count(self, count: int | None) -> None:
        """A number that overwrites itself, on a terminal."""
        if count is None or not self.text:
            if self._counter is not None:
                self._counter.close()
            self._counter = None
            return
        if self._counter is None:
            from backout.cli.render.live import Transient

            self._counter = Transient(colours=not self._options.no_color)
        if self._counter.possible:
            self._counter.show(self.screen().say("Objects: {count}", count=count))

    @contextmanager
    def stoppable(self, run: str, stop: Callable[[], None]) -> Iterator[None]:
        """The first Ctrl-C (SIGTERM, or the end of the terminal) stops at the next step; the second ends the process at once."""
        import asyncio
        import signal

        loop = asyncio.get_running_loop()
        asked = False

        def heard() -> None:
            nonlocal asked
            if asked:
                if self._live is not None:
                    self._live.close()
                os._exit(130)
            asked = True
            screen = self.screen()
            screen.told("Stopping at the next step (again: at once; `backout resume {run}` goes on)…", run=run)
            self._show(screen)
            stop()

        # Asked now: of a terminal that is gone, nobody can tell that it was one.
        terminals = [number for number in (1, 2) if os.isatty(number)]

        def hung_up() -> None:
            # Nobody reads any more, and whoever writes to a terminal that is gone gets an error.
            _to_nowhere(terminals)
            if not asked:
                heard()

        handlers = {signal.SIGINT: heard, signal.SIGTERM: heard, signal.SIGHUP: hung_up}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


def _to_nowhere(descriptors: list[int]) -> None:
    """What is printed from now on is lost; what happened is kept with the run."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in descriptors:
        os.dup2(nowhere, number)
    os.close(nowhere)
