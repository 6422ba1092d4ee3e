# SPDX-License-Identifier: Apache-2.0
"""What is made of the measured numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


class Sample(NamedTuple):
    """One run of one program: seconds, and bytes of its largest process (its children included)."""

    wall: float
    user: float = 0.0
    system: float = 0.0
    rss: int = 0
    code: int = 0

    @property
    def cpu(self) -> float:
        """Seconds of processor time, user and system."""
        return self.user + self.system


class Spread(NamedTuple):
    """Least, middle and greatest of some numbers."""

    low: float
    mid: float
    high: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError when there are none."""
    if not values:
        raise ValueError("no values")
    return Spread(min(values), median(values), max(values), len(values))


class Ratio(NamedTuple):
    """``ours`` against ``theirs``: below 1 is faster (or less)."""

    of_medians: float
    pairs: Spread


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """The ratio of the medians, and of each pair that ran one after the other.

    Raises:
        ValueError: there are none, they are no pairs, or the peer took no time at all.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} values are no pairs")
    if not all(theirs):
        raise ValueError("a ratio to zero")
    pairs = spread([a / b for a, b in zip(ours, theirs, strict=True)])
    return Ratio(median(ours) / median(theirs), pairs)
