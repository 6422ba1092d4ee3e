# SPDX-License-Identifier: Apache-2.0
"""``python -m bench [SECTION …] [--write-docs]``; ``python -m bench incidents`` is a command of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module

from bench import docs, peers
from bench.measure import Failed
from bench.report import Report, keep, targets_table
from bench.servers import ROOT, as_installed

SECTIONS = docs.SECTIONS


def main() -> int:
    """Runs the sections that were named (all when none is), prints them, and keeps their results."""
    peers.find_own(ROOT)
    as_installed()
    if sys.argv[1:2] == ["incidents"]:
        return int(import_module("bench.incidents.command").main(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m bench", description=sys.modules["bench"].__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, help="counted rounds, instead of the section's own number")
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/performance.md from the newest result of every section"
    )
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    only_docs = options.write_docs and not options.sections
    reports, failed = [], False
    for name in [] if only_docs else options.sections or SECTIONS:
        print(f"== {name}", file=sys.stderr, flush=True)
        try:
            report = _measure(name, options.rounds)
        except Failed as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
            continue
        keep(report)
        reports.append(report)
        print(report.markdown(), end="\n\n", flush=True)
    if reports:
        print(targets_table(reports))
    if options.write_docs:
        print(docs.write())
    return 1 if failed else 0


def _measure(name: str, rounds: int | None) -> Report:
    measure: Callable[..., Report] = import_module(f"bench.{name}").measure
    chosen = {"rounds": rounds} if rounds else {}
    return measure(lambda line: print(f"   {line}", file=sys.stderr, flush=True), **chosen)


if __name__ == "__main__":
    sys.exit(main())
