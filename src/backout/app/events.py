# SPDX-License-Identifier: Apache-2.0
"""What a verb tells while it works, as typed events, and who is told: a front end shows them, or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from backout.engine.store.port import RunSummary
    from backout.errors import BackoutError
    from backout.model.message import Message
    from backout.model.operation import Operation
    from backout.model.run import Run, RunEvent
    from backout.model.target import Target


@dataclass(frozen=True, slots=True)
class Failed:
    """What did not work for one cluster or target; others went on."""

    error: BackoutError
    cluster: str
    target: Target | None = None

    @classmethod
    def of(cls, plan: Operation, error: BackoutError) -> Failed:
        """``plan`` could not be carried out, or asked about."""
        return cls(error, ", ".join(plan.clusters), plan.target)


@dataclass(frozen=True, slots=True)
class Unseen:
    """Something could not be looked at."""

    what: Message


@dataclass(frozen=True, slots=True)
class LeftOut:
    """No plan could be made for it; the others are made."""

    failed: Failed


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run on what is looked at stopped before its end. ``begun``: it changed something, or may have."""

    run: RunSummary
    begun: bool


@dataclass(frozen=True, slots=True)
class Watching:
    """Checks are measured for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class RunBegins:
    """A run begins, or goes on."""

    run: Run


@dataclass(frozen=True, slots=True)
class RunTells:
    """One event of a run, as it is recorded."""

    event: RunEvent


@dataclass(frozen=True, slots=True)
class RunPauses:
    """This process does no more for the run: it ended, or can be resumed."""

    run: str


@dataclass(frozen=True, slots=True)
class NotReady:
    """Something stands in the way of one plan of several: a missing approval, or a tool that is not there."""

    plan: Operation
    error: BackoutError


@dataclass(frozen=True, slots=True)
class Unapplied:
    """These codes were approved, and no risk of any plan asks for them."""

    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RepositoryOpened:
    """The repository of snapshots in ``where`` was opened; a key or the repository itself may have been made just then.

    ``identity`` is the file with the user's key, ``public`` its public half.
    """

    where: str
    fingerprint: str
    identity: str
    public: str
    key_made: bool
    created: bool
    first_seen: bool


@dataclass(frozen=True, slots=True)
class SnapshotUnreadable:
    """The summary of one snapshot can't be read."""

    id: str
    error: Exception


@dataclass(frozen=True, slots=True)
class ObjectsTaken:
    """So many objects are in the snapshot so far; None when no more are taken."""

    count: int | None


@dataclass(frozen=True, slots=True)
class GitUnread:
    """The commit of a configured repository could not be read; the snapshot goes without it."""

    error: BackoutError


@dataclass(frozen=True, slots=True)
class TagUnpushed:
    """A Git tag was made here and not pushed; ``command`` does it."""

    tag: str
    command: str


@dataclass(frozen=True, slots=True)
class StateKept:
    """The present state is kept in a snapshot before something is written over it."""

    snapshot: str


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """A recipient can open nothing more that is written from now on."""


@dataclass(frozen=True, slots=True)
class KeyReplaced:
    """A new identity stands first in the file ``path``."""

    path: str


Event = (
    Unseen
    | LeftOut
    | Unfinished
    | Watching
    | RunBegins
    | RunTells
    | RunPauses
    | NotReady
    | Unapplied
    | RepositoryOpened
    | SnapshotUnreadable
    | ObjectsTaken
    | GitUnread
    | TagUnpushed
    | StateKept
    | KeyTaken
    | KeyReplaced
)


class Front(Protocol):
    """Whoever called the verb and may show what it does."""

    def tell(self, event: Event) -> None:
        """Called as things happen; must not block."""

    def stoppable(self, run: str, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Around the work on one run: within it, ``stop`` ends the run at its next step so that it can be resumed."""


class Silent:
    """A front that shows nothing and stops nothing."""

    def tell(self, event: Event) -> None:
        """Shows nothing."""

    @contextmanager
    def stoppable(self, run: str, stop: Callable[[], None]) -> Iterator[None]:
        """Stops nothing."""
        yield
