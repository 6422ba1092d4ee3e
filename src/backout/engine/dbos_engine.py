# SPDX-License-Identifier: Apache-2.0
"""The durable engine: DBOS on the database of the run store. The only module that imports dbos.

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
import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from backout.engine.inline import other_order, unknown
from backout.engine.journal import JournalBranch
from backout.engine.lazily import put_off
from backout.engine.port import PARKING, Branch, Json, StepBody, Workflow
from backout.engine.stepping import Parked, Stop, attempt
from backout.engine.store.port import Membership, Owners, RunStore
from backout.engine.wire import decode_error, encode_error, of_house
from backout.errors import BackoutError, Interrupted, StateError, TimedOut, UnexpectedError
from backout.model.redaction import redact_plain

if TYPE_CHECKING:
    import sqlalchemy
    from dbos import DBOSClient, DBOSConfig

APP = "backout"
SCHEMA = "dbos"
"""Where its tables are, in a database that has schemas."""
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
BATCH = 200
"""Runs that are forgotten in one statement."""

_UNUSED = {
    "sqlalchemy.orm": ("Session", "sessionmaker"),
    "sqlalchemy.ext.asyncio": (
        "AsyncConnection",
        "AsyncEngine",
        "AsyncSession",
        "async_sessionmaker",
        "create_async_engine",
    ),
    "croniter": ("croniter",),
    "dateutil.parser": ("isoparse",),
}
"""What dbos imports by name for sessions of an application's own, for schedules, and for its portable records."""
_ERROR = "$error"
_LAUNCHED: set[str] = set()
_CLOSING: list[threading.Thread] = []
"""What is left of an engine that was closed without waiting; the next one waits for it."""


def load() -> None:
    """Imports dbos, without the driver of a database that is not used here, what it only writes into its annotations,
    and its log.

    It would write to the standard error that is there now, and fail when that is closed by the next run.
    """
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    with put_off("psycopg", "psycopg.errors", parts=_UNUSED):
        import dbos  # noqa: F401


def preload() -> threading.Thread:
    """Imports dbos (about half a second) in a thread, beside the reading of the cluster."""
    thread = threading.Thread(target=load, name="backout-preload", daemon=True)
    thread.start()
    return thread


def forget(store: RunStore, runs: Sequence[str]) -> None:
    """Removes what the engine kept of runs that are over; unknown ones are no error.

    Raises:
        StateError: it can't be removed.
    """
    begun = [run for run in runs if store.owners.known(run)]
    if not begun:
        return
    load()
    try:
        if not _has_records(store):
            return
        with _client(store) as client:
            for start in range(0, len(begun), BATCH):
                client.delete_workflows(begun[start : start + BATCH])
    except Exception as error:
        raise StateError(
            "The engine's records of old runs can't be removed: {reason}.",
            reason=_reason(error),
            hint="check the disk and the file's rights, then run it again",
        ) from error


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
    def __init__(self, run: str, stop: Stop, store: RunStore) -> None:
        self.run = run
        self._stop = stop
        self._store = store
        self._owners: Owners = store.owners

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
            raise _not_recorded(error) from error

    async def aborted(self) -> bool:
        async def look() -> bool:
            return self._owners.abort_requested(self.run)

        return bool(await self.step("aborted?", look))

    def branch(self, name: str) -> Branch:
        return JournalBranch(self.run, name, self._store, self._stop)


