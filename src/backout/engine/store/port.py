# SPDX-License-Identifier: Apache-2.0
"""Runs, their events and who executes them, as everything above sees them. One contract suite holds every adapter to it.

Each method is one transaction: what it wrote is on the disk when it returns, and no other process sees half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, Self, get_args

import msgspec

from backout.engine.pieces import Piece
from backout.engine.store.audit import AuditLog
from backout.engine.store.naming import describe
from backout.errors import LeaseLost, LockedError, RefusedError, RunNotFound, UsageError
from backout.model.message import Message
from backout.model.operation import Operation
from backout.model.run import ENDED, Failure, Run, RunEvent, RunState
from backout.model.verdict import Verdict

Listener = Callable[[RunEvent], None]


class Aim(msgspec.Struct, frozen=True, order=True):
    """What one part of an operation is about."""

    cluster: str
    namespace: str
    target: str


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `backout runs`: what can be said without reading the plan.

    ``approved_by`` and ``waits`` (for other people's yes) are told by who lists runs, not by the store. Where an operation has
    several parts, ``target``, ``cluster`` and ``namespace`` name all of theirs, and ``revision``
    is 0.
    """

    id: str
    state: RunState
    target: str
    cluster: str
    namespace: str
    revision: int
    cause: Message
    started: datetime
    ended: datetime | None = None
    actor: str = ""
    undo_of: str = ""
    undone_by: str = ""
    aims: tuple[Aim, ...] = ()
    approved_by: tuple[str, ...] = ()
    waits: bool = False


class Membership(Protocol):
    """This process, as one that is alive: until it leaves, or dies however it dies."""

    process: str

    def leave(self) -> None:
        """Says that this process is done; a second time has no effect."""


LET_GO = "let go"
"""Stands in the place of the process that claimed an execution and gave it up: no process is called so."""


def execution_of(run: str, piece: str = "") -> str:
    """The name under which a run, or a piece of one that is carried out for itself, is claimed: no id of a run has a space."""
    return f"{run} {piece}" if piece else run


def piece_of(execution: str) -> tuple[str, str]:
    """The run and the piece of `execution_of`."""
    run, _, piece = execution.partition(" ")
    return run, piece


class Owners(Protocol):
    """Which process executes which run, or which piece of one (`execution_of`): ``run`` below is either. It changes hands only
    when its process is proven dead, or lets it go."""

    def enter(self) -> Membership:
        """Makes this process known as a living one, under a name of its own."""

    def claim(self, run: str, process: str) -> None:
        """Makes ``process`` the one that executes ``run``. Two claims at once: one wins.

        Raises:
            LockedError: a living process has it.
        """

    def confirm(self, run: str) -> None:
        """Right before an effect: the claim that was made through this store still stands. What was never claimed here
        is not looked at.

        Raises:
            LeaseLost: another process has the run: do nothing more of it.
        """

    def let_go(self, run: str) -> None:
        """Gives up the claim that was made through this store, if it stands: whoever asks next has it."""

    def end(self, run: str) -> None:
        """The run needs no process any more."""

    def known(self, run: str) -> bool:
        """Whether any process ever had the run."""

    def unfinished(self, run: str) -> bool:
        """Whether the engine began the run and has not come to its end."""

    def alive(self, run: str) -> bool:
        """Whether a living process executes the run."""

    def executions(self, run: str) -> list[str]:
        """The run and its pieces, as far as any process ever had them."""

    def orphans(self) -> list[str]:
        """Runs that are not finished and whose process is dead, oldest first; their pieces are not named."""

    def request_abort(self, run: str, actor: str = "") -> None:
        """Asks for a stop at the next step; stays until the run ends."""

    def abort_requested(self, run: str) -> bool:
        """Whether somebody asked for it, from whatever process."""


Work = Literal["run", "operation", "part", "look"]
"""What a worker takes: a whole run; an operation whose parts others may take; one of its parts; a look at one."""
ALL_WORK: tuple[Work, ...] = get_args(Work)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker may take: runs and pieces on clusters it knows alone, as long as fewer than so many are under way by any
    worker (``per_cluster``: on each of the clusters; ``in_all``: altogether; 0 is without a limit). An operation may be taken by
    who knows one of its clusters, and neither it nor a look counts: others act for it."""

    known: tuple[str, ...]
    per_cluster: int = 1
    in_all: int = 0


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A run, or a piece of one, that a worker has from the queue."""

    run: str
    work: Work
    piece: Piece | None = None

    @property
    def execution(self) -> str:
        """The name under which it is claimed."""
        return execution_of(self.run, self.piece.name if self.piece else "")


