# SPDX-License-Identifier: Apache-2.0
"""Imports that are put off: of modules that another one imports at its start but seldom or never uses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class _Later(ModuleType):
    """Stands for a module until somebody asks for something in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # what the import system and `inspect` look for
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def put_off(*names: str) -> Iterator[None]:
    """Within it, an import of ``names`` (a package before its parts) gives a stand-in that imports them when needed.

    Who imports them afterwards gets the modules themselves. A module that was imported already is left as it is.
    """
    given = {name: _Later(name) for name in names if name not in sys.modules}
    for name, module in given.items():
        package, _, part = name.rpartition(".")
        if package in given:
            setattr(given[package], part, module)
    sys.modules.update(given)
    try:
        yield
    finally:
        for name, module in given.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
