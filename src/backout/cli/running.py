# SPDX-License-Identifier: Apache-2.0
"""Carries plans out: the durable engine, the live feed, Ctrl-C, and what is said at the end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from backout.cli.live import Live
from backout.cli.store import open_store
from backout.errors import BackoutError, RefusedError

if TYPE_CHECKING:
    from backout.cli.session import Session
    from backout.cluster.port import Cluster
    from backout.engine.dbos_engine import DbosEngine
    from backout.engine.store.port import RunStore
    from backout.model.plan import Plan, Risk
    from backout.model.run import Run
    from backout.snapshots.repository.opening import Opened


def require_approval(plan: Plan, approved: tuple[str, ...], session: Session | None = None) -> None:
    """Holds the risks that need an explicit yes against the codes that were approved.

    With a ``session``, the person at the terminal is asked for each that is left; without a terminal nobody is.

    Raises:
        RefusedError: one of them was not approved.
    """
    for risk in plan.risks:
        if not risk.needs_approval or risk.code in approved:
            continue
        if session is not None and sys.stdin.isatty() and _typed_yes(session, plan, risk):
            continue
        raise RefusedError(
            "The plan for {target} needs an explicit yes: {risk}",
            target=str(plan.target),
            risk=risk.message.text,
            code=risk.code,
            hint="If that is what you want, add: --approve {code}",
        )


def _typed_yes(session: Session, plan: Plan, risk: Risk) -> bool:
    """A whole word, so that no key that was pressed too early counts."""
    page = session.page()
    click.echo(page.say("{target}: {risk}", target=str(plan.target), risk=page.say(risk.message)), err=True)
    question = page.say("Type yes to accept that ({code})", code=risk.code)
    return str(click.prompt(question, default="", show_default=False, err=True)).strip().lower() == "yes"


async def require_tools(plan: Plan) -> None:
    """Finds the programs that the plan's steps call, before anybody is asked.

    Raises:
        ToolMissing: one is not installed.
    """
    from backout.tools import ensure

    if any(step.action.startswith("helm.") for step in plan.steps):
        await ensure("helm", install=False)


async def carry_out(session: Session, cluster: Cluster, plan: Plan) -> Run:
    """Begins a run of ``plan`` and follows it to its end, whatever that is: a run that failed is returned too.

    Raises:
        StateError: the state database can't be used.
        LockedError, Interrupted: the run did not end; its id is in what was printed.
    """
    from backout.workflows.runner import begin, new_run

    with open_store(session, create=True) as store:
        run = new_run(store, plan, actor())
        return await _follow(session, cluster, store, run, lambda engine: begin(engine, store, run.id))


async def carry_on(session: Session, cluster: Cluster, run: Run) -> Run:
    """Goes on with a run that was killed or interrupted; otherwise as `carry_out`.

    Raises:
        RefusedError: it has ended.
        LockedError: it is running.
    """
    from backout.workflows.runner import go_on

    with open_store(session, create=True) as store:
        return await _follow(session, cluster, store, run, lambda engine: go_on(engine, store, run.id))


async def _follow(
    session: Session, cluster: Cluster, store: RunStore, run: Run, work: Callable[[DbosEngine], Awaitable[Run]]
) -> Run:
    from backout.cli.snapshots.opening import explain
    from backout.engine.dbos_engine import DbosEngine
    from backout.model.run import ENDED
    from backout.snapshots.capture import CaptureStore
    from backout.workflows.before import RunSnapshots
    from backout.workflows.runner import workflows
    from backout.workflows.services import Services

    live = Live(session, run.started)
    stop_listening = store.listen(live)

    def opened(found: Opened) -> None:
        live.close()
        explain(session, found)

    services = Services(
        store=store,
        captures=CaptureStore(),
        cluster_of=lambda _: cluster,
        snapshots=RunSnapshots(session.settings.snapshots, opened),
    )
    engine = DbosEngine(store, workflows(services))
    try:
        with _stoppable(session, engine, run.id):
            await work(engine)
    except BackoutError:
        # An ended run keeps its own failure, which says more; what did not end is the caller's to tell.
        if store.get(run.id).state not in ENDED:
            raise
    finally:
        stop_listening()
        live.close()
        # Its threads take a while to end: the engine of a next plan waits for them, the end of the process does not.
        await engine.close(wait=False)
    return store.get(run.id)


@contextmanager
def _stoppable(session: Session, engine: DbosEngine, run: str) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) stops at the next step; the second ends the process at once."""
    loop = asyncio.get_running_loop()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            import os

            os._exit(130)
        asked = True
        session.note("Stopping at the next step (again: at once; `backout resume {run}` goes on)…", run=run)
        engine.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def exit_code_of(run: Run) -> int:
    """What a command that carried this run out ends with."""
    return run.failure.exit_code if run.failure else 0 if run.state == "recovered" else 130


def run_document(session: Session, run: Run) -> dict[str, Any]:
    """The run with its events, for JSON and YAML."""
    from backout.cli.output import with_kind

    with open_store(session) as store:
        return with_kind("Run", run, events=store.events(run.id), exitCode=exit_code_of(run))


def conclude(session: Session, run: Run) -> int:
    """Says how the run ended, and what can be done now; returns the exit code."""
    from backout.cli.views.run import show_outcome

    if session.text:
        page = session.page()
        show_outcome(page, run)
        page.show()
    else:
        session.document(run_document(session, run))
    return exit_code_of(run)


def ask(session: Session, question: str) -> bool:
    """Asks on the terminal; without one the answer is no.

    Raises:
        RefusedError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise RefusedError(
            "Nobody can be asked: this is no terminal.", hint="Look at the plan, then say yes beforehand: --yes"
        )
    return click.confirm(session.page().say(question), err=True)


def actor() -> str:
    """Who does it: the user of this machine."""
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"