class DbosEngine:
    """Runs workflows durably. One at a time in a process, since DBOS is a singleton.

    Args:
        store: says who executes what, and where the records go. It stays the caller's, and open.
        workflows: by name; a name is for ever, a changed order of steps gets a new name.
        membership: by which runs were claimed for this engine, and for no other before: it is left with the engine.

    Raises:
        StateError: the database can't be used.
    """

    def __init__(
        self, store: RunStore, workflows: Mapping[str, Workflow], membership: Membership | None = None
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
        self._bodies: set[asyncio.Task[Any]] = set()
        self._arrived: dict[str, asyncio.Event] = {}
        self._parked: dict[str, asyncio.Future[BackoutError]] = {}
        self._queue = f"backout-{self.process}"

    async def start(self, workflow: str, run: str, payload: Json) -> Json:
        return await self._once(run, workflow, payload)

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
        running = {*self._tasks.values(), *self._bodies}
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
        task = self._tasks.get(run)
        if task is None or task.done():
            task = self._tasks[run] = asyncio.ensure_future(self._execute(run, workflow, payload))
        return await asyncio.shield(task)

    async def _execute(self, run: str, workflow: str, payload: Json) -> Json:
        taken_over = self._owners.known(run)
        self._owners.claim(run, self.process)
        await self._launch(listen=taken_over)
        self._parked[run] = asyncio.get_running_loop().create_future()
        from dbos import DBOS, SetWorkflowID

        try:
            status = await DBOS.get_workflow_status_async(run)
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
            raise error from error.__cause__
        except Exception as error:
            raise _not_recorded(error) from error
        await self._ended(run)
        return result

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
                parked.set_result(_not_recorded(watch.exception() or AssertionError()))
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

        await DBOS.register_queue_async(self._queue, polling_interval_sec=self._poll)
        arrived = self._arrived[run] = asyncio.Event()
        handle = await DBOS.resume_workflow_async(run, queue_name=self._queue)
        try:
            async with asyncio.timeout(TAKEOVER_TIMEOUT):
                await arrived.wait()
        except TimeoutError as error:
            raise TimedOut("The engine did not take over run {run} in {seconds} s.", run=run, seconds=30) from error
        finally:
            # No litter: the run was taken from the queue, and nobody else ever listens to it.
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
            self._bodies.add(task)
            try:
                return await workflow(_Context(run, self._stop, self._store), payload)
            except Exception as error:
                failure = of_house(error)
                if isinstance(failure, PARKING):
                    if not self._parked[run].done():
                        self._parked[run].set_result(failure)
                    raise Parked(failure) from error
                raise failure from failure.__cause__
            finally:
                self._bodies.discard(task)

        body.__name__ = body.__qualname__ = name
        return body

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
                if listen and _has_records(self._store):
                    # Before launch, since a running DBOS looks for new queues only once a second.
                    with _client(self._store) as client:
                        await client.register_queue_async(self._queue, polling_interval_sec=self._poll)
                self._registered = self._launched()
            except Exception as error:
                raise _not_recorded(error) from error
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
            "serializer": _json(),
            "log_level": "CRITICAL",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": self._poll,
        }
        if self._store.shared:
            self._sql = config["system_database_engine"] = _sql_engine(self._store)
        else:
            # A file's connections DBOS makes by itself: it has its own kind of those.
            config["system_database_url"] = self._store.url
            config["db_engine_kwargs"] = dict(self._store.engine_options)
        return config


def _sql_engine(store: RunStore) -> sqlalchemy.Engine:
    """Connections as the store wants them, whose losses are told from errors as the store tells them."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(store.url, **store.engine_options)

    def classify(context: sqlalchemy.engine.ExceptionContext) -> None:
        if store.lost(context.original_exception):
            context.is_disconnect = True

    sqlalchemy.event.listen(engine, "handle_error", classify)
    return engine


@contextmanager
def _connected(store: RunStore) -> Iterator[sqlalchemy.Engine]:
    engine = _sql_engine(store)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _client(store: RunStore) -> Iterator[DBOSClient]:
    """DBOS's records without its workflows. Only an engine made by us connects as the store wants it."""
    from dbos import DBOSClient

    with _connected(store) as engine:
        client = DBOSClient(system_database_engine=engine, serializer=_json(), application_name=APP)
        try:
            yield client
        finally:
            client.destroy()


def _has_records(store: RunStore) -> bool:
    """Whether DBOS ever set its tables up there: a process may die after its claim and before that."""
    import sqlalchemy

    with _connected(store) as engine:
        schema = None if engine.dialect.name == "sqlite" else SCHEMA
        return sqlalchemy.inspect(engine).has_table("workflow_status", schema=schema)


def _json() -> Any:
    """The serializer of inputs, step results and errors. Values are never part of its own errors."""
    from dbos import Serializer

    class JsonSerializer(Serializer):
        def name(self) -> str:
            return "backout_json"

        def serialize(self, data: Any) -> str:
            if isinstance(data, BaseException):
                data = {_ERROR: encode_error(data)}
            return json.dumps(redact_plain(data), ensure_ascii=False, separators=(",", ":"))

        def deserialize(self, serialized_data: str) -> Any:
            data = json.loads(serialized_data)
            if isinstance(data, dict) and _ERROR in data:
                return decode_error(data[_ERROR])
            return data

    return JsonSerializer()


def _not_recorded(error: BaseException) -> BackoutError:
    """What is said when the engine itself failed; the text of ``error`` may hold program data and is left out."""
    if isinstance(error, BackoutError):
        return error
    reason = _reason(error)
    if reason.startswith("SQLITE") or type(error).__module__.startswith("sqlalchemy"):
        return StateError(
            "The state database did not take the record of a step: {reason}. Nothing more was changed.",
            reason=reason,
            hint="check the disk and the file's rights, then `backout resume`",
        )
    return UnexpectedError(
        "The durable engine failed: {reason}.", reason=reason, hint="`backout resume` goes on from where it stopped"
    )


def _reason(error: BaseException) -> str:
    """The database's code for what happened, else the class: the text may hold program data."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", "") or getattr(cause, "sqlstate", "")
    return str(code or type(cause).__name__)
