# SPDX-License-Identifier: Apache-2.0
"""Runs a program and measures it; runs two in turns."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which

from bench.stats import Sample

LAUNCHER = Path(__file__).with_name("launcher.py")


class Failed(Exception):
    """A program that was measured did not end as it must: its numbers would mean nothing."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One measured run. ``began`` is the machine's clock, in seconds since 1970."""

    sample: Sample
    began: float
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program with its arguments; ``codes`` are the exit codes that mean that it did its work."""

    name: str
    command: Sequence[str]
    codes: frozenset[int] = frozenset({0})
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 600.0
    keep: bool = False
    """Keep what it prints, instead of sending it to /dev/null."""

    def run(self) -> Ended:
        """Runs it once.

        Raises:
            Failed: it is not there, or ended with another code.
        """
        path = which(self.command[0])
        if path is None:
            raise Failed(f"{self.command[0]} is not installed")
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            result, out, err = (Path(scratch) / name for name in ("result", "out", "err"))
            launch = [
                sys.executable,
                "-I",
                "-S",
                str(LAUNCHER),
                str(result),
                str(out) if self.keep else os.devnull,
                str(err),
                str(self.timeout),
                path,
                *self.command[1:],
            ]
            subprocess.run(launch, env={**os.environ, **self.env}, check=True)
            began, wall, user, system, rss, code = result.read_text().split()
            sample = Sample(float(wall), float(user), float(system), int(rss), int(code))
            said = err.read_text(errors="replace")
            printed = out.read_text(errors="replace") if self.keep else ""
        if sample.code not in self.codes:
            raise Failed(f"{self.name} ended with {sample.code} after {sample.wall:.1f} s: {said.strip()[-600:]}")
        return Ended(sample, float(began), printed, said)


def in_turns(
    contenders: Sequence[Program], rounds: int, *, warm: int = 1, tell: Callable[[str], None] = lambda _: None
) -> list[list[Sample]]:
    """Each contender's samples. Rounds of one run each, always in the same order: A B A B …; ``warm`` rounds first."""
    samples: list[list[Sample]] = [[] for _ in contenders]
    for number in range(-warm, rounds):
        for contender, kept in zip(contenders, samples, strict=True):
            found = contender.run().sample
            if number >= 0:
                kept.append(found)
            tell(f"{'warm-up' if number < 0 else f'{number + 1}/{rounds}'}  {contender.name}  {found.wall:.3f} s")
    return samples
