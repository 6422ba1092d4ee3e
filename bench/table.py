# SPDX-License-Identifier: Apache-2.0
"""How numbers and tables are written. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.stats import Spread

MIB = 1024 * 1024


def seconds(value: float) -> str:
    """``62 ms`` below one second, else ``4.21 s``."""
    return f"{value * 1000:.0f} ms" if abs(value) < 0.9995 else f"{value:.2f} s"


def mebibytes(value: float) -> str:
    """A size in bytes as ``46 MiB``."""
    return f"{value / MIB:.0f} MiB"


def times(value: float) -> str:
    """A ratio, as ``1.24x``."""
    return f"{value:.2f}x"


def three(found: Spread) -> str:
    """Least, median and greatest of a time: ``58 / 62 / 71 ms``."""
    if found.high < 0.9995:
        return f"{found.low * 1000:.0f} / {found.mid * 1000:.0f} / {found.high * 1000:.0f} ms"
    return f"{found.low:.2f} / {found.mid:.2f} / {found.high:.2f} s"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, padded so that it reads well as plain text; all columns but the first are right-aligned.

    Raises:
        ValueError: a row has another number of cells than the head.
    """
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (head, *rows)]
    if any(len(row) != len(head) for row in cells):
        raise ValueError("a row has another number of cells than the head")
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        return "| " + " | ".join([row[0].ljust(len(first)), *others]) + " |"

    rule = [("-" * widths[0]), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), line(rule), *(line(row) for row in cells[1:])])
