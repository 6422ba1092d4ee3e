# SPDX-License-Identifier: Apache-2.0
"""Imports that are put off: of modules that another one imports at its start but seldom or never uses."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_IMPORTING = threading.RLock()


@contextmanager
def importing() -> Iterator[None]:
    """Within it, no import of another thread is being put off: what is imported is the module, and no stand-in."""
    with _IMPORTING:
        yield


class _Later(ModuleType):
    """Stands for a module until somebody asks for something in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # what the import system and `inspect` look for
        return getattr(_real(self.__name__), name)


class _Part(type):
    """Stands for a class or function of such a module, for who imports it by name to write it into annotations.

    Called, it is the real one. Nothing is an instance of it as long as nobody imported the real one.
    """

    _module: str

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return cls._itself()(*arguments, **named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return getattr(cls._itself(), name)

    def __getitem__(cls, item: Any) -> Any:
        return cls

    def __instancecheck__(cls, instance: Any) -> bool:
        return cls._imported() and isinstance(instance, cls._itself())

    def __subclasscheck__(cls, other: type) -> bool:
        return other is cls or (cls._imported() and issubclass(other, cls._itself()))

    def _imported(cls) -> bool:
        module = sys.modules.get(cls._module)
        return module is not None and not isinstance(module, _Later)

    def _itself(cls) -> Any:
        return getattr(_real(cls._module), cls.__name__)


def _real(name: str) -> ModuleType:
    if isinstance(sys.modules.get(name), _Later):
        del sys.modules[name]
    return importlib.import_module(name)


@contextmanager
def put_off(*names: str, parts: Mapping[str, Sequence[str]] | None = None) -> Iterator[None]:
    """Within it, an import of ``names`` (a package before its parts) gives a stand-in that imports them when needed.

    ``parts`` are modules with those of their classes and functions that are imported by name: they are stood in for,
    too. Who imports any of them afterwards gets the modules themselves. A module that was imported already is left as it
    is.
    """
    with _IMPORTING:
        yield from _put_off(names, parts or {})


def _put_off(names: Sequence[str], parts: Mapping[str, Sequence[str]]) -> Iterator[None]:
    given = {name: _Later(name) for name in (*names, *parts) if name not in sys.modules}
    for name, module in given.items():
        package, _, last = name.rpartition(".")
        if package in given:
            setattr(given[package], last, module)
        for part in parts.get(name, ()):
            setattr(module, part, _Part(part, (), {"_module": name}))
    sys.modules.update(given)
    try:
        yield
    finally:
        for name, module in given.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