class Queue(Protocol):
    """Runs that were submitted, and pieces of them, for whichever worker takes them. A run stays in it until it has ended, and
    its pieces with it."""

    def submit(self, run: str, clusters: Sequence[str], priority: int = 0, *, in_pieces: bool = False) -> None:
        """Puts a run there; of those that wait, the one with the lowest ``priority`` goes first, then the older. The same
        run twice is once. ``in_pieces``: it offers its parts itself, and acts on no cluster."""

    def take(self, process: str, limits: Limits, work: Collection[Work], here: Collection[str] = ()) -> Taken | None:
        """Claims the next of such work for ``process``: what nobody has, or whose process is dead, or what ``process`` has by a
        claim that it does not know of (it is at the executions ``here``). Two that take at once get different ones. None where
        nothing may be taken now."""

    def put_off(self, run: str, piece: str = "", *, again: bool = True) -> None:
        """It was left before its end: it is taken again after a while, longer each time; at once where it did not stop by
        itself (not ``again``)."""

    def done(self, run: str) -> None:
        """The run has ended."""

    def waiting(self) -> list[str]:
        """The runs that are there, in the order in which they go; those that are under way, too."""

    def offer(self, run: str, piece: Piece) -> None:
        """Puts a piece of a run there, with the priority of that; one that is there stays as it is, with its result.

        Raises:
            LeaseLost: another process has the run.
        """

    def begun(self, run: str, piece: str) -> bool:
        """Whether any worker ever had a piece."""

    def withdraw(self, run: str, piece: str) -> bool:
        """Takes back a piece that no worker ever had; False where one has, or had: then it comes to its end."""

    def recall(self, run: str) -> list[str]:
        """Takes back all of a run's pieces that no worker ever had, or that are over; answers with the others."""

    def deliver(self, run: str, piece: str, result: str) -> None:
        """Hands to the run what a piece came to.

        Raises:
            LeaseLost: another process has the piece.
        """

    def result(self, run: str, piece: str) -> str | None:
        """What was handed over; None before that."""


class RunStore(Protocol):
    """The runs of this user, or of all who share a database.

    Raises:
        StateError: by every method: the store can't be used; says why.
        LeaseLost: by what writes about a run that was claimed here, and that another process has by now: a process that
            was thought dead leaves the story of the run to the one that goes on with it.
    """

    @property
    def owners(self) -> Owners:
        """Who executes what."""

    @property
    def queue(self) -> Queue:
        """Runs for workers.

        Raises:
            ConfigError: this kind of database has none.
        """

    @property
    def audit(self) -> AuditLog:
        """What tells that the runs and events are those that were kept."""

    @property
    def url(self) -> str:
        """The database, for an engine that keeps its own records beside ours; may hold a password."""

    @property
    def engine_options(self) -> Mapping[str, Any]:
        """How such an engine has to connect: options of SQLAlchemy's ``create_engine``."""

    @property
    def shared(self) -> bool:
        """Whether processes of several hosts use it, over a network."""

    def lost(self, error: BaseException) -> bool:
        """Whether an error of the database's driver says that the connection failed, and nothing of the work."""

    @property
    def place(self) -> str:
        """The database as people are told of it: nothing secret."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        """Gives back what is open; leaving a ``with`` does so too."""

    def create(self, run: Run) -> None:
        """Keeps a new run with its operation; the same id twice is one run."""

    def update(
        self,
        run: str,
        *,
        state: RunState | None = None,
        ended: datetime | None = None,
        verdict: Verdict | None = None,
        failure: Failure | None = None,
        undone_by: str | None = None,
    ) -> None:
        """Writes what is given. A run that goes on forgets its failure.

        Raises:
            RunNotFound: no such run.
        """

    def get(self, run: str) -> Run:
        """One run, with its operation.

        Raises:
            RunNotFound: no such run.
            RefusedError: an earlier version kept it, with a plan that this one can't read.
        """

    def find(self, text: str) -> str:
        """The id that ``text`` means: an id, its unique beginning, or ``latest``.

        Raises:
            RunNotFound: none.
            UsageError: several begin so.
        """

    def summaries(self, limit: int = 50) -> list[RunSummary]:
        """The latest runs, newest first; all of them when ``limit`` is negative."""

    def remove(
        self, which: Callable[[], Iterable[RunSummary]], before: Callable[[str, Sequence[str]], None], actor: str = ""
    ) -> tuple[RunSummary, ...]:
        """Forgets runs: their events, plans that no other run has, owners. No other process writes meanwhile.

        ``which`` says which; ``before`` is called with the id and the paths of the captures of each, before its record
        goes: a process that dies there leaves the record, and with it the knowledge of what is left to do. What stays is a line of
        the audit: that it was there, how it ended, and who (``actor``) removed it.
        """

    def note_capture(self, run: str, part: str, path: str, digest: str) -> None:
        """Notes where the state of a part before the run is kept; a later one takes the place of an earlier one."""

    def token(self, run: str, part: str) -> int:
        """The highest token of the lock of a part that this run ever held; 0 before the first."""

    def raise_token(self, run: str, part: str, token: int) -> int:
        """Notes such a token and returns the highest known: an older holder learns so that it was replaced."""

    def acting(self, execution: str) -> Self:
        """This store for who carries ``execution`` out: what is written through it about the run is held to that claim."""

    def confirm(self, run: str) -> None:
        """Right before an effect: the claim of the execution that this store acts for stands, else that of the run; see
        `Owners.confirm`."""

    def answer(self, run: str, step: str) -> str | None:
        """What a step of a run that goes on in branches came to, as JSON without secrets; None where that is not recorded."""

    def keep_answer(self, run: str, step: str, answer: str) -> str:
        """Keeps it once: of two, the first stays. Returns the one that is kept. It goes with its run."""

    def record(self, *events: RunEvent, settled: bool = True) -> list[RunEvent]:
        """Keeps events of one run, all of them or none: each once by its key (events without one are always new). Tells the
        listeners of new ones, and returns them as they are kept.

        Not ``settled``: everybody reads them at once, but they may be on the disk only with the next record that is settled, and
        a host that loses its power in between forgets them. So nothing from outside may follow from one before that. What a
        step came to is such: its beginning is on the disk, and whoever finds that alone looks before doing it again.
        """

    def events(self, run: str, *, after: int = 0, part: str = "") -> list[RunEvent]:
        """What happened in a run, in order, beginning after the event numbered ``after``; of one part, where it is named.

        Who reads on from the last number misses none, however many processes tell."""

    def keyed(self, runs: Sequence[str], prefix: str) -> list[RunEvent]:
        """The events of these runs whose keys begin so, in their order."""

    def has_event(self, run: str, key: str) -> bool:
        """Whether that event was recorded."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` with every new event of this process; the answer ends it."""


