# SPDX-License-Identifier: Apache-2.0
"""Plays seeds: a way back while the API server fails, or while processes are killed; then holds the end to the invariants.

    python tests/soak/play.py --faults 200 --kills 1000 [--from SEED] [--jobs N]

Prints a line for each violated invariant with the command that plays its seed again, and a table at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from world import FIXED, GOOD, KINDS, PATIENCE, Answer, Truth, World, ended_well, finish, finished, helm_children, send

from backout.model.run import ENDED
from backout.tools import pinned
from kubetwin import process

WANTED = {"workload": GOOD, "helm": GOOD, "objects": "plain"}
"""What is in force after a way back that worked."""
REFUSED = (2, 3, 4, 5, 6)
"""Exit codes that say: nothing was written."""


@dataclass
class Outcome:
    """What became of one seed."""

    seed: int
    mode: str
    kind: str
    ends: tuple[str, ...] = ()
    broken: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


async def play(world: World, mode: str) -> Outcome:
    """One seed, start to verdict."""
    outcome, began = Outcome(world.seed, mode, world.kind), time.monotonic()
    await world.prepare()
    before = await world.truth()
    answers = await (_faults(world, outcome) if mode == "faults" else _kill(world, outcome))
    after = await world.truth()
    outcome.broken += judge(world, before, after, answers)
    outcome.ends = tuple(run.state for run in world.runs()) or (f"exit {answers[0].code}",)
    outcome.seconds = time.monotonic() - began
    return outcome


async def _faults(world: World, outcome: Outcome) -> list[Answer]:
    proxy = world.proxy(random.Random(world.seed).choice((0.02, 0.05, 0.1, 0.2)))
    async with proxy.opened(world.identity):
        answers = [await world.backout(*world.run_words(), port=proxy.port)]
        proxy.rate = 0.0
        answers += await finish(world, proxy.port)
    outcome.struck = proxy.struck
    return answers


async def _kill(world: World, outcome: Outcome) -> list[Answer]:
    """Kills at any moment: Backout alone, its helm alone, both; or stops both as a laptop's sleep does. Then somebody may
    deploy a fix before the run is resumed."""
    dice = random.Random(world.seed)
    running = await world.begin(*world.run_words())
    if dice.random() < 0.9:
        await _begun(world, running)
    await asyncio.sleep(dice.uniform(0.0, 3.0))
    way = dice.choice(("backout", "both", "both", "helm", "sleep", "twice", "interrupt"))
    outcome.struck[way] += 1
    if way == "helm":
        for pid in helm_children(running):
            os.kill(pid, signal.SIGKILL)
    elif way == "interrupt":
        send(running, signal.SIGINT, children=False)
    elif way == "sleep":
        send(running, signal.SIGSTOP)
        for pid in helm_children(running):
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(dice.uniform(0.1, 1.0))
    else:
        send(running, signal.SIGKILL, children=way != "backout")
    fixed = dice.random() < 0.3 and way != "interrupt"
    if fixed:
        outcome.struck["fixed by somebody"] += 1
        try:
            await world.deploy(FIXED)
        except AssertionError:
            fixed = False  # helm lets nobody upgrade what is pending: then nobody did
    if way == "sleep":
        for pid in helm_children(running):
            os.kill(pid, signal.SIGCONT)
        send(running, signal.SIGCONT)
    answers = [await finished(running)]
    if way == "twice" and (left := world.unfinished()):
        again = await world.begin("resume", left[0], "-o", "json")
        await asyncio.sleep(dice.uniform(0.3, 2.0))
        send(again, signal.SIGKILL)
        answers.append(await finished(again))
    answers += await finish(world)
    if fixed:
        answers.append(Answer(0, FIXED, ""))
    return answers


async def _begun(world: World, running: asyncio.subprocess.Process) -> None:
    """Until there is a run: what comes before writes nothing, and takes most of the time."""
    async with asyncio.timeout(PATIENCE):
        while running.returncode is None and not world.runs():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)


def judge(world: World, before: Truth, after: Truth, answers: list[Answer]) -> list[str]:
    """The invariants that do not hold."""
    broken: list[str] = []
    fixed = answers[-1].out == FIXED
    told = [answer for answer in answers if answer.out != FIXED]
    runs, wanted = world.runs(), WANTED[world.kind]
    allowed = {before.content, wanted, FIXED} if fixed else {before.content, wanted}
    if after.content not in allowed:
        broken.append(f"content is {after.content}")
    if fixed and after.content != FIXED and not any(ended_well(run) for run in runs):
        broken.append(f"somebody's fix is gone: {after.content}")
    last = runs[-1] if runs else None
    if last is not None and ended_well(last):
        if after.content not in ({wanted, FIXED} if fixed else {wanted}):
            broken.append(f"recovered, but {after.content} is in force")
        if not after.ready and after.content == wanted:
            broken.append("recovered, but the workload is not ready")
    for answer in told:
        if answer.code == 0 and (last is None or not ended_well(last)):
            broken.append(f"exit 0, but the run is {last.state if last else 'none'}")
        if '"code": "unexpected"' in answer.out:
            broken.append(f"an unforeseen error: {answer.err[-300:]}{answer.out[-300:]}")
        if "Traceback" in answer.err:
            broken.append(f"a traceback: {answer.err[-300:]}")
    if told and told[0].code in REFUSED and len(told) == 1:
        wrote = after.content != before.content or after.head != before.head
        if wrote and not fixed:
            broken.append(f"exit {told[0].code}, but something was written")
    if any(run.state not in ENDED for run in runs):
        broken.append("it does not come to an end, though nothing fails any more")
    elif after.leases:
        broken.append(f"leases are left: {after.leases}")
    if world.kind == "helm":
        if after.statuses.count("deployed") > 1:
            broken.append(f"two revisions are deployed: {after.statuses}")
        # A helm that was killed once it had made its record can't be gone on with: the next one makes another, and that one stays
        # pending. One that said itself that it failed has a record, too, which the next one may call superseded.
        cut = sum(status == "pending-rollback" for status in after.statuses[len(before.statuses) : -1])
        cut = max(cut, world.failed_helms())
        if after.head > before.head + 1 + fixed + cut:
            broken.append(f"{after.head - before.head} revisions were made")
        if any(status.startswith("pending") for status in after.statuses[-1:]) and last and ended_well(last):
            broken.append(f"recovered, but pending: {after.statuses}")
    if leaks := world.leaks():
        broken.append(f"the secret is in {leaks}")
    return broken


@dataclass
class Tally:
    """All that was played."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def broken(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.broken]

    def lines(self) -> list[str]:
        found = []
        for mode in ("faults", "kills"):
            mine = [outcome for outcome in self.outcomes if outcome.mode == mode]
            if not mine:
                continue
            ends = Counter(end for outcome in mine for end in outcome.ends[-1:])
            struck: Counter[str] = sum((outcome.struck for outcome in mine), Counter())
            bad = sum(1 for outcome in mine if outcome.broken)
            found.append(f"{mode}: {len(mine)} seeds, {bad} with a violated invariant")
            found.append("  ends    " + ", ".join(f"{name} {count}" for name, count in ends.most_common()))
            found.append("  struck  " + ", ".join(f"{name} {count}" for name, count in struck.most_common()))
            found.append("  kinds   " + ", ".join(f"{k} {sum(o.kind == k for o in mine)}" for k in KINDS))
        return found


