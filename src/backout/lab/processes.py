# SPDX-License-Identifier: Apache-2.0
"""Backout as another process: a colleague's, or one that is killed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backout.errors import NotVerifiedError

if TYPE_CHECKING:
    from backout import Clusters
    from backout.lab.fleet_stage import Rehearsal

LONGEST = 900.0
"""Seconds for all lives of one run together."""
LOOK = 0.05
"""Seconds between two looks at what a run that is to be killed has told."""
KILLED_AT = ("captured", "step-started", "verdict")
"""Events of a part at which the process is killed."""


class Second:
    """Such a process, with the configuration of a rehearsal. ``own``: its database and captures are not those of the rehearsal."""

    def __init__(self, rehearsal: Rehearsal, folder: Path, environment: dict[str, str]) -> None:
        self._rehearsal = rehearsal
        self._environment = environment
        self._config = folder / "backout.json"
        self.file = folder / "plan.yaml"
        self.answer: tuple[str, int] = ("", 0)

    @classmethod
    @contextmanager
    def of(cls, rehearsal: Rehearsal, *, own: bool = True) -> Iterator[Second]:
        """One whose files go with it."""
        import msgspec

        folder = Path(tempfile.mkdtemp(prefix="backout-demo-"))
        places = {"BACKOUT_STATE": str(folder / "state.db"), "BACKOUT_DATA": str(folder / "data")} if own else {}
        second = cls(rehearsal, folder, {**os.environ, **places, "BACKOUT_LANG": "en"})
        second._config.write_bytes(msgspec.json.encode(rehearsal.settings))
        try:
            yield second
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def plans(self) -> None:
        """It makes the plan that it is to carry out.

        Raises:
            NotVerifiedError: it does not.
        """
        told, code = await self.runs("plan", "--out", str(self.file), "-o", "json")
        if code:
            raise NotVerifiedError("The rehearsal did not go as it must.", expected="a plan", found=self.words(told))

    async def runs(self, *arguments: str) -> tuple[str, int]:
        """One command, to its end: what it printed, and its exit code."""
        process = await self._start(*arguments)
        output, _ = await process.communicate()
        return output.decode("utf-8", "replace"), process.returncode or 0

    async def killed_again_and_again(self, clusters: Clusters, *arguments: str) -> int:
        """Begins a run with ``arguments``, kills the process at each event that was not there before, and resumes it, until it has
        ended. Returns how often.

        Raises:
            NotVerifiedError: it comes to no end.
        """
        seen: set[str] = set()
        known = {run.id for run in clusters.runs()}
        async with asyncio.timeout(LONGEST):
            for kills in range(200):
                # Nobody reads what it prints: in a pipe, a long document would wait for that for ever.
                process = await self._start(*arguments, stdout=asyncio.subprocess.DEVNULL)
                await self._until_something_new(clusters, process, known, seen)
                if process.returncode is not None:
                    return kills
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                await process.wait()
                arguments = ("resume", "latest", "-o", "json")
        raise NotVerifiedError("The rehearsal did not go as it must.", expected="an end", found="another interruption")

    async def _until_something_new(
        self, clusters: Clusters, process: asyncio.subprocess.Process, known: set[str], seen: set[str]
    ) -> None:
        while process.returncode is None:
            new = [run.id for run in clusters.runs() if run.id not in known]
            events = [event async for event in clusters.events(new[0])] if new else []
            found = {f"{one.part} {one.type} {one.step}" for one in events if one.part and one.type in KILLED_AT}
            if found - seen:
                seen |= found
                return
            await asyncio.sleep(LOOK)

    async def _start(self, *arguments: str, stdout: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        rehearsal = self._rehearsal
        contexts = [word for name in rehearsal.names for word in ("--context", name)]
        where = ("--config", str(self._config), "--kubeconfig", rehearsal.kubeconfig)
        if arguments[0] == "plan":
            arguments = (*arguments, "-n", rehearsal.places[0].namespace, "--max-failures", "0", *contexts)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "backout.cli.main",
            *where,
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.DEVNULL,
        )

    def words(self, told: str) -> str:
        """What a document says of the first failure."""
        return str(next(iter(self._failures(told)), {}).get("message", told[:200]))

    def states(self, told: str) -> dict[str, str]:
        """By cluster, what a document says became of it."""
        return {str(one["cluster"]): str(one["state"]) for run in self._runs(told) for one in run.get("parts", ())}

    def _failures(self, told: str) -> list[dict[str, Any]]:
        parts = [one for run in self._runs(told) for one in run.get("parts", ())]
        return [one["failure"] for one in parts if one.get("failure")]

    def _runs(self, told: str) -> list[dict[str, Any]]:
        try:
            document = json.loads(told)
        except ValueError:
            return []
        return [dict(one) for one in document.get("items", [document])]
