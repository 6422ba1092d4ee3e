# SPDX-License-Identifier: Apache-2.0
"""Runs Backout with marks at the places where its time may go: ``python -m bench.traced MARKS-FILE ARGUMENT…``.

The modules are left to be imported when Backout wants them; each function gets its mark right after its module came in.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

MARKS: list[tuple[str, float, float]] = []
"""Name, begin and end in seconds since 1970."""

WHERE = {
    "backout.diagnosis.diagnose": ("diagnose",),
    "backout.workflows.prepare": ("make_operation",),
    "backout.app.running": ("carry_out",),
    "backout.app.approval": ("require_tools",),
    "backout.cli.endings": ("conclude",),
    "backout.engine.dbos_engine": ("DbosEngine._launch", "DbosEngine.close"),
    "backout.workflows.part_stages": (
        "PartStages._identify",
        "PartStages._access",
        "PartStages._take_lock",
        "PartStages._capture",
        "PartStages.release",
    ),
    "backout.mechanisms.helm.binary": ("run",),
}


def marked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which notes when it began and ended."""

    @functools.wraps(function)
    async def later(*arguments: Any, **named: Any) -> Any:
        began = time.time()
        try:
            return await function(*arguments, **named)
        finally:
            MARKS.append((name, began, time.time()))

    @functools.wraps(function)
    def now(*arguments: Any, **named: Any) -> Any:
        began = time.time()
        try:
            return function(*arguments, **named)
        finally:
            MARKS.append((name, began, time.time()))

    return later if inspect.iscoroutinefunction(function) else now


def mark(module: ModuleType) -> None:
    """Puts the marks into a module that was just imported; what it does not have is left out."""
    for path in WHERE[module.__name__]:
        owner: Any = module
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent, None)
        if owner is not None and callable(getattr(owner, name, None)):
            setattr(owner, name, marked(path, getattr(owner, name)))


class Finder(importlib.abc.MetaPathFinder):
    """Finds as before, and marks after the import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in WHERE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                began = time.time()
                execute(module)
                MARKS.append((f"import {name}", began, time.time()))
                mark(module)

            loader.exec_module = exec_module
        return spec


def main() -> None:
    path = Path(sys.argv[1])
    sys.argv = ["backout", *sys.argv[2:]]
    sys.meta_path.insert(0, Finder())
    began = time.time()
    from backout.cli.main import leave, own_process, run

    MARKS.append(("main", began, time.time()))
    own_process()
    code = run()
    MARKS.append(("exit", time.time(), time.time()))
    used = resource.getrusage(resource.RUSAGE_SELF)
    MARKS.append(("processor", 0.0, used.ru_utime + used.ru_stime))
    path.write_text(json.dumps(MARKS))
    leave(code)


if __name__ == "__main__":
    main()
