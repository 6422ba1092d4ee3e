# SPDX-License-Identifier: Apache-2.0
"""The records of DBOS in the database of the run store: how they are connected to, written, and removed."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backout.engine.lazily import put_off
from backout.engine.store.port import RunStore
from backout.engine.wire import decode_error, encode_error
from backout.errors import BackoutError, StateError, UnexpectedError
from backout.model.redaction import redact_plain

if TYPE_CHECKING:
    import sqlalchemy
    from dbos import DBOSClient

APP = "backout"
SCHEMA = "dbos"
"""Where its tables are, in a database that has schemas."""
BATCH = 200
"""Workflows that are forgotten in one statement."""

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
    begun = [execution for run in runs for execution in store.owners.executions(run)]
    if not begun:
        return
    load()
    try:
        if not has_records(store):
            return
        with client(store) as records:
            for start in range(0, len(begun), BATCH):
                records.delete_workflows(begun[start : start + BATCH])
    except Exception as error:
        raise StateError(
            "The engine's records of old runs can't be removed: {reason}.",
            reason=_reason(error),
            hint="check the disk and the file's rights, then run it again",
        ) from error


def sql_engine(store: RunStore) -> sqlalchemy.Engine:
    """Connections as the store wants them, whose losses are told from errors as the store tells them."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(store.url, **store.engine_options)

    def classify(context: sqlalchemy.engine.ExceptionContext) -> None:
        if store.lost(context.original_exception):
            context.is_disconnect = True

    sqlalchemy.event.listen(engine, "handle_error", classify)
    return engine


@contextmanager
def connected(store: RunStore) -> Iterator[sqlalchemy.Engine]:
    engine = sql_engine(store)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def client(store: RunStore) -> Iterator[DBOSClient]:
    """DBOS's records without its workflows. Only an engine made by us connects as the store wants it."""
    from dbos import DBOSClient

    with connected(store) as engine:
        client = DBOSClient(system_database_engine=engine, serializer=serializer(), application_name=APP)
        try:
            yield client
        finally:
            client.destroy()


def has_records(store: RunStore) -> bool:
    """Whether DBOS ever set its tables up there: a process may die after its claim and before that."""
    import sqlalchemy

    with connected(store) as engine:
        schema = None if engine.dialect.name == "sqlite" else SCHEMA
        return sqlalchemy.inspect(engine).has_table("workflow_status", schema=schema)


def serializer() -> Any:
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


def not_recorded(error: BaseException) -> BackoutError:
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
