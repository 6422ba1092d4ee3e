# SPDX-License-Identifier: Apache-2.0
"""What a verb tells while it works, as typed events, and who is told: a front end shows them, or does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from backout.engine.store.port import RunSummary
    from backout.errors import BackoutError
    from backout.model.diagnosis import Problem
    from backout.model.message import Message
    from backout.model.operation import Operation
    from backout.model.run import Run, RunEvent, RunState
    from backout.model.target import Target


class Failed(msgspec.Struct, frozen=True):
    """What did not work for one cluster or target; others went on."""

    error: BackoutError
    cluster: str
    target: Target | None = None

    @classmethod
    def of(cls, plan: Operation, error: BackoutError) -> Failed:
        """``plan`` could not be carried out, or asked about."""
        return cls(error, ", ".join(plan.clusters), plan.target)


class Unseen(msgspec.Struct, frozen=True):
    """Something could not be looked at."""

    what: Message


class LeftOut(msgspec.Struct, frozen=True):
    """No plan could be made for it; the others are made."""

    failed: Failed


class Unfinished(msgspec.Struct, frozen=True):
    """A run on what is looked at stopped before its end. ``begun``: it changed something, or may have."""

    run: RunSummary
    begun: bool


class NotLetGo(msgspec.Struct, frozen=True):
    """A run on what is looked at has ended, and what it had locked may still be."""

    run: RunSummary


class LocksLeft(msgspec.Struct, frozen=True):
    """What was locked for a restore could not be let go."""

    error: BackoutError


class Watching(msgspec.Struct, frozen=True):
    """Checks are measured for so many seconds."""

    seconds: float


class RunBegins(msgspec.Struct, frozen=True):
    """A run begins, or goes on."""

    run: Run


class RunTells(msgspec.Struct, frozen=True):
    """One event of a run, as it is recorded."""

    event: RunEvent


class RunPauses(msgspec.Struct, frozen=True):
    """This process does no more for the run: it ended, or can be resumed."""

    run: str


class StateAway(msgspec.Struct, frozen=True):
    """The database of the runs does not take connections just now, and is tried again for some seconds."""

    error: BackoutError


class NotReady(msgspec.Struct, frozen=True):
    """Something stands in the way of one plan of several: a missing approval, or a tool that is not there."""

    plan: Operation
    error: BackoutError


class Unapplied(msgspec.Struct, frozen=True):
    """These codes were approved, and no risk of any plan asks for them."""

    codes: tuple[str, ...]


class StillBroken(msgspec.Struct, frozen=True):
    """Something that no plan acted on was broken before, and is so after what was taken back."""

    problem: Problem


class RepositoryOpened(msgspec.Struct, frozen=True):
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


class SnapshotUnreadable(msgspec.Struct, frozen=True):
    """The summary of one snapshot can't be read."""

    id: str
    error: Exception


class ObjectsTaken(msgspec.Struct, frozen=True):
    """So many objects are in the snapshot so far; None when no more are taken."""

    count: int | None


class GitUnread(msgspec.Struct, frozen=True):
    """The commit of a configured repository could not be read; the snapshot goes without it."""

    error: BackoutError


class TagUnpushed(msgspec.Struct, frozen=True):
    """A Git tag was made here and not pushed; ``command`` does it."""

    tag: str
    command: str


class StateKept(msgspec.Struct, frozen=True):
    """The present state is kept in a snapshot before something is written over it."""

    snapshot: str


class KeyTaken(msgspec.Struct, frozen=True):
    """A recipient can open nothing more that is written from now on."""


class KeyReplaced(msgspec.Struct, frozen=True):
    """A new identity stands first in the file ``path``."""

    path: str


class WorkerReady(msgspec.Struct, frozen=True):
    """A worker waits for submitted runs of these clusters."""

    clusters: tuple[str, ...]
    place: str


class WorkerTakes(msgspec.Struct, frozen=True):
    """A worker begins a submitted run, or goes on with one that another left."""

    run: str
    target: str
    clusters: str


class WorkerLeaves(msgspec.Struct, frozen=True):
    """A worker is done with a run: ``state`` is how it ended; where it did not, ``error`` says why, and it is taken again."""

    run: str
    state: RunState
    error: BackoutError | None = None


class WorkerWaits(msgspec.Struct, frozen=True):
    """A worker can't use the database now, and tries again."""

    error: BackoutError


class AuditUnsigned(msgspec.Struct, frozen=True):
    """The end of a run could not be signed in the audit; it is in it all the same."""

    error: BackoutError


class AuditDiffers(msgspec.Struct, frozen=True):
    """The log of the audit is not the one that this machine has seen before, as the file ``where`` notes it."""

    where: str


Event = (
    Unseen
    | LeftOut
    | Unfinished
    | NotLetGo
    | LocksLeft
    | Watching
    | RunBegins
    | RunTells
    | RunPauses
    | StateAway
    | NotReady
    | Unapplied
    | StillBroken
    | RepositoryOpened
    | SnapshotUnreadable
    | ObjectsTaken
    | GitUnread
    | TagUnpushed
    | StateKept
    | KeyTaken
    | KeyReplaced
    | WorkerReady
    | WorkerTakes
    | WorkerLeaves
    | WorkerWaits
    | AuditUnsigned
    | AuditDiffers
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
