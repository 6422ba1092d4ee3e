# SPDX-License-Identifier: Apache-2.0
"""One way to make, kill and make again an engine, whatever the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from tests.postgres import server

from backout.engine.inline import InlineEngine, Memory
from backout.engine.port import Engine, Workflow
from backout.engine.store.opening import open_store


class Death(BaseException):
    """Stands for the end of the process in the middle of something: no `except Exception` sees it."""


class Harness(Protocol):
    async def make(self, workflows: Mapping[str, Workflow]) -> Engine: ...

    def close(self) -> None: ...


class InlineHarness:
    def __init__(self, _folder: Path) -> None:
        self._memory = Memory()

    async def make(self, workflows: Mapping[str, Workflow]) -> Engine:
        return InlineEngine(workflows, self._memory)

    def close(self) -> None:
        pass


class DbosHarness:
    @staticmethod
    def place(folder: Path) -> str:
        return f"sqlite:///{folder / 'state.db'}"

    def __init__(self, folder: Path) -> None:
        self._url = self.place(folder)
        self._stores = ExitStack()

    async def make(self, workflows: Mapping[str, Workflow]) -> Engine:
        from backout.engine.dbos_engine import DbosEngine

        store = self._stores.enter_context(open_store(self._url, create=True))
        return DbosEngine(store, workflows)

    def close(self) -> None:
        self._stores.close()


class PostgresHarness(DbosHarness):
    @staticmethod
    def place(folder: Path) -> str:
        return server().url(server().database())


HARNESSES = {"inline": InlineHarness, "dbos": DbosHarness, "dbos on postgres": PostgresHarness}
