# SPDX-License-Identifier: Apache-2.0
"""One way to make, kill and make again an engine, whatever the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from backout.engine.inline import InlineEngine, Memory
from backout.engine.port import Engine, Workflow


class Death(BaseException):
    """Stands for the end of the process in the middle of something: no `except Exception` sees it."""


class Harness(Protocol):
    async def make(self, workflows: Mapping[str, Workflow]) -> Engine: ...


class InlineHarness:
    def __init__(self, _folder: Path) -> None:
        self._memory = Memory()

    async def make(self, workflows: Mapping[str, Workflow]) -> Engine:
        return InlineEngine(workflows, self._memory)


class DbosHarness:
    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.db"

    async def make(self, workflows: Mapping[str, Workflow]) -> Engine:
        from backout.engine.dbos_engine import DbosEngine

        return DbosEngine(self._state, workflows)


HARNESSES = {"inline": InlineHarness, "dbos": DbosHarness}
