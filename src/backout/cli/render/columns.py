# SPDX-License-Identifier: Apache-2.0
"""How wide the columns of a table are: a name that somebody may want to copy is broken last of all."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

GAPS = (3, 2, 1)
"""Between two columns, the best first."""


def fit(rows: Sequence[Sequence[str]], room: int) -> tuple[list[int], int]:
    """The width of each column and the gap between them, for plain ``rows`` on ``room`` columns of a terminal.

    Columns are as wide as their longest cell where there is room; else sentences are folded between words, the longest first;
    only when all words do not fit beside each other are words broken.
    """
    columns = list(zip(*rows, strict=True))
    wanted = [max(map(cell_len, column)) for column in columns]
    words = [max(map(_longest_word, column)) for column in columns]
    gap = next((gap for gap in GAPS if _whole(words, gap) <= room), GAPS[-1])
    left = room - gap * (len(columns) - 1)
    if sum(words) <= left:
        return _lowered(wanted, words, left), gap
    return _lowered(words, [1] * len(words), left), gap


def _whole(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _longest_word(cell: str) -> int:
    """A mark before a word stays with it."""
    parts = cell.split()
    if len(parts) > 1 and len(parts[0]) == 1 and not parts[0].isalnum():
        parts[:2] = [" ".join(parts[:2])]
    return max(map(cell_len, parts), default=0)


def _lowered(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widest are made narrower until all fit, none below its least."""
    found = [min(width, max(room, 1)) for width in widths]
    while sum(found) > room:
        free = [at for at, width in enumerate(found) if width > least[at]]
        if not free:
            break
        found[max(free, key=lambda at: found[at])] -= 1
    return found
