# SPDX-License-Identifier: Apache-2.0
"""What a worker does: takes submitted runs and parts of them, and carries each to its end, until it is told to stop.

One process, one engine, any number of executions beside each other: operations over many clusters, which only decide what
goes when; their parts, each for itself, whoever has the operation; and whole runs, one at a time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from backout.app.admission import Terms, require_free, require_policy
from backout.app.aftermath import look_after, note
from backout.app.approving import miss_all, prepare
from backout.app.audit.book import sign_end
from backout.app.choosing import chosen_clusters
from backout.app.events import RunTells, WorkerLeaves, WorkerReady, WorkerTakes, WorkerWaits
from backout.app.fleet import taking_back
from backout.app.running import actor, connected, left_with, services_for, with_snapshots
from backout.app.store import open_store
from backout.app.workspace import Workspace
from backout.engine.wire import of_house
from backout.errors import BackoutError, Interrupted, LeaseLost, StateError
from backout.model.run import ENDED

if TYPE_CHECKING:
    from backout.app.aftermath import Other
    from backout.engine.pieces import Piece
    from backout.engine.port import WorkflowContext
    from backout.engine.store.port import Limits, RunStore, Taken, Work
    from backout.model.operation import Operation
    from backout.model.part import Part
    from backout.model.run import Run
    from backout.workflows.services import Services

LOOK = 0.5
"""Seconds between two looks at the queue: a dead worker's work is found so long after its lease is over."""
PARTS = 10
"""Parts that a worker has under way at once, where nothing else is said."""
OPERATIONS = 20
"""Operations that a worker decides for at once."""
SWEEP = 30.0
"""Seconds between two looks for runs that nobody approved in time."""
QUEUED = Terms(queued=True)
AGAIN = 3.0
"""Seconds before a database that can't be used is tried again."""


def submit(
    workspace: Workspace, plans: Sequence[Operation], terms: Terms = QUEUED, others: Sequence[Other] = ()
) -> list[Run]:
    """Leaves plans to the workers; those that other people have to approve wait for them first. ``others``: what else was broken
    when they were made, to be looked at in the end.

    Raises:
        ConfigError: the database is not one that workers share.
        FrozenError, OverLimitError: policy forbids one.
        LockedError: another run is about one of the targets.
        StateError: it can't be used; nothing is left half done: what was submitted before is in the queue.
    """
    from backout.workflows.runner import new_run

    runs = []
    with open_store(workspace, create=True) as store:
        queue = store.queue
        for plan in plans:
            require_policy(workspace, plan, terms)
            require_free(store, plan)
        for plan in plans:
            run = new_run(store, plan, actor())
            if not prepare(workspace, store, run, terms):
                queue.submit(run.id, plan.clusters, terms.priority, in_pieces=plan.fleet is not None)
            runs.append(run)
        note(store, others, runs)
    return runs


def clusters_of(workspace: Workspace) -> tuple[str, ...]:
    """The clusters that a worker takes runs of: those that were named, else those of the configuration, else the contexts of
    the kubeconfig.

    Raises:
        UsageError: there are none.
    """
    where = workspace.where
    return where.contexts or chosen_clusters(workspace.settings, ("all",), kubeconfig=where.kubeconfig)


class Drain:
    """Told once, it ends a worker at the next safe point: what is under way stops at its next step, and nothing more is taken."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._stop: Callable[[], None] | None = None

    @property
    def asked(self) -> bool:
        """Whether it was told."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Tells it; call it on the loop's thread."""
        self._asked.set()
        if self._stop is not None:
            self._stop()

    async def wait(self, seconds: float, *others: asyncio.Future[Any]) -> None:
        """Waits so long, or until it is told, or one of ``others`` is over."""
        told = asyncio.ensure_future(self._asked.wait())
        try:
            waited = {told, *others} if not self.asked else {*others}
            await asyncio.wait(waited or {told}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()

    def stops(self, stop: Callable[[], None]) -> None:
        """From now on, being told calls ``stop``."""
        self._stop = stop
        if self.asked:
            stop()


async def work(
    workspace: Workspace,
    drain: Drain,
    *,
    parts: int = PARTS,
    per_cluster: int = 1,
    in_all: int = 0,
    until_idle: bool = False,
    kind: type[Worker] | None = None,
) -> None:
    """Carries out what was submitted until ``drain`` is told, or with ``until_idle`` until the queue is empty.

    ``parts`` is how many parts of operations this worker has under way at once; ``per_cluster`` and ``in_all`` are the most
    runs and parts that all workers have under way at once; 0 is without a limit. ``kind``: what carries them out.

    Whatever goes wrong with one run is told, and the run is taken again later, by this worker or another. A database that
    is gone is waited for.

    Raises:
        ConfigError: the database is not one that workers share.
    """
    from backout.engine.store.port import Limits

    limits = Limits(known=clusters_of(workspace), per_cluster=per_cluster, in_all=in_all)
    while True:
        try:
            with open_store(workspace, create=True) as store:
                _ = store.queue
                workspace.tell(WorkerReady(limits.known, store.place))
                worker = (kind or Worker)(workspace, store, limits, drain, parts)
                try:
                    await worker.serve(until_idle=until_idle)
                finally:
                    await worker.close()
                return
        except StateError as error:
            workspace.tell(WorkerWaits(error))
            if drain.asked:
                return
            await drain.wait(AGAIN)


class Worker:
    """One life of a worker, as long as its database can be used."""

    def __init__(self, workspace: Workspace, store: RunStore, limits: Limits, drain: Drain, parts: int) -> None:
        from backout.engine.dbos_engine import DbosEngine
        from backout.engine.queued import Queued
        from backout.workflows.runner import workflows_with

        self._workspace = workspace
        self._store = store
        self._limits = limits
        self._drain = drain
        self._parts = parts
        self._given: dict[str, Services] = {}
        self._approved: dict[str, Run] = {}
        self._tasks: dict[str, tuple[Work, asyncio.Task[None]]] = {}
        known = with_snapshots(workspace, workflows_with(self._services_of))
        self._engine = DbosEngine(store, known, hands=Queued(store.queue))
        self._unheard = store.listen(lambda event: workspace.tell(RunTells(event)))
        drain.stops(self._engine.interrupt)

    async def serve(self, *, until_idle: bool) -> None:
        """Takes work as long as there is room for it, until the drain is told.

        Raises:
            StateError: the database can't be used.
        """
        sweep = time.monotonic()
        while True:
            if time.monotonic() >= sweep:
                sweep = time.monotonic() + SWEEP
                miss_all(self._store)
            while not self._drain.asked and (taken := self._take()) is not None:
                task = asyncio.ensure_future(self._carry(taken))
                self._tasks[taken.execution] = (taken.work, task)
            if not self._tasks and (self._drain.asked or (until_idle and not self._store.queue.waiting())):
                return
            await self._drain.wait(LOOK, *(task for _, task in self._tasks.values()))
            over = [execution for execution, (_, task) in self._tasks.items() if task.done()]
            for task in [self._tasks.pop(execution)[1] for execution in over]:
                task.result()
            if not self._tasks:
                self._approved.clear()

    async def close(self) -> None:
        """Ends what is under way, and leaves the database."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._unheard()
        # Its threads take a while to end: the next engine waits for them, the end of the process does not.
        await self._engine.close(wait=False)

    def _take(self) -> Taken | None:
        under_way = [work for work, _ in self._tasks.values()]
        room: dict[Work, int] = {"operation": OPERATIONS, "look": len(under_way) + 1, "part": self._parts, "run": 1}
        work = [kind for kind, most in room.items() if under_way.count(kind) < most]
        return self._store.queue.take(self._engine.process, self._limits, work, self._tasks)

    async def _carry(self, taken: Taken) -> None:
        try:
            if taken.run not in self._approved:
                self._approved[taken.run] = self._store.get(taken.run)
            run = self._approved[taken.run]
            if taken.piece is not None:
                await self._piece(taken, taken.piece, run)
            else:
                await self._run(run)
        except StateError:
            raise  # the worker begins anew
        except BackoutError as error:
            # It can't even be read: another version may.
            self._store.queue.put_off(taken.run, taken.piece.name if taken.piece else "")
            self._engine.let_go(taken.execution)
            self._workspace.tell(WorkerLeaves(taken.run, "interrupted", error))
        finally:
            self._given.pop(taken.execution, None)

    def _services_of(self, context: WorkflowContext) -> Services:
        return self._given[context.execution]

    @asynccontextmanager
    async def outside(self, run: Run, parts: Sequence[Part]) -> AsyncIterator[Services]:
        """Everything that reaches outside, for these parts of a run."""
        workspace, spaces = self._workspace, {part.scope.namespace for part in parts}
        if len(spaces) == 1:
            # What the Secrets there hold is learnt before anything of it is told or kept.
            where = dataclasses.replace(workspace.where, namespace=spaces.pop())
            workspace = Workspace(workspace.settings, where, workspace.front)
        async with connected(workspace, run.operation) as scopes:
            yield services_for(workspace, scopes, self._store, run)

    # a piece of a run that any worker may have

    async def _piece(self, taken: Taken, piece: Piece, run: Run) -> None:
        from backout.engine.queued import KEPT_BACK, answer_of, failure_of_piece

        queue = self._store.queue
        mine = [part for part in run.operation.parts if part.id == piece.payload["part"]]
        if taken.work == "part":
            self._tell_taken(run, ", ".join(str(part.target) for part in mine), piece.cluster)
        try:
            async with self.outside(run, mine) as services:
                services.approved[run.id] = run
                self._given[taken.execution] = services
                answer = answer_of(await self._engine.carry_out(run.id, piece))
        except Exception as error:
            failure = of_house(error)
            if isinstance(failure, KEPT_BACK):
                self._workspace.tell(WorkerLeaves(run.id, "interrupted", failure))
                if isinstance(failure, StateError):
                    queue.put_off(run.id, piece.name)
                self._engine.let_go(taken.execution)
                return
            answer = failure_of_piece(failure)
        try:
            queue.deliver(run.id, piece.name, answer)
        except LeaseLost as error:
            self._workspace.tell(WorkerLeaves(run.id, "interrupted", error))
        else:
            if self._store.owners.unfinished(taken.execution):
                self._engine.let_go(taken.execution)

    def _tell_taken(self, run: Run, target: str, clusters: str) -> None:
        self._workspace.tell(WorkerTakes(run.id, target, clusters))

    # a run, or an operation whose parts others carry out

    async def _run(self, run: Run) -> None:
        store = self._store
        self._tell_taken(run, run.operation.targets, ", ".join(run.operation.clusters))
        error = await self._carried(run)
        state = store.get(run.id).state
        if state in ENDED:
            self._follow_up(run.id)
        if state in ENDED and not store.owners.unfinished(run.id):
            if await self._looked_after(run.id):
                store.queue.done(run.id)
            else:
                store.queue.put_off(run.id, again=False)
                self._engine.let_go(run.id)
        else:
            # Whoever was told to stop, or was replaced, leaves it to the others at once.
            store.queue.put_off(run.id, again=not isinstance(error, Interrupted | LeaseLost))
            self._engine.let_go(run.id)
        sign_end(self._workspace, store)
        told = left_with(store, run.id, error) if error is not None else None
        self._workspace.tell(WorkerLeaves(run.id, state, told))

    async def _looked_after(self, run: str) -> bool:
        """Looks at what else was broken when the plan was made; False where this worker is to stop before that."""
        self._tasks[run] = ("look", self._tasks[run][1])  # it acts no more, so that there is room for another run
        looking = asyncio.ensure_future(look_after(self._workspace, self._store, self._store.get(run)))
        try:
            while not looking.done() and not self._drain.asked:
                await self._drain.wait(LOOK, looking)
            if looking.done():
                looking.result()
            return looking.done()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _carried(self, run: Run) -> BackoutError | None:
        """Carries it out; why it did not come to its end, where that is so."""
        from backout.workflows.runner import go_on

        try:
            async with self.outside(run, run.operation.parts) as services:
                self._given[run.id] = services
                await go_on(self._engine, self._store, run.id)
        except Exception as error:
            # Whatever it is: the worker has other runs, and this one waits before anybody tries it again.
            return of_house(error)
        return None

    def _follow_up(self, run: str) -> None:
        """A run that ended may have made one that takes it back: that is for the workers, too."""
        store = self._store
        other = taking_back(store, store.get(run))
        if other is not None and other.state not in ENDED:
            plan = other.operation
            store.queue.submit(other.id, plan.clusters, priority=-1, in_pieces=plan.fleet is not None)
