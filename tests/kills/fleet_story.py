# SPDX-License-Identifier: Apache-2.0
"""An operation over three clusters in two waves, whose effects are files: waves, gates, policy, leases, engine and databases are real.

In "fleet" all goes well; in "fleet-undo" the last cluster refuses, and the policy takes back what was done.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))

from fleet_world import fleet, of, restored
from rollback_world import CANARY, Listing, healthy

from backout.app.fleet import follows
from backout.effects import passing
from backout.engine.dbos_engine import DbosEngine
from backout.engine.store.opening import open_store
from backout.errors import BackoutError, Conflict, RunNotFound
from backout.mechanisms.port import StepContext, StepOutcome
from backout.mechanisms.workload.mechanism import WorkloadMechanism
from backout.model.message import msg
from backout.model.operation import Operation
from backout.model.outcomes import outcomes
from backout.model.part import Step
from backout.model.run import ENDED, Run
from backout.model.scope import ClusterIdentity
from backout.scopes.clusters import ClusterScopes
from backout.snapshots.capture import CaptureStore
from backout.workflows.runner import go_on, workflows
from backout.workflows.services import Services

CLUSTERS = ("a", "b", "c")
STORIES = ("fleet", "fleet-undo")
SECRET = CANARY


def operation(story: str) -> Operation:
    waves = [[of("a")], [of("b"), of("c")]]
    return fleet(*waves, soak=0.05, on_failure="undo" if story == "fleet-undo" else "stop")


def prepared(story: str, run: str) -> bool:
    with open_store(create=True) as store:
        made = operation(story)
        store.create(Run(id=run, state="pending", operation=made, started=datetime.now(UTC), actor="alice"))
    return True


def life(story: str, run: str, folder: Path) -> int:
    """Goes on with the run, and with the one that takes it back, to their ends."""

    async def main() -> int:
        code = 0
        WorkloadMechanism.read = restored(operation(story))  # type: ignore[method-assign]
        with open_store(create=True) as store:
            found = Services(
                store=store,
                captures=CaptureStore(folder / "data"),
                scopes=_scopes(folder),
                effect_of=lambda _: _writes(folder, story),
                hold=lambda *_: None,
                settle=0.0,
            )
            for name in (run, None):
                name = name or follows(store.events(run))
                if name and _open(store, name):
                    engine = DbosEngine(store, workflows(found))
                    try:
                        ended = await go_on(engine, store, name)
                        code = max(code, 0 if ended.state == "recovered" else 8)
                    except BackoutError as error:
                        print(f"{type(error).__name__}: {error.message}", file=sys.stderr)
                        code = max(code, error.exit_code)
                    finally:
                        await engine.close()
        return code

    (folder / f"life-{os.getpid()}").touch()
    return asyncio.run(main())


def _scopes(folder: Path) -> Any:
    worlds = {name: Listing(*healthy()) for name in CLUSTERS}
    for name, world in worlds.items():
        world.who = ClusterIdentity(f"uid-{name}", "ca")
        # What a cluster knows of former holders outlives the process: its tokens only rise.
        world.tokens = 100 * len(list(folder.glob("life-*")))
    return ClusterScopes(lambda scope: worlds[scope.cluster])  # type: ignore[arg-type,return-value]


def _writes(folder: Path, story: str) -> Any:
    async def effect(context: StepContext, step: Step) -> StepOutcome:
        name, text = step.params["name"], step.params["text"]
        if story == "fleet-undo" and (name, text) == ("c", "new"):
            raise Conflict("Changed.")
        file = folder / f"cluster-{name}"
        if file.exists() and file.read_text().split()[-1] == text:
            return StepOutcome(False, msg("{name} is so already", name=name))
        await context.guard()
        with passing("cluster", name), file.open("a") as writing:
            writing.write(f"{text}\n")
        return StepOutcome(True, msg("{name} written", name=name))

    return effect


def _open(store: Any, run: str) -> bool:
    try:
        return store.get(run).state not in ENDED or bool(store.owners.unfinished(run))
    except RunNotFound:
        # What takes another back is told of before it is made: who made the other goes on with that first.
        return False


def open_runs(run: str) -> list[str]:
    """What is not over."""
    with open_store() as store:
        names = [name for name in (run, follows(store.events(run))) if name]
        return [name for name in names if _open(store, name)]


def judged(story: str, run: str, folder: Path) -> list[str]:
    """The invariants that do not hold once all is over."""
    broken: list[str] = []

    def hold(true: Any, what: str) -> None:
        if not true:
            broken.append(what)

    with open_store() as store:
        found, events = store.get(run), store.events(run)
        states = {one.cluster: one.state for one in outcomes(found.operation, events, under_way=False)}
        written = {name: _lines(folder / f"cluster-{name}") for name in CLUSTERS}
        told = [event.type for event in events]
        if story == "fleet":
            hold((found.state, set(states.values())) == ("recovered", {"recovered"}), f"I1: {found.state}, {states}")
            hold(set(map(tuple, written.values())) == {("new",)}, f"I2: written {written}")
        else:
            undo = follows(events)
            hold(found.state == "failed" and undo, f"I1: {found.state}, taken back by {undo or 'nobody'}")
            hold(undo and store.get(undo).state == "recovered", "I1: what takes it back is not over")
            hold((states["a"], states["c"]) == ("recovered", "refused"), f"I3: {states}")
            for name in ("a", "b"):
                wanted = (("recovered", ["new", "old"]), ("not-started", []))
                hold((states[name], written[name]) in wanted, f"I2: {name} is {states[name]}, written {written[name]}")
            hold(not written["c"], f"I2: c was refused, but {written['c']} was written")
        hold((told.count("run-started"), told.count("run-ended")) == (1, 1), "I5: one beginning and one end")
        first = next((e.seq for e in events if e.type == "part-ended" and e.part.startswith("a/")), 0)
        others = [e.seq for e in events if e.type == "step-started" and not e.part.startswith("a/")]
        hold(not others or first < min(others), "I1: a wave began before the canary ended")
        for part in {e.part for e in events if e.type == "step-started"}:
            types = [e.type for e in events if e.part == part]
            hold("captured" in types and types.index("captured") < types.index("step-started"), f"I4: {part}")
            hold(types.count("step-done") <= 1 and types.count("part-ended") == 1, f"I5: {part}: {types}")
        hold(not {run, follows(events)} & set(store.owners.orphans()), "I8: a run is nobody's")
        texts = [event.message.text for event in events]
        hold(SECRET not in " ".join(texts), "I6: the secret is in an event")
    return broken


def _lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []
