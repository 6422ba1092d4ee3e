# SPDX-License-Identifier: Apache-2.0
"""`Backout`: the verbs for programs, on one namespace of one cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from backout.app import reading, runs
from backout.app.events import Event, Front, RunTells
from backout.app.settings import load_settings
from backout.app.snapshots.library import Snapshots
from backout.app.workspace import Where, Workspace
from backout.model.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from backout.app.doctor import Examination
    from backout.app.reading import TargetStatus
    from backout.app.results import RunSummary
    from backout.model.change import LedgerEntry
    from backout.model.diagnosis import Diagnosis
    from backout.model.operation import Operation
    from backout.model.revision import Revision
    from backout.model.run import Run, RunEvent
    from backout.model.target import Target
    from backout.model.verdict import Verdict

POLL = 0.2
"""Seconds between two looks at the events of a run that another process carries out."""


class Backout:
    """One namespace of one cluster, and the runs on it.

    Every method may be awaited by itself; as an async context manager it keeps its connections between them.
    Durable runs are carried out one at a time in a process.

    Args:
        context: of the kubeconfig, or a cluster's name in the configuration; the current context when empty.
        namespace: the only stack's, else the context's own, when empty.
        kubeconfig: a file; the usual ones when empty.
        config: a configuration file or settings; ``./backout.yaml`` or the user's own file when None.
        front: is told what happens meanwhile; nobody when None.

    Raises:
        ConfigError: the configuration is malformed.
    """

    def __init__(
        self,
        *,
        context: str = "",
        namespace: str = "",
        kubeconfig: str | Path = "",
        config: str | Path | Settings | None = None,
        front: Front | None = None,
    ) -> None:
        settings = config if isinstance(config, Settings) else load_settings(str(config) if config else None)
        where = Where(kubeconfig=str(kubeconfig), contexts=(context,) if context else (), namespace=namespace)
        self._workspace = Workspace(settings, where, front)
        self._open: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        self._open = AsyncExitStack()
        await self._open.enter_async_context(self._workspace.keeping())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    @property
    def snapshots(self) -> Snapshots:
        """The encrypted repository of what namespaces were."""
        return Snapshots(self._workspace)

    # what is

    async def diagnose(self, *targets: str | Target) -> Diagnosis:
        """What broke, since when, by which change; in the whole namespace unless ``targets`` are named.

        Raises:
            BackoutError: the cluster can't be read.
        """
        return (await reading.diagnose(self._workspace, texts_of(targets)))[0]

    async def status(self, *targets: str | Target) -> tuple[TargetStatus, ...]:
        """What is deployed, is it healthy, and what could one go back to?

        Raises:
            BackoutError: the cluster can't be read.
        """
        return (await reading.status(self._workspace, texts_of(targets)))[0].targets

    async def history(self, target: str | Target) -> tuple[Revision, ...]:
        """The revisions of one target, oldest first, each with whether it is proven good, and why.

        Raises:
            NotFoundError: there is no such target.
        """
        return (await reading.history(self._workspace, str(target))).revisions

    async def changes(self, span: timedelta = timedelta(hours=2)) -> tuple[LedgerEntry, ...]:
        """What changed within the last ``span``, oldest first.

        Raises:
            BackoutError: the cluster can't be read.
        """
        return (await reading.changes(self._workspace, span))[0].changes

    async def verify(self, *targets: str | Target, soak: float | None = None) -> Verdict:
        """Measures whether the targets (else the whole namespace) are healthy, and watches for ``soak`` seconds.

        Raises:
            BackoutError: the cluster can't be read.
        """
        return (await reading.verify(self._workspace, texts_of(targets), soak))[0].verdict

    async def doctor(self, *targets: str | Target) -> Examination:
        """Tools, state database, cluster, and the rights for every verb of a plan of ``targets``."""
        from backout.app.doctor import examine

        return await examine(self._workspace, texts_of(targets))

    # the way back

    async def plan(
        self,
        target: str | Target,
        *,
        to: str = "",
        hooks: bool = True,
        skip: Sequence[str] = (),
        diagnosis: Diagnosis | None = None,
    ) -> Operation:
        """The sealed plan that takes ``target`` back to its last good revision, or to the one that ``to`` names.

        Writes nothing to the cluster. A ``diagnosis`` that was made just now is gone by, else one is made. Without
        ``hooks``, Helm runs none. ``skip``: objects (``kind/name``) that are left as they are.

        Raises:
            NotFoundError: no such target or revision.
            RefusedError: no revision is proven good, going back would do harm, or the namespace is protected.
        """
        from backout.app.planning import plan_for

        return await plan_for(self._workspace, str(target), to=to, hooks=hooks, skip=skip, diagnosis=diagnosis)

    async def run(self, plan: Operation, *, approve: Sequence[str] = ()) -> Run:
        """Carries ``plan`` out: snapshot, steps, checks; the run as it ended, whatever that is.

        Raises:
            RefusedError: a risk needs a yes that is not in ``approve``.
            LockedError, Interrupted: the run did not end, and can be resumed.
            BackoutError: it could not begin.
        """
        return await self.start(plan, approve=approve)

    def start(self, plan: Operation, *, approve: Sequence[str] = ()) -> Execution:
        """As `run`, with its events: ``async for event in execution``, then ``await execution`` for the run.

        Raises:
            RefusedError: a risk needs a yes that is not in ``approve``.
        """
        from backout.app.approval import require_approval
        from backout.app.running import run_one

        require_approval(plan, approve)
        return Execution(self._workspace, lambda workspace: run_one(workspace, plan))

    async def resume(self, run: str) -> Run:
        """Goes on with a run that was killed or interrupted; otherwise as `run`.

        Raises:
            RunNotFound: no such run.
            RefusedError: it has ended.
            LockedError: it is running.
        """
        from backout.app.running import resume

        return await Execution(self._workspace, lambda workspace: resume(workspace, run))

    async def undo(self, run: str, *, approve: Sequence[str] = ()) -> Run:
        """Puts back the state from before ``run``, broken as it was. "recovered" then means: that state is in force.

        Raises:
            RunNotFound, NothingToDo, RefusedError, CaptureError: it can't be taken back.
            LockedError, Interrupted: the undo did not end, and can be resumed.
        """
        from backout.app.approval import require_approval, require_tools
        from backout.app.undoing import undo

        async def work(workspace: Workspace) -> Run:
            async with undo(workspace, run) as way:
                require_approval(way.plan, approve)
                await require_tools(way.plan)
                return await way.carry_out()

        return await Execution(self._workspace, work)

    # runs as they are kept

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """The latest runs, newest first, of every cluster.

        Raises:
            StateError: they can't be read.
        """
        return runs.runs(self._workspace, limit)

    def get(self, run: str = "latest") -> Run:
        """One run, by its id, the beginning of it, or ``latest``.

        Raises:
            RunNotFound: no such run.
        """
        return runs.run(self._workspace, run).run

    async def events(self, run: str = "latest", *, follow: bool = False) -> AsyncIterator[RunEvent]:
        """What happened in a run, in order; with ``follow`` until it ends, whichever process carries it out.

        Raises:
            RunNotFound: no such run.
        """
        from backout.app.following import follow as followed

        async for event in followed(self._workspace, run, live=follow, pause=POLL):
            yield event

    async def abort(self, run: str) -> Run:
        """Stops a run, of whatever process, for good at its next step; one that nobody is at work on ends here.

        Raises:
            RunNotFound: no such run.
            RefusedError: it has ended.
            BackoutError: it could not be ended here; the wish stays.
        """
        from backout.app.running import abort

        return await abort(self._workspace, run)

    def report(self, run: str = "latest", lang: str = "en") -> str:
        """The write-up of one run in Markdown.

        Raises:
            RunNotFound: no such run.
        """
        return runs.report(self._workspace, run, lang)


class Execution:
    """A run under way in this process: iterate for its events, await it for the run. It goes on without either."""

    def __init__(self, workspace: Workspace, work: Callable[[Workspace], Any]) -> None:
        self._events: asyncio.Queue[RunEvent | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._stop: Callable[[], None] | None = None
        self._stopped = False
        self._outer = workspace.front
        self._task: asyncio.Task[Run] = asyncio.ensure_future(work(workspace.for_front(self)))
        self._task.add_done_callback(lambda _: self._events.put_nowait(None))

    def stop(self) -> None:
        """Stops at the next step, so that the run can be resumed; the first call counts."""
        self._stopped = True
        if self._stop is not None:
            self._stop()

    async def __aiter__(self) -> AsyncIterator[RunEvent]:
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)

    def __await__(self) -> Generator[Any, None, Run]:
        return self._result().__await__()

    async def _result(self) -> Run:
        """Who stops waiting stops the run at its next step: it can be resumed, and is not left half-way in a step."""
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait({self._task})
            raise

    # the front of the work

    def tell(self, event: Event) -> None:
        """Keeps the events of the run, and tells the front of the library's user."""
        if isinstance(event, RunTells):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event.event)
        self._outer.tell(event)

    def stoppable(self, run: str, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Learns how to stop."""
        self._stop = stop
        if self._stopped:
            stop()
        return self._outer.stoppable(run, stop)


def texts_of(targets: Sequence[str | Target]) -> list[str]:
    """Targets as they are written."""
    return [str(target) for target in targets]
