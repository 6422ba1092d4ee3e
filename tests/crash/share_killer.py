# SPDX-License-Identifier: Apache-2.0
"""Workers on a PostgreSQL share one operation over many simulated clusters, while they are killed and the database restarts.

    python tests/crash/share_killer.py --clusters 50 --every 10 --restarts 2

Prints one JSON line: how often what died, who did how many parts, and what does not hold (nothing).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from fleet_world import fleet, of  # noqa: E402
from tests.postgres import Server  # noqa: E402

from backout.engine.store.opening import open_store  # noqa: E402
from backout.engine.store.port import RunStore  # noqa: E402
from backout.model.outcomes import outcomes  # noqa: E402
from backout.model.run import ENDED, Run, RunEvent  # noqa: E402

PATIENCE = 1200.0


def names(count: int) -> list[str]:
    return [f"c{number:03}" for number in range(1, count + 1)]


@dataclass
class Shared:
    """One operation, its database, and the workers that were begun for it."""

    folder: Path
    url: str
    lasts: float
    workers: list[subprocess.Popen[str]] = field(default_factory=list)

    def submit(self, clusters: Sequence[str], waves: Sequence[int], **more: Any) -> None:
        """Run r1 over the clusters, of which each wave takes so many, the last the rest."""
        left, made = list(clusters), []
        for count in (*waves, len(clusters)):
            made.append([of(name) for name in left[:count]])
            del left[:count]
        plan = fleet(*(wave for wave in made if wave), **more)
        (self.folder / "files").mkdir(parents=True, exist_ok=True)
        for name in clusters:
            (self.folder / "files" / name).write_text("old\n")
        with open_store(self.url, create=True) as store:
            store.create(Run(id="r1", state="pending", operation=plan, started=datetime.now(UTC), actor="alice"))
            store.queue.submit("r1", clusters, in_pieces=True)

    def worker(self, known: Sequence[str]) -> subprocess.Popen[str]:
        """Begins one; what it says goes to a file."""
        words = [
            sys.executable,
            str(HERE / "share_worker.py"),
            self.url,
            str(self.folder),
            str(self.lasts),
            ",".join(known),
        ]
        with (self.folder / f"worker-{len(self.workers)}.log").open("w") as log:
            self.workers.append(subprocess.Popen(words, stdout=log, stderr=log, text=True))
        return self.workers[-1]

    def ready(self) -> bool:
        """Whether the worker that was begun last has told anything of its work."""
        return "\n" in (self.folder / f"worker-{len(self.workers) - 1}.log").read_text().removeprefix("ready\n")

    def said(self) -> str:
        """What the workers said, for who looks for a fault."""
        return "\n".join(
            f"{file.name}: {file.read_text()[-2000:]}" for file in sorted(self.folder.glob("worker-*.log"))
        )

    def wrong(self, store: RunStore, clusters: Sequence[str]) -> list[str]:
        """What does not hold of an operation that is over."""
        run, events = store.get("r1"), store.events("r1")
        found = [] if run.state == "recovered" else [f"it ended as {run.state}"]
        states = {one.cluster: one.state for one in outcomes(run.operation, events, under_way=False)}
        for name in clusters:
            mine = [event for event in events if event.part == f"{name}/web"]
            if states[name] != "recovered":
                found.append(f"{name} is {states[name]}")
            if (text := (self.folder / "files" / name).read_text().split()) != ["old", "new"]:
                found.append(f"{name} holds {text}")
            for type in ("step-done", "part-ended", "captured"):
                if type != "captured" and (told := sum(event.type == type for event in mine)) != 1:
                    found.append(f"{name}: {type} was told {told} times")
            types = [event.type for event in mine]
            if "captured" not in types or types.index("captured") > types.index("step-started"):
                found.append(f"{name} was changed before its state was kept")
        for earlier, later in zip(run.operation.fleet.waves, run.operation.fleet.waves[1:], strict=False):  # type: ignore[union-attr]
            over = max(event.seq for event in events if event.type == "part-ended" and event.part in earlier.parts)
            begun = min(event.seq for event in events if event.type == "step-started" and event.part in later.parts)
            if begun < over:
                found.append("a wave began before the one before it was over")
        if any(store.owners.unfinished(one) for one in store.owners.executions("r1")):
            found.append("something is left unfinished")
        return found


def ends(events: Sequence[RunEvent]) -> dict[str, str]:
    """Which process brought each part to its end."""
    by: dict[str, str] = {}
    found: dict[str, str] = {}
    for event in events:
        if event.type == "part-started":
            by[event.part] = event.data["by"]
        elif event.type == "part-ended":
            found[event.part] = by[event.part]
    return found


@contextmanager
def sharing(folder: Path, server: Server, lasts: float) -> Iterator[Shared]:
    shared = Shared(folder, server.url(server.database()), lasts)
    try:
        yield shared
    finally:
        for one in shared.workers:
            one.kill()
            one.wait()


def over(store: RunStore) -> bool:
    return store.get("r1").state in ENDED and not store.owners.unfinished("r1")


def play(folder: Path, clusters: int, every: float, restarts: int, lasts: float, workers: int = 2) -> dict[str, Any]:
    """The whole of it; answers with what is printed."""
    server, known, began = Server(), names(clusters), time.monotonic()
    kills = 0
    try:
        with sharing(folder, server, lasts) as shared:
            shared.submit(known, (1, clusters // 4), soak=0.5, parallel=8)
            with open_store(shared.url) as store:
                alive = [shared.worker(known) for _ in range(workers)]
                killed, restarted = time.monotonic(), 0
                while not over(store):
                    if time.monotonic() - began > PATIENCE:
                        return {"wrong": ["it did not come to an end"], "said": shared.said()}
                    alive = [one for one in alive if one.poll() is None]
                    done = len(ends(store.events("r1")))
                    if restarted < restarts and done > clusters * (restarted + 1) / (restarts + 1):
                        server.restart()
                        restarted += 1
                    if not shared.ready():
                        killed = time.monotonic()  # on a busy machine a start takes long, and both are to work
                    if time.monotonic() - killed >= every and done:
                        # The one that has the operation, then the other one, and so on.
                        alive[0].kill()
                        alive[0].wait()
                        kills += 1
                        alive = [*alive[1:], shared.worker(known)]
                    while len(alive) < workers:
                        alive.append(shared.worker(known))
                    time.sleep(0.1)
                by = Counter(ends(store.events("r1")).values())
                return {
                    "clusters": clusters,
                    "seconds": round(time.monotonic() - began, 1),
                    "kills": kills,
                    "restarts": restarted,
                    "parts by process": dict(by),
                    "wrong": shared.wrong(store, known),
                    "said": shared.said(),
                }
    finally:
        server.remove()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clusters", type=int, default=50)
    arguments.add_argument("--every", type=float, default=10.0)
    arguments.add_argument("--restarts", type=int, default=2)
    arguments.add_argument("--lasts", type=float, default=6.0)
    given = arguments.parse_args()
    os.environ.setdefault("PYTHONPATH", os.pathsep.join(sys.path))
    with tempfile.TemporaryDirectory(prefix="share-") as folder:
        answer = play(Path(folder), given.clusters, given.every, given.restarts, given.lasts)
    said = answer.pop("said")
    print(json.dumps(answer))
    if answer["wrong"]:
        print(said, file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
