# SPDX-License-Identifier: Apache-2.0
"""The durable engine: DBOS on the database of the run store. It and `dbos_records` alone import dbos.

What DBOS does not do by itself, and is done here:

- each process has its own executor id (two with the same one recover each other's live workflows);
- a dead process is found by the store (without its commercial service DBOS has no failure detector), and its
  run is taken over through a queue that this process alone listens to, so that no other Backout, which may be
  connected to another cluster, picks it up;
- the application version is ours: by default it is a hash of source and library versions, and an upgrade would strand
  every unfinished run;
- records are JSON of our own (the default is pickle);
- errors of `PARKING` leave no record, so that the step runs again;
- it connects as the store wants it: an old SQLite is given the function that DBOS asks for the time;
- a lost connection is one by the store's word: DBOS knows it by phrases of libpq, which over a Unix socket are others,
  and would then end the workflow.

Pinned to dbos 3.4: the contract suite holds its behaviour, and must pass before the pin moves. Only its public
interface is used.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from backout.engine.dbos_records import APP, client, has_records, load, not_recorded, serializer, sql_engine
from backout.engine.inline import other_order, unknown
from backout.engine.journal import JournalBranch
from backout.engine.pieces import Piece
from backout.engine.port import PARKING, Branch, Json, StepBody, Workflow
from backout.engine.queued import LOOK, Queued
from backout.engine.stepping import Parked, Stop, attempt
from backout.engine.store.port import Membership, RunStore, execution_of, piece_of
from backout.engine.wire import of_house
from backout.errors import BackoutError, Interrupted, LockedError, StateError, TimedOut

if TYPE_CHECKING:
    import sqlalchemy
    from dbos import DBOSConfig

WORKFLOW_EPOCH = "1"
"""Raised only when the order of the steps of a registered workflow changes; never with a release."""
POLL = 0.05
"""Seconds between two looks at the local database while waiting for a run taken over or executed elsewhere."""
SHARED_POLL = 0.5
"""The same for a database that others use too."""
WATCH = 3.0
"""Seconds between two looks whether a run on a shared database is still ours."""
ANSWERS_WITHIN = 20.0
TAKEOVER_TIMEOUT = 30.0
_LAUNCHED: set[str] = set()
_CLOSING: list[threading.Thread] = []
"""What is left of an engine that was closed without waiting; the next one waits for it."""


def _destroy(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, sql: sqlalchemy.Engine | None) -> None:
    from dbos import DBOS

    try:
        DBOS.destroy(destroy_registry=True)
    finally:
        if sql is not None:
            sql.dispose()
        _LAUNCHED.clear()
        _CLOSING.remove(threading.current_thread())
        with suppress(RuntimeError):  # nobody waits, and the loop has ended
            loop.call_soon_threadsafe(ended.set)


def _nothing() -> None:
    """Begins in a pool after everything that was put there before."""


class _Context:
    def __init__(self, execution: str, stop: Stop, store: RunStore, hands: _Hands | Queued) -> None:
        self.execution = execution
        self.run, _ = piece_of(execution)
        self._stop = stop
        self._store = store.acting(execution)
        self._hands = hands

    async def step(self, name: str, body: StepBody, *, attempts: int = 1, interruptible: bool = False) -> Json:
        from dbos import DBOS
        from dbos import error as dbos_error

        async def tried() -> Json:
            # Reached only when there is no record: a replay must get past the steps that are done.
            try:
                self._stop.check()
            except Interrupted as error:
                raise Parked(error) from None
            return await attempt(body, self._stop, attempts=attempts, interruptible=interruptible)

        try:
            return await DBOS.run_step_async({"name": name}, tried)
        except Parked as parked:
            raise parked.error from parked.error.__cause__
        except BackoutError:
            raise
        except dbos_error.DBOSUnexpectedStepError as error:
            raise other_order(self.run, str(error.inputs[3]), name) from error
        except Exception as error:
            raise not_recorded(error) from error

    async def aborted(self) -> bool:
        async def look() -> bool:
            return self._store.owners.abort_requested(self.run)

        return bool(await self.step("aborted?", look))

    def branch(self, name: str) -> Branch:
        return JournalBranch(self.run, name, self._store, self._stop)

    def recall(self) -> set[str]:
        return self._hands.recall(self.run)

    async def piece(self, piece: Piece, wanted: Callable[[], bool], waits: Callable[[], None]) -> Json | None:
        return await self._hands.carry_out(self.run, piece, self._stop, wanted, waits)


class _Hands:
    """Those of the engine that has the run: a piece of it is carried out here, unless another process is at it still."""

    def __init__(self, engine: DbosEngine, store: RunStore) -> None:
        self._engine = engine
        self._store = store
        self._owners = store.owners

    def recall(self, run: str) -> set[str]:
        if self._store.shared:
            self._store.queue.recall(run)  # what workers were to take, before the run came here
        return {piece for execution in self._owners.executions(run) if (piece := piece_of(execution)[1])}

    async def carry_out(
        self, run: str, piece: Piece, stop: Stop, wanted: Callable[[], bool], waits: Callable[[], None]
    ) -> Json | None:
        execution = execution_of(run, piece.name)
        while not self._over(execution) and not self._engine.claims(execution):
            stop.check()
            await asyncio.sleep(LOOK)
        try:
            return await self._engine.carry_out(run, piece)
        except BackoutError:
            self._engine.let_go(execution)
            raise

    def _over(self, execution: str) -> bool:
        return self._owners.known(execution) and not self._owners.unfinished(execution)


class DbosEngine:
    """Runs workflows durably. One at a time in a process, since DBOS is a singleton.

    Args:
        store: says who executes what, and where the records go. It stays the caller's, and open.
        workflows: by name; a name is for ever, a changed order of steps gets a new name.
        membership: by which runs were claimed for this engine, and for no other before: it is left with the engine.
        hands: whose, for the pieces of its runs; its own by default.

    Raises:
        StateError: the database can't be used.
    """

    def __init__(
        self,
        store: RunStore,
        workflows: Mapping[str, Workflow],
        membership: Membership | None = None,
        hands: Queued | None = None,
    ) -> None:
        self._store = store
        self._owners = store.owners
        self._membership = membership or store.owners.enter()
        self.process = self._membership.process
        self._workflows = dict(workflows)
        self._stop = Stop()
        self._poll = SHARED_POLL if store.shared else POLL
        self._sql: sqlalchemy.Engine | None = None
        self._registered: dict[str, Any] = {}
        self._tasks: dict[str, asyncio.Task[Json]] = {}
        self._launching = asyncio.Lock()
        self._bodies: dict[str, asyncio.Task[Any]] = {}
        self._arriving = 0
        self._queue_used = asyncio.Lock()
        self._hands = hands or _Hands(self, store)
        # Of whoever made the engine: what a workflow begins is no part of that workflow for DBOS.
        self._outside = contextvars.copy_context()
        self._arrived: dict[str, asyncio.Event] = {}
        self._parked: dict[str, asyncio.Future[BackoutError]] = {}
        self._queue = f"backout-{self.process}"

    async def start(self, workflow: str, run: str, payload: Json) -> Json:
        return await self._once(run, workflow, payload)

    async def carry_out(self, run: str, piece: Piece) -> Json:
        """Carries a piece of a run out here; as `start`. Where it stops before its end, it stays claimed until `let_go`."""
        execution = execution_of(run, piece.name)
        if piece.light:
            return await self._in_a_task(execution, lambda: self._look(execution, piece))
        return await self._once(execution, piece.workflow, piece.payload)

    def claims(self, execution: str) -> bool:
        """Whether it is, or is now, this engine's to carry out."""
        try:
            self._owners.claim(execution, self.process)
        except LockedError:
            return False
        return True

    async def resume(self, run: str) -> Json:
        if not self._owners.known(run):
            raise unknown(run)
        return await self._once(run, "", None)

    async def abort(self, run: str) -> None:
        if not self._owners.known(run):
            raise unknown(run)
        self._owners.request_abort(run)

    def interrupt(self) -> None:
        self._stop.set()

    async def orphans(self) -> list[str]:
        return self._owners.orphans()

    async def close(self, *, wait: bool = True) -> None:
        """Ends background threads and leaves the database.

        Without ``wait`` they end by themselves, or with the process. That is enough for a command line: every record
        was committed before `start` or `resume` returned, and a process that just exits is what the contract suite
        kills.
        """
        running = {*self._tasks.values(), *self._bodies.values()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._registered:
            self._registered = {}
            loop = asyncio.get_running_loop()
            ended = asyncio.Event()
            # DBOS made the pool of the loop its own, and ends it: what others of this loop have waiting there it would
            # cancel. They come before the mark, and what has begun comes to its end.
            mark = loop.run_in_executor(None, _nothing)
            loop.set_default_executor(ThreadPoolExecutor())
            await mark
            thread = threading.Thread(
                target=_destroy, args=(loop, ended, self._sql), name="backout-engine-close", daemon=True
            )
            _CLOSING.append(thread)
            thread.start()
            if wait:
                await ended.wait()
        self._membership.leave()

    # one execution

    async def _once(self, run: str, workflow: str, payload: Json) -> Json:
        return await self._in_a_task(run, lambda: self._execute(run, workflow, payload))

    async def _in_a_task(self, execution: str, work: Callable[[], Coroutine[Any, Any, Json]]) -> Json:
        task = self._tasks.get(execution)
        if task is None or task.done():
            loop = asyncio.get_running_loop()
            task = self._tasks[execution] = loop.create_task(work(), context=self._outside.copy())
            task.add_done_callback(lambda done: self._forget(execution, done))
        return await asyncio.shield(task)

    def _forget(self, execution: str, done: asyncio.Task[Json]) -> None:
        if self._tasks.get(execution) is done:
            del self._tasks[execution]

    async def _look(self, execution: str, piece: Piece) -> Json:
        """What is light has no record but its own answers."""
        if self._owners.known(execution) and not self._owners.unfinished(execution):
            return await self._workflows[piece.workflow](self._context(execution), piece.payload)
        self._owners.claim(execution, self.process)
        try:
            answer = await self._workflows[piece.workflow](self._context(execution), piece.payload)
        except Exception as error:
            failure = of_house(error)
            raise failure from failure.__cause__
        self._owners.end(execution)
        return answer

    def _context(self, execution: str) -> _Context:
        return _Context(execution, self._stop, self._store, self._hands)

    async def _execute(self, run: str, workflow: str, payload: Json) -> Json:
        taken_over = self._owners.known(run)
        if not taken_over or self._owners.unfinished(run) or not piece_of(run)[1]:
            self._owners.claim(run, self.process)
        await self._launch(listen=taken_over)
        self._parked[run] = asyncio.get_running_loop().create_future()
        from dbos import DBOS, SetWorkflowID

        try:
            # What no process ever had has no record: one question less for each piece.
            status = await DBOS.get_workflow_status_async(run) if taken_over else None
            if status is None and not workflow:
                raise unknown(run)
            if status is None:
                with SetWorkflowID(run):
                    handle = await DBOS.start_workflow_async(self._registered[workflow], payload)
            elif status.status in ("SUCCESS", "ERROR"):
                handle = await DBOS.retrieve_workflow_async(run)
            else:
                if status.app_version != WORKFLOW_EPOCH:
                    raise other_order(run, f"epoch {status.app_version}", f"epoch {WORKFLOW_EPOCH}")
                handle = await self._take_over(run)
            result = await self._result(run, handle)
        except BackoutError as error:
            if not self._parked[run].done():
                await self._ended(run)
            else:
                await self._leave(run)
            raise error from error.__cause__
        except Exception as error:
            await self._leave(run)
            raise not_recorded(error) from error
        finally:
            self._parked.pop(run, None)
        await self._ended(run)
        return result

    async def _leave(self, execution: str) -> None:
        """Stopped before its end: nothing of it goes on here, so that it can be let go."""
        body = self._bodies.get(execution)
        if body is not None:
            body.cancel()
            await asyncio.gather(body, return_exceptions=True)

    def let_go(self, execution: str) -> None:
        """Whoever asks next may have it: it stopped here before its end."""
        # Without a database the claim ends with this process; a worker asks for what is its own as well.
        with suppress(BackoutError):
            self._owners.let_go(execution)

    async def _ended(self, run: str) -> None:
        from dbos import DBOS

        status = await DBOS.get_workflow_status_async(run)
        if status is not None and status.status in ("SUCCESS", "ERROR"):
            self._owners.end(run)

    async def _result(self, run: str, handle: Any) -> Json:
        """The outcome of the run, or the error that it was parked with."""
        waiting: asyncio.Future[Json] = asyncio.ensure_future(handle.get_result(polling_interval_sec=self._poll))
        parked = self._parked[run]
        watch = asyncio.ensure_future(self._watch(run) if self._store.shared else asyncio.Event().wait())
        try:
            await asyncio.wait({waiting, parked, watch}, return_when=asyncio.FIRST_COMPLETED)
            if parked.done():
                raise parked.result()
            if watch.done() and not waiting.done():
                parked.set_result(not_recorded(watch.exception() or AssertionError()))
                raise parked.result()
            return waiting.result()
        finally:
            for task in (waiting, watch):
                task.cancel()
            await asyncio.gather(waiting, watch, return_exceptions=True)

    async def _watch(self, run: str) -> None:
        """Looks whether the run is still ours, and still known: DBOS waits for its database, or for an outcome that
        somebody else is to record, without an end.

        Raises:
            LeaseLost: another process has it.
            StateError: the database is gone for good, or forgot the run.
        """
        from dbos import DBOS

        while True:
            await asyncio.sleep(WATCH)
            await asyncio.to_thread(self._owners.confirm, run)
            try:
                async with asyncio.timeout(ANSWERS_WITHIN):
                    known = await DBOS.get_workflow_status_async(run)
            except TimeoutError:
                continue  # the next look at the claim tells more
            if known is None:
                raise StateError(
                    "The database does not know run {run} any more.",
                    run=run,
                    hint="a standby may have taken over without the last commits: `backout resume {run}` looks again",
                )

    async def _take_over(self, run: str) -> Any:
        """Goes on with a run that this process claimed, and whose former process is proven dead."""
        from dbos import DBOS

        async with self._queue_used:
            self._arriving += 1
            await DBOS.register_queue_async(self._queue, polling_interval_sec=self._poll)
        arrived = self._arrived[run] = asyncio.Event()
        handle = await DBOS.resume_workflow_async(run, queue_name=self._queue)
        try:
            async with asyncio.timeout(TAKEOVER_TIMEOUT):
                await arrived.wait()
        except TimeoutError as error:
            raise TimedOut("The engine did not take over run {run} in {seconds} s.", run=run, seconds=30) from error
        finally:
            async with self._queue_used:
                self._arriving -= 1
                self._arrived.pop(run, None)
                if not self._arriving:
                    # No litter: all were taken from the queue, and nobody else ever listens to it.
                    await DBOS.delete_queue_async(self._queue)
        return handle

    def _body(self, name: str, workflow: Workflow) -> Any:
        async def body(payload: Json) -> Json:
            from dbos import DBOS

            run = str(DBOS.workflow_id)
            if run in self._arrived:
                self._arrived[run].set()
            task = asyncio.current_task()
            assert task is not None
            self._bodies[run] = task
            try:
                return await workflow(self._context(run), payload)
            except Parked as parked:
                self._park(run, parked.error)
                raise
            except Exception as error:
                failure = of_house(error)
                if isinstance(failure, PARKING):
                    self._park(run, failure)
                    raise Parked(failure) from error
                raise failure from failure.__cause__
            finally:
                self._bodies.pop(run, None)

        body.__name__ = body.__qualname__ = name
        return body

    def _park(self, run: str, failure: BackoutError) -> None:
        parked = self._parked.get(run)
        if parked is not None and not parked.done():
            parked.set_result(failure)

    # DBOS itself

    async def _launch(self, *, listen: bool) -> None:
        """Starts DBOS on the running loop, which its workflows then share with the caller."""
        async with self._launching:
            if self._registered:
                return
            for thread in tuple(_CLOSING):
                await asyncio.to_thread(thread.join)
            if _LAUNCHED:
                raise StateError("Another durable engine is open in this process.", hint="close it first")
            load()
            try:
                if listen and has_records(self._store):
                    # Before launch, since a running DBOS looks for new queues only once a second.
                    with client(self._store) as records:
                        await records.register_queue_async(self._queue, polling_interval_sec=self._poll)
                self._registered = self._launched()
            except Exception as error:
                raise not_recorded(error) from error
            _LAUNCHED.add(self.process)

    def _launched(self) -> dict[str, Any]:
        from dbos import DBOS

        DBOS(config=self._config())
        DBOS.listen_queues([self._queue])
        registered = {
            name: DBOS.workflow(name=name, max_recovery_attempts=None)(self._body(name, workflow))
            for name, workflow in self._workflows.items()
        }
        try:
            DBOS.launch()
        except BaseException:
            DBOS.destroy(destroy_registry=True)
            raise
        return registered

    def _config(self) -> DBOSConfig:
        config: DBOSConfig = {
            "name": APP,
            "application_version": WORKFLOW_EPOCH,
            "executor_id": self.process,
            "serializer": serializer(),
            "log_level": "CRITICAL",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": self._poll,
        }
        if self._store.shared:
            self._sql = config["system_database_engine"] = sql_engine(self._store)
        else:
            # A file's connections DBOS makes by itself: it has its own kind of those.
            config["system_database_url"] = self._store.url
            config["db_engine_kwargs"] = dict(self._store.engine_options)
        return config
