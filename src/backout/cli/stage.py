# SPDX-License-Identifier: Apache-2.0
"""A rehearsal on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from backout.app.events import RepositoryOpened
from backout.cli.endings import conclude
from backout.cli.failures import show_failure
from backout.cli.output import print_page

if TYPE_CHECKING:
    from backout import Diagnosis, Front, Operation, Run, Taken
    from backout.app.events import Event
    from backout.cli.session import Session
    from backout.errors import BackoutError


class _Discreet:
    """A front that says nothing of a key and a repository that go with the rehearsal."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def tell(self, event: Event) -> None:
        """All but that."""
        if not isinstance(event, RepositoryOpened):
            self._front.tell(event)

    def stoppable(self, run: str, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """As the front does."""
        return self._front.stoppable(run, stop)


class TerminalStage:
    """Shows a rehearsal to people; to programs nothing but its outcome."""

    def __init__(self, session: Session, *, quiet: bool = False) -> None:
        self._session = session
        self._front: Front = _Discreet(session.console) if quiet else session.console

    @property
    def front(self) -> Front:
        """Is told what Backout does meanwhile."""
        return self._front

    @property
    def lang(self) -> str:
        """The reader's language."""
        return self._session.lang

    def note(self, text: str, /, **args: object) -> None:
        """A sentence of progress."""
        self._session.note(text, **args)

    def says(self, text: str) -> str:
        """A sentence in the reader's language."""
        return self._session.screen().say(text)

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """What was found."""
        from backout.cli.render.diagnosis import show_diagnosis

        if self._session.text:
            self._session.show(lambda screen: show_diagnosis(screen, diagnosis))

    def planned(self, plan: Operation) -> None:
        """What is going to be done."""
        from backout.cli.render.plan import show_plans

        if self._session.text:
            self._session.show(lambda screen: show_plans(screen, [plan], apart=True))

    def ended(self, run: Run) -> None:
        """How a run ended."""
        if self._session.text:
            conclude(self._session, run)

    def taken(self, taken: Taken) -> None:
        """A snapshot that was taken."""
        from backout.cli.render.snapshot_work import show_taken

        if self._session.text:
            self._session.show(lambda screen: show_taken(screen, taken))

    def failed(self, error: BackoutError) -> None:
        """What went wrong."""
        if self._session.text:
            show_failure(error, self._session.options)

    def reported(self, text: str) -> None:
        """The write-up of the last run."""
        if self._session.text:
            print_page(text)
