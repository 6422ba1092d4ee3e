# SPDX-License-Identifier: Apache-2.0
"""A worker of `share_killer`: the real one, but for the clusters, which are simulated, and whose content is a file each.

Arguments: the database, the folder of the files, seconds that an effect takes, the clusters it knows. Prints a line for each
event that it tells."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rollback_world import Files, Listing, healthy

from backout.app.events import RunTells, Silent, WorkerLeaves, WorkerWaits
from backout.app.working import Drain, Worker, work
from backout.app.workspace import Where, Workspace
from backout.mechanisms.port import StepContext, StepOutcome
from backout.model.part import Part, Step
from backout.model.run import Run
from backout.model.scope import ClusterIdentity
from backout.model.settings import Settings
from backout.scopes.clusters import ClusterScopes
from backout.snapshots.capture import CaptureStore
from backout.workflows.services import Services

URL, FOLDER, LASTS, KNOWN = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4].split(",")


class Simulated(Worker):
    @asynccontextmanager
    async def outside(self, run: Run, parts: Sequence[Part]) -> AsyncIterator[Services]:
        files = Files(FOLDER / "files")
        worlds: dict[str, Listing] = {}

        def world(name: str) -> Listing:
            if name not in KNOWN:
                raise AssertionError(f"{name} is not known here")
            if name not in worlds:
                worlds[name] = Listing(*healthy())
                worlds[name].who = ClusterIdentity(f"uid-{name}", "ca")
            return worlds[name]

        async def effect(context: StepContext, step: Step) -> StepOutcome:
            await asyncio.sleep(LASTS / 2)
            done = await files.write(context, step)
            await asyncio.sleep(LASTS / 2)
            return done

        yield Services(
            store=self._store,
            captures=CaptureStore(FOLDER / "data"),
            scopes=ClusterScopes(lambda scope: world(scope.cluster)),  # type: ignore[arg-type, return-value]
            effect_of=lambda action: effect,
            hold=lambda *_: None,
            settle=0.0,
        )


class Log(Silent):
    def tell(self, event: Any) -> None:
        match event:
            case RunTells(event=told):
                print(told.type, told.part, told.message.text, flush=True)
            case WorkerLeaves(state=state, error=error):
                print("left", state, error and error.message, flush=True)
            case WorkerWaits(error=error):
                print("waits", error.message, flush=True)


async def main() -> None:
    os.environ["BACKOUT_DATA"] = str(FOLDER / "data")
    drain = Drain()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, drain.ask)
    workspace = Workspace(Settings(state=URL), Where(contexts=tuple(KNOWN)), Log())
    print("ready", flush=True)
    await work(workspace, drain, parts=4, kind=Simulated)
    print("stopped", flush=True)


asyncio.run(main())
