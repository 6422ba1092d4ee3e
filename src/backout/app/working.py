# SPDX-License-Identifier: Apache-2.0
"""What a worker does: takes submitted runs, one at a time, and carries each to its end, until it is told to stop."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backout.app.choosing import chosen_clusters
from backout.app.events import Event, Front, WorkerLeaves, WorkerReady, WorkerTakes, WorkerWaits
from backout.app.fleet import follows
from backout.app.running import actor, carry_claimed
from backout.app.store import open_store
from backout.app.workspace import Workspace
from backout.engine.wire import of_house
from backout.errors import BackoutError, StateError
from backout.model.run import ENDED

if TYPE_CHECKING:
    from backout.engine.store.port import Limits, Membership, RunStore
    from backout.model.operation import Operation
    from backout.model.run import Run

LOOK = 1.0
"""Seconds between two looks at the queue: a dead worker's run is found so long after its lease is over."""
AGAIN = 3.0
"""Seconds before a database that can't be used is tried again."""


def submit(workspace: Workspace, plans: Sequence[Operation], priority: int = 0) -> list[Run]:
    """Leaves approved plans to the workers.

    Raises:
        ConfigError: the database is not one that workers share.
        StateError: it can't be used; nothing is left half done: what was submitted before is in the queue.
    """
    from backout.workflows.runner import new_run

    runs = []
    with open_store(workspace, create=True) as store:
        queue = store.queue
        for plan in plans:
            run = new_run(store, plan, actor())
            queue.submit(run.id, plan.clusters, priority)
            runs.append(run)
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
    """Told once, it ends a worker at the next safe point: the run under way stops at its next step, and no other is taken."""

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

    async def wait(self, seconds: float) -> None:
        """Waits so long, or until it is told."""
        try:
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        except TimeoutError:
            pass

    @contextmanager
    def stops(self, stop: Callable[[], None]) -> Iterator[None]:
        """Within it, being told calls ``stop``."""
        self._stop = stop
        if self.asked:
            stop()
        try:
            yield
        finally:
            self._stop = None


class _Working:
    """The front of a run that a worker carries out: it is stopped by the worker's drain."""

    def __init__(self, front: Front, drain: Drain) -> None:
        self._front = front
        self._drain = drain

    def tell(self, event: Event) -> None:
        """As the front does."""
        self._front.tell(event)

    @contextmanager
    def stoppable(self, run: str, stop: Callable[[], None]) -> Iterator[None]:
        """By the drain."""
        with self._drain.stops(stop):
            yield


async def work(
    workspace: Workspace, drain: Drain, *, per_cluster: int = 1, in_all: int = 0, until_idle: bool = False
) -> None:
    """Carries out submitted runs, one at a time, until ``drain`` is told, or with ``until_idle`` until the queue is empty.

    ``per_cluster`` and ``in_all`` are the most runs that all workers have under way at once; 0 is without a limit.

    Whatever goes wrong with one run is told, and the run is taken again later, by this worker or another. A database that
    is gone is waited for.

    Raises:
        ConfigError: the database is not one that workers share.
    """
    from backout.engine.store.port import Limits

    limits = Limits(known=clusters_of(workspace), per_cluster=per_cluster, in_all=in_all)
    own = workspace.for_front(_Working(workspace.front, drain))
    while not drain.asked:
        try:
            with open_store(workspace, create=True) as store:
                _ = store.queue
                workspace.tell(WorkerReady(limits.known, store.place))
                await _serve(own, store, limits, drain, until_idle=until_idle)
                return
        except StateError as error:
            workspace.tell(WorkerWaits(error))
            await drain.wait(AGAIN)


async def _serve(workspace: Workspace, store: RunStore, limits: Limits, drain: Drain, *, until_idle: bool) -> None:
    while not drain.asked:
        # A name of its own for each run: whoever had one before is done with everything that was begun under it.
        membership = store.owners.enter()
        try:
            while (run := store.queue.take(membership.process, limits)) is None:
                if until_idle and not store.queue.waiting():
                    return
                await drain.wait(LOOK)
                if drain.asked:
                    return
            found = store.get(run)
            workspace.tell(WorkerTakes(run, found.operation.targets, ", ".join(found.operation.clusters)))
            error = await _carried(workspace, store, found, membership)
            state = store.get(run).state
            if state in ENDED:
                _follow_up(store, run)
            if state in ENDED and not store.owners.unfinished(run):
                store.queue.done(run)
            else:
                store.queue.put_off(run, again=not drain.asked)
            workspace.tell(WorkerLeaves(run, state, error))
        finally:
            membership.leave()


async def _carried(workspace: Workspace, store: RunStore, run: Run, membership: Membership) -> BackoutError | None:
    """Carries it out; why it did not come to its end, where that is so."""
    spaces = {part.scope.namespace for part in run.operation.parts}
    if len(spaces) == 1:
        # What the Secrets there hold is learnt before anything of it is told or kept.
        where = dataclasses.replace(workspace.where, namespace=spaces.pop())
        workspace = Workspace(workspace.settings, where, workspace.front)
    try:
        await carry_claimed(workspace, store, run, membership)
    except Exception as error:
        # Whatever it is: the worker has other runs, and this one waits before anybody tries it again.
        return of_house(error)
    return None


def _follow_up(store: RunStore, run: str) -> None:
    """A run that ended may have made one that takes it back: that is for the workers, too."""
    other = follows(store.events(run))
    if other and store.get(other).state not in ENDED:
        store.queue.submit(other, store.get(other).operation.clusters, priority=-1)
