# SPDX-License-Identifier: Apache-2.0
"""Begins runs and goes on with them: what a front end calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from backout.engine.port import Engine, Workflow, WorkflowContext
from backout.engine.store.naming import new_run_id
from backout.engine.store.port import RunStore
from backout.errors import LockLeft, RefusedError
from backout.model.operation import Operation
from backout.model.run import ENDED, Run
from backout.workflows import gate, operation_v1, operation_v2, part_v2
from backout.workflows.part_stages import raised
from backout.workflows.services import Services, utc_now


def workflows(services: Services) -> Mapping[str, Workflow]:
    """Every workflow that a run of this or an earlier version may need, with one outside for all."""
    return workflows_with(lambda _: services)


def workflows_with(given: Callable[[WorkflowContext], Services]) -> Mapping[str, Workflow]:
    """The same, each with the outside that is given for its execution; what it writes is held to the claim of that."""

    def services_of(context: WorkflowContext) -> Services:
        services = given(context)
        return dataclasses.replace(services, store=services.store.acting(context.execution))

    modules = (operation_v1, operation_v2, part_v2, gate)
    return {module.NAME: module.bind(services_of) for module in modules}


def new_run(store: RunStore, operation: Operation, actor: str) -> Run:
    """Keeps a new run of a sealed operation, not begun yet."""
    now = utc_now()
    run = Run(
        id=new_run_id(now), state="pending", operation=operation, started=now, actor=actor, undo_of=operation.undo_of
    )
    store.create(run)
    return run


async def begin(engine: Engine, store: RunStore, run: str) -> Run:
    """Executes a new run to its end.

    Raises:
        BackoutError: how it ended; the run as it is then can be read from ``store``.
    """
    return await _execute(engine, store, run)


def require_unended(store: RunStore, run: Run) -> None:
    """Makes sure that there is something left to go on with.

    Raises:
        RefusedError: it has ended.
    """
    # Killed after its last record but before the engine's own: it has ended, and the engine has yet to note it.
    if run.state in ENDED and not store.owners.unfinished(run.id):
        raise RefusedError(
            "Run {run} has ended already: {state}.",
            run=run.id,
            state=run.state,
            hint="`backout report {run}` tells how",
        )


async def go_on(engine: Engine, store: RunStore, run: str) -> Run:
    """Goes on with a run that was interrupted or killed.

    Raises:
        RefusedError: it has ended.
        LockedError: it is running.
        BackoutError: how it ended.
    """
    require_unended(store, store.get(run))
    # `start` goes on with what was begun, and begins what was killed before the engine had it.
    return await _execute(engine, store, run)


async def _execute(engine: Engine, store: RunStore, run: str) -> Run:
    operation = store.get(run).operation
    workflow = operation_v1.NAME if operation.fleet is None else operation_v2.NAME
    try:
        answer = await engine.start(workflow, run, {"operation": operation.hash})
    except LockLeft:
        return store.get(run)  # it was told, and how the run ended is what counts
    if failure := raised(answer):
        raise failure
    return store.get(run)