async def soak(faults: list[int], kills: list[int], jobs: int, *, folder: Path, verbose: bool = False) -> Tally:
    """Plays the seeds, ``jobs`` at a time, on one embedded cluster."""
    tools, tally = await pinned(), Tally()
    quick = {"start_delay": 0.2, "backoff_initial": 1.0, "backoff_max": 4.0}
    twin = await asyncio.to_thread(process.up, folder / "twin", ("cluster-01",), kubelet=quick)
    gate = asyncio.Semaphore(jobs)

    async def one(mode: str, seed: int) -> None:
        async with gate:
            kind = KINDS[seed % len(KINDS)]
            world = World(twin.kubeconfig, tools, folder / f"{mode}-{seed}", kind, seed)
            try:
                outcome = await play(world, mode)
            except Exception as error:
                # The others are played all the same; of this one it is not known what became of it.
                outcome = Outcome(seed, mode, kind, broken=[f"it could not be judged: {error!r}"])
            tally.outcomes.append(outcome)
            if outcome.broken or verbose:
                print(
                    f"{mode} seed {seed} ({kind}, {outcome.seconds:.0f} s): {', '.join(outcome.ends)}",
                    *outcome.broken,
                    sep="\n    ",
                    flush=True,
                )
            if outcome.broken:
                print(f"    again: python tests/soak/play.py --{mode} 1 --from {seed} -v", flush=True)
            else:
                await world.kubectl("delete", "namespace", world.ns, "--wait=false")

    try:
        async with asyncio.TaskGroup() as group:
            for mode, seeds in (("faults", faults), ("kills", kills)):
                for seed in seeds:
                    group.create_task(one(mode, seed))
    finally:
        await asyncio.to_thread(process.down, folder / "twin")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=0, help="seeds of a failing API server")
    parser.add_argument("--kills", type=int, default=0, help="seeds of killed processes")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--keep", default="", help="a folder in which what was written stays")
    parser.add_argument("-v", "--verbose", action="store_true")
    given = parser.parse_args()
    seeds = range(given.first, given.first + max(given.faults, given.kills))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="backout-soak-") as temporary:
        folder = Path(given.keep or temporary)
        tally = asyncio.run(
            soak(
                list(seeds[: given.faults]),
                list(seeds[: given.kills]),
                given.jobs,
                folder=folder,
                verbose=given.verbose,
            )
        )
    print(*tally.lines(), f"{time.monotonic() - began:.0f} s", sep="\n")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
