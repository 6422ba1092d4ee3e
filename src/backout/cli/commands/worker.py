# SPDX-License-Identifier: Apache-2.0
"""`backout worker`: carry out what others submitted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from backout.cli.options import Command
from backout.cli.session import with_session

if TYPE_CHECKING:
    from backout.app.events import Event
    from backout.cli.session import Session
    from backout.errors import BackoutError
    from backout.model.message import Message


@click.command("worker", cls=Command)
@click.option(
    "--parts",
    type=click.IntRange(1, 1000),
    default=10,
    metavar="N",
    help="Parts of operations under way at once in this worker. Default 10.",
)
@click.option(
    "--per-cluster",
    type=click.IntRange(0, 1000),
    default=1,
    metavar="N",
    help="Runs and parts under way at once on one cluster, by all workers; 0: any number. Default 1.",
)
@click.option(
    "--in-all",
    type=click.IntRange(0, 10000),
    default=0,
    metavar="N",
    help="Runs and parts under way at once altogether, by all workers; 0: any number. Default 0.",
)
@click.option("--until-idle", is_flag=True, help="End when no submitted run is left.")
@with_session
async def command(session: Session, parts: int, per_cluster: int, in_all: int, until_idle: bool) -> int:
    """Carries out what `run --detach` submitted, and what a dead worker left. Workers share the parts of an operation.

    Needs a PostgreSQL that all share (docs/workers.md). Takes what is on the clusters that were named, else on those of the
    configuration or the kubeconfig. SIGTERM or Ctrl-C stops at the next step, and another worker goes on; twice is at once.
    """
    from backout.app.running import preload
    from backout.app.working import Drain, work

    preload()
    drain = Drain()
    log = _Log(session)

    def heard() -> None:
        if drain.asked:
            os._exit(130)
        log.line("Stopping at the next step (again: at once).")
        drain.ask()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard)
    workspace = session.workspace.for_front(log)
    await work(workspace, drain, parts=parts, per_cluster=per_cluster, in_all=in_all, until_idle=until_idle)
    log.line("Stopped: nothing is under way here.")
    return 0


class _Log:
    """Lines for a journal: when, which run, what."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def line(self, text: str | Message, /, run: str = "", **args: object) -> None:
        """One line on stderr."""
        screen = self._session.screen()
        said = screen.say(text, run=run, **args)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._session.note("{line}", line=f"{at} {run or '-'} {said}")

    def tell(self, event: Event) -> None:
        """What happens as one line each; what is of no worker is told as ever."""
        from backout.app.events import (
            RunBegins,
            RunPauses,
            RunTells,
            WorkerLeaves,
            WorkerReady,
            WorkerTakes,
            WorkerWaits,
        )

        match event:
            case RunTells(event=told):
                self.line(told.message, run=told.run)
            case WorkerReady(clusters=clusters, place=place):
                self.line("Waiting for runs on {clusters} in {place}.", clusters=", ".join(clusters), place=place)
            case WorkerTakes(run=run, target=target, clusters=clusters):
                self.line("Taken: {target} on {clusters}.", run=run, target=target, clusters=clusters)
            case WorkerLeaves(run=run, state=state, error=None):
                self.line("Ended: {state}.", run=run, state=state)
            case WorkerLeaves(run=run, state=state, error=error) if error is not None:
                self._failed("Left as {state}: {why}", error, run=run, state=state)
            case WorkerWaits(error=error):
                self._failed("The database can't be used, and is tried again: {why}", error)
            case RunBegins() | RunPauses():
                pass
            case _:
                self._session.console.tell(event)

    def stoppable(self, run: str, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """The worker stops its runs itself."""
        return self._session.console.stoppable(run, stop)

    def _failed(self, text: str, error: BackoutError, **args: object) -> None:
        from backout.model.message import of_error

        self.line(text, why=of_error(error), **args)  # type: ignore[arg-type]
