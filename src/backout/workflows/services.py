# SPDX-License-Identifier: Apache-2.0
"""What a workflow works with: everything that reaches outside is in here and is given from outside."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backout.cluster.guarded import GuardedCluster
from backout.cluster.lease import UNHEARD
from backout.cluster.port import Cluster
from backout.engine.store.naming import new_process_id
from backout.engine.store.port import RunStore, taken_over
from backout.errors import BackoutError, LeaseLost
from backout.mechanisms import registry
from backout.mechanisms.port import Effect
from backout.model.message import Message
from backout.model.part import Part, Step
from backout.model.run import Run
from backout.model.target import ObjectRef
from backout.planning import reach
from backout.planning.reach import Reach
from backout.scopes.port import ClusterHandle, HeldLock, ScopeHandle, Scopes
from backout.snapshots.capture import CaptureStore
from backout.verify.verify import SETTLE
from backout.verify.verify import hold as hold_checks
from backout.workflows.before import RunSnapshots

if TYPE_CHECKING:
    from backout.planning.policy import Policy
    from backout.workflows.telling import Story


RIGHT_BEFORE = 1.0
"""Seconds from the confirmation of a lock to the write that it was for."""


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


def hold_part(part: Part, protected: Collection[str]) -> None:
    """Holds a part to where it may act, and its checks to what can be measured.

    Raises:
        PlanChanged, RefusedError: see `backout.planning.reach` and `backout.verify.verify`.
    """
    reach.hold(part, protected)
    hold_checks(part.checks)


@dataclass
class Services:
    """The outside, for runs of this process.

    ``scopes`` opens where the parts act; ``reach`` connects to where one part acts for the time that it is worked on, None where
    all are connected; ``snapshots`` takes the one before the first write, None none;
    ``effect_of`` gives the effect of an action; ``hold`` holds a part to where it may act, and ``protected`` are the
    namespaces where nothing may; ``command``: what runs
    have in common that were begun together; ``policy``: what a run is held to before it begins, and each of its waves;
    ``actor``: who carries out what this process does; ``life`` names this process
    in the keys of events, so that another attempt after a crash is another event; ``approved``: see `as_approved`.
    """

    store: RunStore
    captures: CaptureStore
    scopes: Scopes
    reach: Callable[[Part], AbstractAsyncContextManager[ClusterHandle]] | None = None
    snapshots: RunSnapshots | None = None
    effect_of: Callable[[str], Effect] = registry.effect
    hold: Callable[[Part, Collection[str]], None] = hold_part
    protected: Collection[str] = ()
    settle: float = SETTLE
    policy: Policy | None = None
    command: str = ""
    actor: str = ""
    now: Callable[[], datetime] = utc_now
    life: str = field(default_factory=new_process_id)
    approved: dict[str, Run] = field(default_factory=dict)

    def as_approved(self, run: str) -> Run:
        """A run with its plan, which never changes, as it was when it was first asked for: plans of many parts are read once."""
        if run not in self.approved:
            self.approved[run] = self.store.get(run)
        return self.approved[run]

    @asynccontextmanager
    async def within(self, part: Part) -> AsyncIterator[ClusterHandle]:
        """Where a part acts, open for the length of the context.

        Raises:
            BackoutError: nobody leads there from here.
        """
        if self.reach is None:
            yield self.scopes.open(part.scope)
            return
        async with self.reach(part) as scope:
            yield scope


class LockHolder:
    """The lock of one part in this process: taken when it is first needed, taken again after a resume."""

    def __init__(self, services: Services, run: str, part: Part, scope: ScopeHandle, actor: str) -> None:
        self._store = services.store
        self._run = run
        self._part = part
        self._scope = scope
        self._actor = actor
        self._held: HeldLock | None = None
        self._context: AbstractAsyncContextManager[HeldLock] | None = None
        self._perhaps = False

    @property
    def token(self) -> int:
        """The fencing token of the lock that is held; 0 where none is."""
        return self._held.token if self._held is not None else 0

    async def ensure(self) -> HeldLock:
        """The lock, taken now if this process does not hold it yet.

        Raises:
            LockedError: another run has it.
        """
        if self._held is None:
            context = self._scope.lock(
                str(self._part.target),
                holder=self._run,
                about={"actor": self._actor, "about": f"back to revision {self._part.revision.number}"},
            )
            try:
                self._held = await context.__aenter__()
            except UNHEARD:
                self._perhaps = True
                raise
            self._context, self._perhaps = context, False
            self._store.raise_token(self._run, self._part.id, self._held.token)
        return self._held

    async def confirm(self) -> None:
        """Right before a write: the lock is still ours, and no later process of this run took it.

        Raises:
            LeaseLost: write nothing more.
        """
        held = await self.ensure()
        try:
            self._store.confirm(self._run)
            if self._store.token(self._run, self._part.id) > held.token:
                raise taken_over(self._run)
            # Last: a database may be waited for, and what was known of the lock before is then out of date.
            await held.confirm()
        except LeaseLost:
            await self.release()
            raise

    def doubt(self) -> None:
        """A former process of this run may have taken it, and left no word of that."""
        self._perhaps = True

    async def release(self) -> BackoutError | None:
        """Lets it go, or what may be left of it; without effect when there is nothing. Why it could not be, where that is so."""
        context, held, self._context, self._held = self._context, self._held, None, None
        left: BackoutError | None = None
        if context is not None and held is not None:
            await context.__aexit__(None, None, None)
            left = held.left
        elif self._perhaps and self._ours():
            left = await self._scope.unlock(str(self._part.target), holder=self._run)
        self._perhaps = left is not None
        return left

    def _ours(self) -> bool:
        """Whether no other process goes on with the run: the lock would be that one's."""
        try:
            self._store.confirm(self._run)
        except LeaseLost:
            return False
        return True


class EffectContext:
    """What an effect gets beside its step; see `mechanisms.port.StepContext`."""

    def __init__(
        self, story: Story, lock: LockHolder, cluster: Cluster, step: Step, reach: Reach, *, again: bool
    ) -> None:
        self._reach = reach
        self.again = again
        self.cluster: Cluster = GuardedCluster(cluster, self._before_write)
        self.run = story.run
        self.wrote = False
        self._confirmed = -math.inf
        self._story = story
        self._lock = lock
        self._step = step

    async def guard(self) -> None:
        """Confirms the lock; what comes after it is a write."""
        await self._lock.confirm()
        self.wrote = True
        self._confirmed = time.monotonic()

    async def _before_write(self) -> None:
        """One `guard` is good for one write right after it; any other is held to the lock here."""
        if time.monotonic() - self._confirmed > RIGHT_BEFORE:
            await self.guard()
        self._confirmed = -math.inf

    def within(self, refs: Iterable[ObjectRef]) -> None:
        """Holds what the step is about to write to the reach of its part."""
        self._reach.require(refs, self._step.id)

    def progress(self, message: Message, **data: Any) -> None:
        """An event of the run."""
        self._story.tell("step-progress", message, step=self._step.id, settled=False, **data)
