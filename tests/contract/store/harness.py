# SPDX-License-Identifier: Apache-2.0
"""Stores to hold to the contract: each is a fresh place, given as the URL that `state` in a configuration takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'state' / 'state.db'}"


PLACES: dict[str, Callable[[Path], str]] = {"sqlite": sqlite}
"""Adapter → a place of its own for one test."""
