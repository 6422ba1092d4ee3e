# SPDX-License-Identifier: Apache-2.0
"""Stores to hold to the contract: each is a fresh place, given as the URL that `state` in a configuration takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.postgres import server


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'state' / 'state.db'}"


def postgres(folder: Path) -> str:
    return server().url(server().database())


def postgres_by_socket(folder: Path) -> str:
    return server().url(server().database(), over="socket")


PLACES: dict[str, Callable[[Path], str]] = {
    "sqlite": sqlite,
    "postgres": postgres,
    "postgres by socket": postgres_by_socket,
}
"""Adapter → a place of its own for one test."""
