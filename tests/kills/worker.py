# SPDX-License-Identifier: Apache-2.0
"""Plays the seeds that it reads from its input, one after the other, and prints a JSON line for each.

It forks every life, and has no thread itself; an embedded cluster of its own runs beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dbos  # noqa: F401
import fleet_story as fleet
import kill_judging as judging
import kill_stories as stories
import psycopg
from lives import MODULES, UNFORESEEN, Kill, Life, apart, command, drawn, learned, lived

from backout.engine.store.postgres.schema import SCHEMA
from backout.tools import pinned
from kubetwin import process

QUICK = {
    "start_delay": 0.02,
    "pull_time": 0.02,
    "crash_after": 0.05,
    "relist": 0.05,
    "exit_shown": 0.05,
    "backoff_initial": 0.2,
    "backoff_max": 1.0,
    "sync_retry": 0.3,
    "stop_time": 0.01,
    "volume_sync": 0.3,
}
BEGUN = {"cluster": 4, "lock": 2, "program": 2, "storage": 4, "capture": 3, "state": 22, "engine": 28}
"""About how many passages a life has that begins a run; one that goes on has fewer."""
FLEETS = 0.8
"""The share of the seeds that are operations over several clusters: they cost the least."""
CONFIG = "apiVersion: backout.dev/v1\nverify: {soak: 0.1}\n"
WHENS = ("before", "after", "before", "recorded")
EVERY = 60
"""Kills within which a way back that is killed at each write is through."""
ENDS_IN = 4
"""Lives that are left alone in which all must come to its end."""


class Worker:
    def __init__(self, folder: Path, database: str, only: list[str]) -> None:
        self.folder, self.database, self.only = folder, database, only
        folder.mkdir(parents=True, exist_ok=True)
        self.tools = apart(lambda: {name: str(path) for name, path in asyncio.run(pinned()).items()}, folder)
        self._twin: process.Twin | None = None

    @property
    def twin(self) -> process.Twin:
        """Begun when it is first needed."""
        if self._twin is None:
            self._twin = process.up(self.folder / "twin", ("cluster-01",), kubelet=QUICK)
        return self._twin

    def close(self) -> None:
        if self._twin is not None:
            process.down(self.folder / "twin")

    def names(self) -> list[str]:
        return [*fleet.STORIES, *(story.name for story in stories.STORIES)]

    def warm(self) -> None:
        """A life of each kind that is left alone: what it imports is paid from then on."""
        for number, name in enumerate(name for name in ("fleet", "paused", "read-once") if self._plays(name)):
            seed = Seed(self, -1 - number, name, "SQLite" if number % 2 else "PostgreSQL", kills=0)
            seed.environment[MODULES] = str(self.folder / "modules")
            outcome = seed.play()
            assert not outcome["broken"], outcome
            learned(self.folder / "modules")

    def every(self, name: str, database: str) -> dict[str, Any]:
        return Seed(self, 0, name, database, EVERY, every=True).play()

    def _plays(self, name: str) -> bool:
        """Whether anything of that sort is played."""
        mine = [one for one in self.names() if not self.only or one in self.only]
        return any((one in fleet.STORIES) == (name in fleet.STORIES) for one in mine)

    def seed(self, number: int) -> dict[str, Any]:
        dice = random.Random(number)
        known = [name for name in self.names() if not self.only or name in self.only]
        fleets = [name for name in known if name in fleet.STORIES]
        others = [name for name in known if name not in fleet.STORIES]
        some = fleets if fleets and (not others or dice.random() < FLEETS) else others
        return Seed(self, number, dice.choice(some), dice.choice(("SQLite", "PostgreSQL")), dice.randint(6, 16)).play()


class Seed:
    """One way back, its lives and its verdict. ``every``: killed at each request that writes, one after the other, instead of by chance."""

    def __init__(
        self, worker: Worker, number: int, story: str, database: str, kills: int, *, every: bool = False
    ) -> None:
        self.worker, self.number, self.name, self.database = worker, number, story, database
        self.every = every
        self.left = kills
        self.dice = random.Random(number + 1_000_000)
        self.ns = f"seed-{number}-{secrets.token_hex(3)}" if number >= 0 else f"warm{number}"
        self.folder = worker.folder / self.ns
        self.folder.mkdir()
        (self.folder / "backout.yaml").write_text(CONFIG)
        self.environment = {
            "HOME": str(self.folder),
            "BACKOUT_STATE": worker.database if database == "PostgreSQL" else str(self.folder / "state.db"),
            "BACKOUT_DATA": str(self.folder / "data"),
            "BACKOUT_HELM": worker.tools["helm4"],
        }
        self.turn = -1
        self.kills: list[str] = []
        self.broken: list[str] = []
        self.cut = 0

    def play(self) -> dict[str, Any]:
        began = time.monotonic()
        try:
            mechanism = self._fleet() if self.name in fleet.STORIES else self._single()
        except AssertionError as error:
            mechanism = "unknown"
            self.broken.append(f"it can't be played: {error}")
        if not self.broken:
            shutil.rmtree(self.folder)
        return {
            "seed": self.number,
            "story": self.name,
            "mechanism": mechanism,
            "database": self.database,
            "kills": self.kills,
            "broken": self.broken,
            "seconds": time.monotonic() - began,
        }

    # lives

    def _life(self, work: Callable[[], int], kill: Kill | None) -> Life:
        life = lived(work, self.environment, self.folder, kill)
        if life.late:
            self.broken.append("I7: a life did not come to an end")
        elif life.code is None and kill is not None:
            self._expired()
            self.kills.append(kill.place)
            self.left -= 1
            self.cut += life.seen["program"] > 0
        elif life.code is None:
            self.broken.append("a life was killed by somebody else")
        elif life.code == UNFORESEEN:
            self.broken.append(f"an error that nobody foresaw: {self._said('err')}")
        for word in ("Traceback", '"code": "unexpected"'):
            if word in self._said("err", 100_000) + self._said("out", 100_000):
                self.broken.append(f"{word}: {self._said('err')}")
        return life

    def _expired(self) -> None:
        """What a dead process holds in a shared database, it holds until its lease is over: that time passes here."""
        if self.database == "PostgreSQL":
            with psycopg.connect(self.worker.database, autocommit=True) as connection:
                connection.execute(f"UPDATE {SCHEMA}.processes SET until = clock_timestamp() - interval '1 s'")

    def _said(self, name: str, most: int = 600) -> str:
        file = self.folder / name
        return file.read_text()[-most:] if file.exists() else ""

    def _ask(self, work: Callable[[], Any]) -> Any:
        def there() -> Any:
            os.environ.update(self.environment)
            return work()

        return apart(there, self.folder)

    def _drawn(self, *, begun: bool) -> Kill:
        if self.every:
            self.turn += 1
            return Kill(WHENS[self.turn % len(WHENS)], "cluster", 1)
        most = {kind: max(1, number // 2) if begun else number for kind, number in BEGUN.items()}
        if self.name in fleet.STORIES or stories.named(self.name).mechanism != "helm":
            del most["program"]
        if self.name in fleet.STORIES:
            del most["storage"], most["lock"]
        return drawn(self.dice, most, 0.6)

    # several clusters

    def _fleet(self) -> str:
        run = f"{self.ns}-r"
        self._ask(lambda: fleet.prepared(self.name, run))
        lives = 0
        while self.left > 0 and self._ask(lambda: fleet.open_runs(run)) and lives < 40:
            lives += 1
            self._life(lambda: fleet.life(self.name, run, self.folder), self._drawn(begun=lives > 1))
        for _ in range(ENDS_IN):
            if not self._ask(lambda: fleet.open_runs(run)):
                break
            self._life(lambda: fleet.life(self.name, run, self.folder), None)
        else:
            self.broken.append("I7: it does not come to an end")
            return "fleet"
        self.broken += self._ask(lambda: fleet.judged(self.name, run, self.folder))
        for path in self.folder.rglob("*"):
            if path.is_file() and fleet.SECRET.encode() in path.read_bytes():
                self.broken.append(f"I6: the secret is in {path.name}")
        return "fleet"

    # one target

    def _words(self, *words: str) -> list[str]:
        where = ["--kubeconfig", str(self.worker.twin.kubeconfig), "--config", str(self.folder / "backout.yaml")]
        return [*words, "-n", self.ns, *where, "-o", "json"]

    def _backout(self, *words: str) -> str:
        life = lived(command(self._words(*words)), self.environment, self.folder, None)
        assert life.code == 0, f"backout {' '.join(words)}: {life.code}: {self._said('err')}{self._said('out')}"
        return self._said("out")

    def _site(self) -> stories.Site:
        kubeconfig = self.worker.twin.kubeconfig
        helm = self.worker.tools["helm4"]
        api = stories.client(kubeconfig)
        return stories.Site(api, self.ns, self.folder, kubeconfig, self.environment, self._backout, helm)

    def _single(self) -> str:
        story = stories.named(self.name)
        assert self.worker.twin  # before the first fork
        was = self._ask(lambda: asyncio.run(stories.opened(self._site(), story)))
        plan = str(self.folder / "plan.yaml")
        self._backout("plan", *story.plan, "--out", plan)
        (self.folder / "out").unlink()
        self._to_its_end(story, "run", plan, "--yes", *story.run, undo=False)
        if story.undoes and not self.broken:
            self._to_its_end(story, "undo", "latest", "--yes", undo=True)

        async def look() -> dict[str, Any]:
            site = self._site()
            return {"look": await story.look(site), "leases": await stories.leases(site)}

        if not self.broken:
            now = self._ask(lambda: asyncio.run(look()))
            self.broken += self._ask(lambda: judging.judged(story, self.ns, self.folder, was, now, self.cut))
        self._ask(lambda: asyncio.run(self._remove()))
        return story.mechanism

    def _to_its_end(self, story: stories.Story, *words: str, undo: bool) -> None:
        share = self.left // 2 if story.undoes and not undo else 0
        for alone in range(-60, ENDS_IN):
            mine = [run for run in self._ask(lambda: judging.runs_of(self.ns)) if run["undo"] == undo]
            if len(mine) > 1:
                self.broken.append(f"I2: {len(mine)} runs were begun")
            if mine and mine[0]["over"]:
                return
            told = self._words("resume", mine[0]["id"]) if mine else self._words(*words)
            kill = self._drawn(begun=bool(mine)) if self.left > share and alone < 0 else None
            life = self._life(command(told), kill)
            if self.broken:
                return
            if life.code:
                self.broken.append(f"I1: exit {life.code}: {self._said('err')}")
                return
        self.broken.append("I7: it does not come to an end")

    async def _remove(self) -> bool:
        site = self._site()
        await site.api.delete(stories.NAMESPACES, self.ns)
        return True


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that its clusters do not stay behind
    worker = Worker(Path(sys.argv[1]), os.environ["KILLS_DATABASE"], sys.argv[2:])
    try:
        worker.warm()
        print("{}", flush=True)
        for line in sys.stdin:
            words = line.split()
            outcome = worker.every(words[1], words[2]) if words[0] == "every" else worker.seed(int(words[0]))
            print(json.dumps(outcome), flush=True)
    finally:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        print(json.dumps({"processor": sum(u.ru_utime + u.ru_stime for u in used)}), flush=True)
        worker.close()


main()