# What every adapter says and decides alike.


def state_as_seen(owners: Owners, run: str, state: RunState) -> RunState:
    """A run that says it is running while its process is dead was interrupted."""
    if state in ENDED or state == "interrupted":
        return state
    return state if owners.alive(run) or not owners.known(run) else "interrupted"


def meant_by(text: str, ids: Sequence[str]) -> str:
    """The one that ``text`` means of the ids that are it or begin with it, the exact one first.

    Raises:
        RunNotFound: none.
        UsageError: several begin so.
    """
    if not ids or not text:
        raise unknown_run(text)
    if len(ids) > 1 and ids[0] != text:
        raise UsageError("{text} means several runs.", text=text, expected="one of {ids} …", ids=", ".join(ids))
    return ids[0]


def unknown_run(run: str) -> RunNotFound:
    """The error for a run that the store does not have."""
    return RunNotFound("There is no run {run}.", run=run, hint="`backout runs` lists them")


def of_an_earlier_version(run: str) -> RefusedError:
    """The error for a run whose plan is not one that this version can read."""
    return RefusedError(
        "Run {run} was kept by another version of Backout, with a plan that this one can't read.",
        run=run,
        hint="finish it or take it back with the version that made it; `backout runs prune` removes it",
    )


def aims_of(operation: Operation) -> tuple[Aim, ...]:
    """What each part of an operation is about."""
    return tuple(Aim(part.scope.cluster, part.scope.namespace, str(part.target)) for part in operation.parts)


def together(names: Iterable[str]) -> str:
    """The different ones of the names, in their order."""
    return ", ".join(dict.fromkeys(names))


def taken_over(run: str) -> LeaseLost:
    """The error for a process that was taken for dead, and whose run another one has."""
    return LeaseLost(
        "Another process goes on with run {run}. Nothing more is written here.",
        run=run,
        holder=run,
        hint="`backout show {run}` follows it",
    )


def executed_elsewhere(run: str, process: str, since: str) -> LockedError:
    """The error for a run that another living process executes."""
    return LockedError(
        "Run {run} is being executed by process {pid} on {host} since {since}.",
        run=run,
        since=since,
        hint="let it finish, watch it with `backout show {run}`, or stop it with `backout abort {run}`",
        **describe(process),
    )
