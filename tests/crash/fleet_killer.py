# SPDX-License-Identifier: Apache-2.0
"""Kills an operation over three clusters at one gate after the other and resumes it, each life in a process of its own.

``story``: "rollback" goes well; in "undo" the last cluster refuses, and the policy takes back what was done. Prints one JSON
line a gate. With "random", ``share`` is the first of ``shares`` seeds instead, and each run is killed several times.
Forks, so that the half second of imports is paid once; nothing has a thread before a fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import dbos  # noqa: F401
from fleet_world import fleet, of, restored
from rollback_world import Listing, healthy, prepared, services

from backout.app.fleet import follows
from backout.engine.dbos_engine import DbosEngine
from backout.errors import BackoutError, Conflict
from backout.mechanisms.port import StepContext, StepOutcome
from backout.mechanisms.workload.mechanism import WorkloadMechanism
from backout.model.operation import Operation
from backout.model.part import Step
from backout.model.run import ENDED
from backout.model.scope import ClusterIdentity
from backout.scopes.clusters import ClusterScopes
from backout.workflows.runner import go_on, workflows
from backout.workflows.services import Services

WAVES = (("a",), ("b", "c"))
LIVES = 8


def operation(story: str) -> Operation:
    return fleet(
        *([of(name) for name in wave] for wave in WAVES), soak=0.05, on_failure="undo" if story == "undo" else "stop"
    )


def outside(folder: Path, story: str, gate: Any) -> Services:
    found, files = services(folder, gate=gate)
    worlds = {name: Listing(*healthy()) for wave in WAVES for name in wave}
    for name, world in worlds.items():
        world.who = ClusterIdentity(f"uid-{name}", "ca")
        # What a cluster knows of former holders outlives the process: its tokens only rise.
        world.tokens = 100 * len(list(folder.glob("life-*")))
    found.scopes = ClusterScopes(lambda scope: worlds[scope.cluster])  # type: ignore[return-value]

    def effect_of(action: str) -> Any:
        async def effect(context: StepContext, step: Step) -> StepOutcome:
            if story == "undo" and (step.params["name"], step.params["text"]) == ("c", "new"):
                raise Conflict("Changed.")
            return await files.effect(action)(context, step)

        return effect

    found.effect_of = effect_of
    return found


def life(folder: Path, story: str, fatal: int) -> None:
    """Executes run r1, and the one that takes it back, until its end, or until gate number ``fatal``: there it is killed."""
    seen, passing = 0, threading.Lock()
    (folder / f"life-{os.getpid()}").touch()

    def gate(name: str) -> None:
        nonlocal seen
        # Some come from threads, and none may be passed over.
        with passing:
            seen += 1
            with (folder / "gates").open("a") as file:
                file.write(name + "\n")
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    async def one(found: Services, run: str) -> str:
        engine = DbosEngine(found.store, workflows(found))
        try:
            return (await go_on(engine, found.store, run)).state
        except BackoutError as error:
            return f"{type(error).__name__}: {error.message}"
        finally:
            await engine.close()

    async def main() -> list[str]:
        os.environ["BACKOUT_DATA"] = str(folder / "data")
        found = outside(folder, story, gate)
        WorkloadMechanism.read = restored(operation(story))  # type: ignore[method-assign]
        said = []
        for run in ("r1", None):
            run = run or follows(found.store.events("r1"))
            if run and (found.store.get(run).state not in ENDED or found.store.owners.unfinished(run)):
                said.append(await one(found, run))
        return said

    (folder / "said").write_text(json.dumps(asyncio.run(main())))
    os._exit(0)


def child(folder: Path, story: str, fatal: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            life(folder, story, fatal)
        except BaseException as error:
            (folder / "said").write_text(json.dumps([f"unexpected {type(error).__name__}: {error}"]))
        os._exit(3)
    return os.waitpid(pid, 0)[1]


def at_random(base: Path, story: str, seeds: range) -> None:
    """One run a seed, killed again and again at gates that the seed chooses, at last left alone."""
    for seed in seeds:
        random_ = random.Random(seed)
        folder = base / f"seed-{seed}"
        prepared(folder, operation(story))
        kills = 0
        for _ in range(random_.randint(2, LIVES)):
            # A life of a resumed run has fewer gates than a whole one: who is lucky comes through.
            kills += os.WIFSIGNALED(child(folder, story, random_.randint(1, 60)))
        resumed = child(folder, story, 0)
        line = {"seed": seed, "kills": kills, "resumed": resumed, "folder": str(folder)}
        print(json.dumps(line), flush=True)


def main() -> None:
    base, story, share, shares = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if sys.argv[5:] == ["random"]:
        at_random(base, story, range(share, share + shares))
        return
    whole = base / "whole"
    prepared(whole, operation(story))
    assert child(whole, story, 0) == 0, (whole / "said").read_text()
    gates = (whole / "gates").read_text().split()
    print(json.dumps({"gates": gates, "folder": str(whole)}), flush=True)
    for number in range(1 + share, len(gates) + 1, shares):
        folder = base / f"gate-{number}"
        prepared(folder, operation(story))
        killed = child(folder, story, number)
        after = (folder / "gates").read_text().split()
        resumed = child(folder, story, 0)
        said = json.loads((folder / "said").read_text())
        line = {
            "gate": after[-1],
            # Parts go on beside each other, so that a life may have a gate less than another one.
            "reached": len(after) >= number,
            "killed": os.WTERMSIG(killed),
            "resumed": resumed,
            "said": said,
            "folder": str(folder),
        }
        print(json.dumps(line), flush=True)


main()
