# SPDX-License-Identifier: Apache-2.0
"""A process of its own for `test_processes`: starts or resumes a run and can be told where to die or to wait."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from backout.engine.dbos_engine import DbosEngine
from backout.engine.store.opening import open_store
from backout.errors import LockedError, StateError

folder, verb = Path(sys.argv[1]), sys.argv[2]
fault = sys.argv[3] if len(sys.argv) > 3 else "none"
run = sys.argv[4] if len(sys.argv) > 4 else "r1"
store = open_store(os.environ.get("CHILD_STATE") or f"sqlite:///{folder / 'state.db'}", create=True)


async def reach(point: str) -> None:
    if fault == f"kill-{point}":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == f"full-{point}":
        # The kernel refuses every further write to a file, as a full disk does.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
    if fault == f"hold-{point.removeprefix('before-')}":
        print("holding", flush=True)
        while not (folder / "go").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def workflow(context: Any, payload: Any) -> Any:
    done = []
    for name in payload:
        if await context.aborted():
            return "aborted"

        async def body(name: str = name) -> str:
            await reach(f"before-{name}")
            store.owners.confirm(run)
            with (folder / "effects").open("a") as file:
                file.write(name + "\n")
            await reach(f"after-{name}")
            return name

        done.append(await context.step(name, body))
    return done


async def main() -> None:
    engine = DbosEngine(store, {"w": workflow})
    try:
        if verb == "start":
            answer = await engine.start("w", run, ["one", "two", "three"])
        else:
            answer = await engine.resume(run)
    except (LockedError, StateError) as error:
        print(type(error).__name__, flush=True)
        os._exit(0)
    else:
        print(json.dumps(answer), flush=True)


asyncio.run(main())
