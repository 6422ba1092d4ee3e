# SPDX-License-Identifier: Apache-2.0
"""A process that plays some of the situations, several at a time: ``python -m bench.incidents.work FOLDER``

Reads a job (JSON) from stdin and writes a line of JSON to stdout for each score as it is there.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from backout import Settings
from backout.model.settings import SnapshotSettings, VerifySettings
from bench.incidents.cluster import CONTEXT
from bench.incidents.healthy import stacks
from bench.incidents.player import Player
from bench.incidents.situation import Situation, situations
from bench.incidents.world import World
from kubetwin.client import Api
from kubetwin.transport import HttpTransport

SOAK, TIMEOUT = 2.0, 60.0


def chosen(seed: int, patterns: list[str], healthy: int) -> list[Situation]:
    """The situations and healthy stacks that are meant, by globs on their names."""
    every = [*situations(seed), *stacks(seed, healthy)]
    return [each for each in every if not patterns or any(fnmatch.fnmatch(each.name, p) for p in patterns)]


async def work(folder: Path, job: dict[str, object]) -> None:
    """Plays the situations of a job whose numbers are in ``mine``, each slot one after the other."""
    folder.mkdir(parents=True)
    os.environ["BACKOUT_DATA"] = str(folder / "data")
    kubeconfig = str(job["kubeconfig"])
    every = chosen(int(str(job["seed"])), list(job["only"]), int(str(job["healthy"])))  # type: ignore[call-overload]
    queue = [every[number] for number in job["mine"]]  # type: ignore[attr-defined]
    queue.reverse()
    settings = Settings(
        state=f"sqlite:///{folder}/state.db",
        verify=VerifySettings(soak=SOAK, timeout=TIMEOUT),
        snapshots=SnapshotSettings(repository=str(folder / "snapshots")),
    )
    writing, keeping = asyncio.Lock(), asyncio.Lock()
    api = Api(HttpTransport.from_kubeconfig(kubeconfig, CONTEXT), user_agent="kubectl")

    async def slot(number: int) -> None:
        turn = 0
        while queue:
            situation = queue.pop()
            namespace = f"{situation.name[:40].rstrip('-')}-t{turn}-{number}"
            world = World(api, namespace, str(job["helm"]), kubeconfig, CONTEXT)
            score = await Player(world, settings, writing, keeping).play(situation)
            print(json.dumps(asdict(score)), flush=True)
            turn += 1

    await asyncio.gather(*(slot(number) for number in job["slots"]))  # type: ignore[attr-defined]
    await api.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), json.loads(sys.stdin.read())))
    sys.stdout.flush()
    os._exit(0)
