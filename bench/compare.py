# SPDX-License-Identifier: Apache-2.0
"""The table and the raw rows that every paired measurement of programs has. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.report import Table
from bench.stats import Sample, ratio, spread
from bench.table import mebibytes, three, times

RAW_HEAD = ("program", "round", "wall_s", "user_s", "system_s", "peak_rss_bytes", "exit_code")


class Named(Protocol):
    @property
    def name(self) -> str:
        """What the table calls it."""


def compared(
    contenders: Sequence[Named], samples: Sequence[Sequence[Sample]], *, peer: int, caption: str = ""
) -> Table:
    """A row for each contender; ratios are to the contender number ``peer`` (below 1: faster than the peer)."""
    head = ["Program", "Wall min / median / max", "Ratio of medians", "Ratios of pairs", "CPU", "Peak RSS", "Runs"]
    rows = []
    theirs = [sample.wall for sample in samples[peer]]
    for number, (contender, found) in enumerate(zip(contenders, samples, strict=True)):
        walls = [sample.wall for sample in found]
        of_medians, pairs = "1", "–"
        if number != peer:
            against = ratio(walls, theirs)
            of_medians = times(against.of_medians)
            pairs = f"{against.pairs.low:.2f} – {against.pairs.high:.2f}x"
        cpu = spread([sample.cpu for sample in found]).mid
        rss = max(sample.rss for sample in found)
        rows.append(
            [
                f"`{contender.name}`",
                three(spread(walls)),
                of_medians,
                pairs,
                f"{cpu:.2f} s",
                mebibytes(rss),
                str(len(found)),
            ]
        )
    usual = "CPU is the median of user and system time of the client; peak RSS the greatest of all runs."
    return Table(caption or usual, head, rows)


def raw_rows(contenders: Sequence[Named], samples: Sequence[Sequence[Sample]]) -> list[list[object]]:
    """All samples, one a row."""
    return [
        [contender.name, number, sample.wall, sample.user, sample.system, sample.rss, sample.code]
        for contender, found in zip(contenders, samples, strict=True)
        for number, sample in enumerate(found, start=1)
    ]
