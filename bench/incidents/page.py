# SPDX-License-Identifier: Apache-2.0
"""The table of docs/incidents.md, and whether the thresholds hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, table
from bench.incidents import scripts, topics
from bench.incidents.healthy import HEALTHY
from bench.incidents.score import Score

PAGE = Path(__file__).parents[2] / "docs" / "incidents.md"
BEGIN, END = "<!-- written by `python -m bench incidents --write-docs` -->", "<!-- to here -->"
NAMED = 0.97
"""The part of incidents whose cause must be named."""


@dataclass(frozen=True, slots=True)
class Sum:
    """The figures of some scores. ``broken`` leaves the healthy stacks out."""

    scores: Sequence[Score]

    @property
    def broken(self) -> list[Score]:
        """The incidents that could be set up."""
        return [score for score in self.scores if score.area != HEALTHY and not score.error]

    @property
    def healthy(self) -> list[Score]:
        """The healthy stacks that could be set up."""
        return [score for score in self.scores if score.area == HEALTHY and not score.error]

    def named(self, how: str) -> int:
        """Incidents that were named so."""
        return sum(score.named == how for score in self.broken)

    @property
    def outcomes(self) -> int:
        """Incidents that ended as is right."""
        return sum(score.outcome for score in self.broken)

    @property
    def asked(self) -> int:
        """Incidents whose cause is asked for."""
        return sum(score.named != "-" for score in self.broken)

    @property
    def harm(self) -> list[Score]:
        """Where something was written that must not be."""
        return [score for score in self.scores if score.harm]

    @property
    def false_successes(self) -> list[Score]:
        """Where "recovered" was not true."""
        return [score for score in self.scores if score.false_success]

    @property
    def alarms(self) -> list[Score]:
        """Where something was found although nothing is broken."""
        return [score for score in self.scores if score.alarm or (score in self.healthy and score.named != "right")]

    @property
    def certain(self) -> int:
        """Problems that were called certain."""
        return sum(score.certain for score in self.scores)

    @property
    def falsely_certain(self) -> list[Score]:
        """Where one of them was not so."""
        return [score for score in self.scores if score.falsely_certain]

    @property
    def errors(self) -> list[Score]:
        """What could not be set up."""
        return [score for score in self.scores if score.error]

    def missed(self) -> list[str]:
        """The thresholds that do not hold, in words."""
        found = []
        if self.named("right") < NAMED * self.asked:
            found.append(f"named {self.named('right')} of {self.asked}, wanted {NAMED:.0%}")
        for what, scores in (
            ("harm", self.harm),
            ("false successes", self.false_successes),
            ("false alarms", self.alarms),
            ("false certainty", self.falsely_certain),
            ("not set up", self.errors),
        ):
            if scores:
                found.append(f"{what}: {len(scores)}, such as {scores[0].name}")
        return found


HEAD = [
    *("area", "played", "named right", "wrong", "unknown", "silent", "outcome right", "harm", "false success"),
    *("certain (false)", "false alarms"),
]


def figures(scores: Sequence[Score]) -> str:
    """The table: a line an area, and all of it."""
    areas = list(dict.fromkeys(score.area for score in scores if score.area != HEALTHY))
    rows = [_row(area, [score for score in scores if score.area == area]) for area in areas]
    rows.append(_row("all incidents", [score for score in scores if score.area != HEALTHY]))
    text = table.markdown(HEAD, rows)
    every = Sum(scores)
    if every.healthy:
        text += (
            f"\n\nHealthy but noisy stacks: {len(every.healthy)}; false alarms: {len(every.alarms)}, "
            f"harm: {sum(bool(score.harm) for score in every.healthy)}."
        )
    if every.errors:
        text += f"\n\nNot set up: {len(every.errors)}."
    return text


def _row(area: str, scores: list[Score]) -> list[str]:
    found = Sum(scores)
    return [
        area,
        str(len(found.broken)),
        *(str(found.named(how)) for how in ("right", "wrong", "unknown", "silent")),
        str(found.outcomes),
        str(len(found.harm)),
        str(len(found.false_successes)),
        f"{found.certain} ({len(found.falsely_certain)})",
        str(len(found.alarms)),
    ]


def scripted(scores: Sequence[Score]) -> str:
    """The table of the scripts: a line a kind, those that follow public incidents, the project's own, and all."""
    kinds = sorted({score.name[0]: score.area for score in scores}.items())
    rows = [_row(area, [score for score in scores if score.name[0] == digit]) for digit, area in kinds]
    rows.append(_row("given", [score for score in scores if not scripts.own(score.name)]))
    rows.append(_row("of the project", [score for score in scores if scripts.own(score.name)]))
    rows.append(_row("all scripts", list(scores)))
    text = table.markdown(HEAD, rows)
    if errors := Sum(scores).errors:
        text += f"\n\nNot set up: {len(errors)}."
    return text


def tried(names: Iterable[str]) -> str:
    """How many of the project's own situations try each topic."""
    return table.markdown(["what is told apart", "situations"], [[t, str(n)] for t, n in topics.counted(names).items()])


def write(text: str, seed: int, path: Path = PAGE) -> str:
    """Puts the tables between the marks of the page; returns its path."""
    head, rest = path.read_text(encoding="utf-8").split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = f"Seed {seed}, {at}.\n\n{text}\n\n" + "\n".join(f"- {line}" for line in machine.describe())
    path.write_text(f"{head}{BEGIN}\n\n{made}\n\n{END}{tail}", encoding="utf-8")
    return str(path)
