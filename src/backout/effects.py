# SPDX-License-Identifier: Apache-2.0
"""The gate of effects: whatever changes something outside of this process passes here, right where it does so.

A request that writes to an API server (our own, or one of a program that we let through), a program that is started, a file
of a snapshot or a capture, a record in the state database. A test holds the house to that: nothing else may hold what
such a change is made with (``tests/unit/test_effect_gate.py``). So who wants to know what is done from outside, or to be killed
before and after each of it, has one place to stand at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

Kind = Literal["cluster", "program", "forge", "storage", "capture", "state"]
KINDS: dict[Kind, str] = {
    "cluster": "a request to an API server that is no question: method and path",
    "program": "a program that is started, such as helm or git: its name and its first words",
    "forge": "a request to where a Git repository is kept that is no question: method and path",
    "storage": "a file of a snapshot repository that is written or removed: its name",
    "capture": "a file of the data folder that is written: its name",
    "state": "a transaction of the state database that writes",
}


class Passage(NamedTuple):
    """An effect that is about to happen (``before``), or has happened and was answered (``after``)."""

    when: Literal["before", "after"]
    kind: Kind
    what: str


Observer = Callable[[Passage], None]
_OBSERVERS: list[Observer] = []


@contextmanager
def passing(kind: Kind, what: str = "") -> Iterator[None]:
    """Around one effect, and nothing else. One that fails has no ``after``: whether it came about is not known here."""
    _tell("before", kind, what)
    yield
    _tell("after", kind, what)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Tells ``observer`` of each passage, in the thread of the effect. What it raises keeps an effect from happening."""
    _OBSERVERS.append(observer)
    try:
        yield
    finally:
        _OBSERVERS.remove(observer)


def _tell(when: Literal["before", "after"], kind: Kind, what: str) -> None:
    for observer in tuple(_OBSERVERS):
        observer(Passage(when, kind, what))
