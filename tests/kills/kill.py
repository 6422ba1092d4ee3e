# SPDX-License-Identifier: Apache-2.0
"""Kills Backout at random, thousands of times, over all its ways back and both databases, and holds each end to the invariants.

    python tests/kills/kill.py --kills 10000 [--seed FIRST] [--jobs N] [--story NAME …]

A seed is one way back (and, for most, its undo) that is killed several times by SIGKILL: right before or after any effect, record or
commit, or at some moment; then it is resumed. Each violated invariant is printed with the command that plays its seed again,
and at the end a table: way back × database × place of the kill.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="ends after the seed with which so many were reached")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--minutes", type=float, default=0.0, help="begins no seed after that")
    parser.add_argument("--story", action="append", default=[], help="only these")
    parser.add_argument("--every", action="store_true", help="no seeds: each story once, killed at each of its writes")
    parser.add_argument("--keep", default="", help="a folder in which what was written stays")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each seed")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    with tempfile.TemporaryDirectory(prefix="backout-kills-") as temporary:
        folder = Path(given.keep or temporary)
        if given.every:
            tally = play_every(folder, given.jobs, given.story, verbose=given.verbose)
        else:
            tally = play(folder, given.kills, given.seed, given.jobs, given.story, given.minutes, verbose=given.verbose)
    print("\n".join(tally.lines()))
    return 1 if tally.broken or tally.unplayed else 0


class Tally:
    """What was played."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.began = time.monotonic()
        self.seeds: list[dict[str, Any]] = []
        self.unplayed = 0
        self.processor = 0.0

    @property
    def kills(self) -> int:
        return sum(len(seed["kills"]) for seed in self.seeds)

    @property
    def broken(self) -> list[dict[str, Any]]:
        return [seed for seed in self.seeds if seed["broken"]]

    def lines(self) -> list[str]:
        counted: Counter[tuple[str, str, str]] = Counter()
        for seed in self.seeds:
            for place in seed["kills"]:
                counted[seed["mechanism"], seed["database"], place] += 1
        places = sorted({place for _, _, place in counted}, key=lambda place: (place.partition(" ")[2], place))
        rows = sorted({(mechanism, database) for mechanism, database, _ in counted})
        table = [["killed", *(f"{mechanism}, {database}" for mechanism, database in rows), "all"]]
        for place in places:
            counts = [counted[(*row, place)] for row in rows]
            table.append([place, *map(str, counts), str(sum(counts))])
        sums = [sum(counted[(*row, place)] for place in places) for row in rows]
        table.append(["all", *map(str, sums), str(sum(sums))])
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        found = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
        ]
        took = time.monotonic() - self.began
        last = max((seed["seed"] for seed in self.seeds), default=self.first)
        each = self.processor / self.kills if self.kills else 0.0
        found.append(
            f"{self.kills} kills of {len(self.seeds)} runs (seeds {self.first} to {last}), {len(self.broken)} with a violated "
            f"invariant, {self.unplayed} not played; {took:.0f} s, {each:.2f} s of processor time a kill"
        )
        return found


def play(
    folder: Path,
    kills: int,
    first: int,
    jobs: int,
    only: Sequence[str] = (),
    minutes: float = 0.0,
    *,
    verbose: bool = False,
) -> Tally:
    """Plays seeds from ``first`` on, with ``jobs`` processes, until there were so many kills."""
    tally = Tally(first)

    def seeds() -> Iterator[str]:
        for seed in itertools.count(first):
            in_time = not minutes or time.monotonic() - tally.began < 60 * minutes
            if tally.kills >= kills or not in_time:
                return
            yield str(seed)

    return _played(tally, folder, seeds(), jobs, only, verbose=verbose)


def play_every(folder: Path, jobs: int, only: Sequence[str] = (), *, verbose: bool = False) -> Tally:
    """Plays each story once, on one database after the other, and kills it at each of its writes."""
    from kill_stories import STORIES

    known = [story.name for story in STORIES if not only or story.name in only]
    words = [f"every {name} {('SQLite', 'PostgreSQL')[number % 2]}" for number, name in enumerate(known)]
    return _played(Tally(0), folder, iter(words), jobs, known, verbose=verbose)


def _played(
    tally: Tally, folder: Path, wanted: Iterator[str], jobs: int, only: Sequence[str], *, verbose: bool
) -> Tally:
    from tests import postgres

    server = postgres.Server()
    workers: dict[Any, subprocess.Popen[str]] = {}
    chosen = selectors.DefaultSelector()
    try:
        for number in range(jobs):
            words = [sys.executable, str(HERE / "worker.py"), str(folder / f"worker-{number}"), *only]
            environment = {**os.environ, "KILLS_DATABASE": server.url(server.database())}
            worker = subprocess.Popen(
                words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            workers[worker.stdout] = worker
            chosen.register(worker.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        while workers:
            for key, _ in chosen.select():
                output: IO[str] = key.fileobj  # type: ignore[assignment]
                worker, line = workers[output], output.readline()
                if not line:
                    tally.unplayed += worker.wait() != 0
                    chosen.unregister(output)
                    del workers[output]
                    continue
                told = json.loads(line)
                if "processor" in told:
                    tally.processor += told["processor"]
                    continue
                if "seed" in told:
                    tally.seeds.append(told)
                    _tell(told, only, verbose=verbose)
                assert worker.stdin is not None
                if (following := next(wanted, None)) is not None:
                    worker.stdin.write(f"{following}\n")
                elif not worker.stdin.closed:
                    worker.stdin.close()
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.wait()
        server.remove()
    return tally


def _tell(told: dict[str, Any], only: Sequence[str], *, verbose: bool) -> None:
    if told["broken"] or verbose:
        what = f"seed {told['seed']} ({told['story']}, {told['database']}, {told['seconds']:.0f} s)"
        print(f"{what}: {', '.join(told['kills'])}", *told["broken"], sep="\n    ", flush=True)
    if told["broken"]:
        stories = "".join(f" --story {name}" for name in (only if told["seed"] else [told["story"]]))
        what = f"--kills 1 --seed {told['seed']}" if told["seed"] else "--every"
        print(f"    again: python tests/kills/kill.py {what} --jobs 1{stories} -v", flush=True)


if __name__ == "__main__":
    sys.exit(main())
