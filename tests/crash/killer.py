# SPDX-License-Identifier: Apache-2.0
"""Kills a rollback at one gate after the other and resumes it, each life in a process of its own.

Prints one JSON line a gate. Forks, so that the half second of imports is paid once; nothing has a thread before a fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import dbos  # noqa: F401
from rollback_world import prepared, services, snapshots

from backout.engine.dbos_engine import DbosEngine
from backout.errors import BackoutError
from backout.workflows.runner import go_on, workflows


def life(folder: Path, fatal: int) -> None:
    """Executes run r1 until its end, or until gate number ``fatal``, where the process is killed."""
    seen = 0

    def gate(name: str) -> None:
        nonlocal seen
        seen += 1
        with (folder / "gates").open("a") as file:
            file.write(name + "\n")
        if seen == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main() -> str:
        os.environ["BACKOUT_DATA"] = str(folder / "data")
        outside, _ = services(folder, gate=gate)
        outside.snapshots = snapshots(folder, gate)
        engine = DbosEngine(outside.store, workflows(outside))
        try:
            return (await go_on(engine, outside.store, "r1")).state
        except BackoutError as error:
            return f"{type(error).__name__}: {error.message}"

    (folder / "said").write_text(asyncio.run(main()))
    os._exit(0)


def child(folder: Path, fatal: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            life(folder, fatal)
        except BaseException as error:
            (folder / "said").write_text(f"unexpected {type(error).__name__}: {error}")
        os._exit(3)
    return os.waitpid(pid, 0)[1]


def main() -> None:
    base, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    whole = base / "whole"
    prepared(whole)
    assert child(whole, 0) == 0, (whole / "said").read_text()
    gates = (whole / "gates").read_text().split()
    print(json.dumps({"gates": gates, "said": (whole / "said").read_text()}), flush=True)
    for number in range(1 + part, len(gates) + 1, parts):
        folder = base / f"gate-{number}"
        prepared(folder)
        killed = child(folder, number)
        after = (folder / "gates").read_text().split()
        resumed = child(folder, 0)
        said = (folder / "said").read_text()
        print(
            json.dumps(
                {
                    "number": number,
                    "gate": after[-1],
                    "killed": os.WTERMSIG(killed),
                    "resumed": resumed,
                    "said": said,
                    "folder": str(folder),
                }
            ),
            flush=True,
        )


main()
