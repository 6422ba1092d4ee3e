# SPDX-License-Identifier: Apache-2.0
"""What a section hands back: its method, tables, targets, and the raw numbers; kept in files for the docs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bench import machine as computer
from bench import table

Tell = Callable[[str], None]
"""Takes a line of progress."""
Raw = list[list[object]]
"""Rows for the CSV file."""
RESULTS = Path(__file__).parent / "results"


@dataclass(slots=True)
class Target:
    """What was asked for, and what came out; ``met`` is None where it could not be measured."""

    what: str
    wanted: str
    found: str
    met: bool | None


@dataclass(slots=True)
class Table:
    """One table with a sentence above it."""

    caption: str
    head: list[str]
    rows: list[list[str]]


@dataclass(slots=True)
class Report:
    """One section of the benchmark."""

    name: str
    title: str
    method: list[str]
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    at: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    machine: list[str] = field(default_factory=computer.describe)
    load_before: str = field(default_factory=computer.load)

    def markdown(self, level: int = 2) -> str:
        """The section as Markdown."""
        parts = [f"{'#' * level} {self.title}", *self.method]
        for found in self.tables:
            parts += [found.caption, table.markdown(found.head, found.rows)]
        parts += [f"- {note}" for note in self.notes]
        when = f"Measured {self.at}; load of the machine when it began: {self.load_before}."
        if self.tools:
            when += f" Peers: {', '.join(self.tools)}."
        return "\n\n".join([*parts, when])


def prose(text: str, **values: object) -> str:
    """A paragraph as it stands in the source, with its values."""
    return " ".join(text.split()).format(**values)


Verdict = Literal["met", "missed", "not measured"]


def verdict(target: Target) -> Verdict:
    """In a word."""
    return "not measured" if target.met is None else "met" if target.met else "missed"


def targets_table(reports: Sequence[Report]) -> str:
    """All targets in one table."""
    rows = [
        [target.what, target.wanted, target.found, verdict(target)] for report in reports for target in report.targets
    ]
    return table.markdown(["What", "Target", "Measured", "Verdict"], rows)


def write_raw(name: str, head: Sequence[str], rows: Sequence[Sequence[object]], directory: Path = RESULTS) -> None:
    """The raw numbers as CSV; seconds with a tenth of a millisecond."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows([[f"{cell:.4f}" if isinstance(cell, float) else cell for cell in row] for row in rows])


def keep(report: Report, directory: Path = RESULTS) -> None:
    """Keeps a section's report, for a later ``--write-docs``."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(report), indent=1, ensure_ascii=False)
    (directory / f"{report.name}.json").write_text(text + "\n", encoding="utf-8")


def kept(names: Sequence[str], directory: Path = RESULTS) -> list[Report]:
    """The reports that were kept, in the order of ``names``."""
    found = []
    for name in names:
        path = directory / f"{name}.json"
        if path.exists():
            found.append(_report(json.loads(path.read_text(encoding="utf-8"))))
    return found


def _report(data: dict[str, Any]) -> Report:
    data["tables"] = [Table(**entry) for entry in data["tables"]]
    data["targets"] = [Target(**entry) for entry in data["targets"]]
    return Report(**data)
