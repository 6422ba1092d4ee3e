# SPDX-License-Identifier: Apache-2.0
"""``python -m bench incidents``: plays scripts, situations and healthy stacks; ends with 1 when a threshold is missed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench import peers
from bench.incidents import page, scripts
from bench.incidents.healthy import COUNT
from bench.incidents.playing import SLOTS, WORKERS, play
from bench.incidents.score import Score
from bench.incidents.situation import Situation
from bench.incidents.work import chosen
from bench.measure import Failed

SEED = 7
EVERY = 50
"""So many between two lines of progress."""


def main(arguments: Sequence[str]) -> int:
    """Plays, prints the table, and says which thresholds do not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench incidents", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=SEED, help=f"default {SEED}; the same seed draws the same situations"
    )
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="names; repeatable")
    parser.add_argument("--healthy", type=int, default=COUNT, metavar="N", help=f"healthy stacks; default {COUNT}")
    parser.add_argument("--slots", type=int, default=SLOTS, metavar="N", help=f"at a time; default {SLOTS}")
    parser.add_argument("--workers", type=int, default=WORKERS, metavar="N", help=f"processes; default {WORKERS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every score")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep what was said and done in the scripts")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/incidents.md")
    parser.add_argument("--list", action="store_true", help="say what there is, and play nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of what went well, too")
    options = parser.parse_args(arguments)
    every = chosen(options.seed, options.only, options.healthy)
    if options.list:
        for name in scripts.names(options.only):
            print(f"{name:<48} {scripts.KINDS[name[0]]}")
        for each in every:
            print(f"{each.name:<48} {each.area}")
        print(f"\n{page.tried(own(options.only, every))}")
        return 0
    helm = peers.helms().get("4")
    if helm is None:
        print("helm 4 is not installed", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    so_far: list[Score] = []

    def told(score: Score, left: int) -> None:
        so_far.append(score)
        if options.verbose or not well(score):
            print(line(score), file=sys.stderr, flush=True)
        if left % EVERY == 0:
            print(f"{left} left after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    try:
        with scripts.playing(options.only, options.logs) as scripted:
            scores = (
                play(
                    options.seed,
                    options.only,
                    options.healthy,
                    helm=helm,
                    workers=options.workers,
                    slots=options.slots,
                    told=told,
                )
                if every
                else []
            )
            played = scripted()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped after {len(so_far)} of them\n\n{page.figures(so_far)}")
        return 130
    if options.json:
        text = json.dumps([asdict(score) for score in (*played, *scores)], indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    parts = [page.scripted(played)] * bool(played) + [page.figures(scores)] * bool(scores)
    if not options.only:
        parts.append(page.tried(own([], every)))
    print(f"seed {options.seed}, {len(played) + len(scores)} played in {time.monotonic() - began:.0f} s\n")
    print("\n\n".join(parts))
    if options.write_docs:
        print(page.write("\n\n".join(parts), options.seed))
    missed = [
        f"{what}: {each}" for what, of in (("scripts", played), ("generated", scores)) for each in page.Sum(of).missed()
    ]
    for each in missed:
        print(f"MISSED: {each}")
    return 1 if missed else 0


def own(only: Sequence[str], every: Sequence[Situation]) -> list[str]:
    """The names of what the project itself plays; a healthy stack has one for each of its noises."""
    found = [name for name in scripts.names(only) if scripts.own(name)]
    for each in every:
        noises = each.told.split(", ") if each.kind == "healthy" else []
        found += [f"healthy-{noise}-{each.number}" for noise in noises] or [each.name]
    return found


def well(score: Score) -> bool:
    """Whether nothing has to be said of it."""
    return not score.error and score.named == "right" and score.outcome and not score.falsely_certain


def line(score: Score) -> str:
    """What went wrong with one, with what plays it again."""
    if score.error:
        return f"{score.name:<44} NOT SET UP {score.error[:300]} [seed {score.seed}]"
    parts = [f"named {score.named}", score.why, "outcome " + ("right" if score.outcome else "wrong"), score.outcome_why]
    parts += [f"HARM {'; '.join(score.harm[:3])}"] if score.harm else []
    parts += [f"FALSE SUCCESS {'; '.join(score.false_success[:3])}"] if score.false_success else []
    parts += [f"FALSELY CERTAIN {score.falsely_certain[0]}"] if score.falsely_certain else []
    return (
        f"{score.name:<44} {score.seconds:4.0f} s  "
        + " | ".join(part for part in parts if part)
        + f" [seed {score.seed}]"
    )
