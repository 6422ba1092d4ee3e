# SPDX-License-Identifier: Apache-2.0
"""One operation over simulated clusters, in one process: ``python -m bench.fleet_simulated CLUSTERS WAVES [STEPS]``.

The clusters are objects in memory and the effects files; the workflows, the durable engine on SQLite, journal, leases, captures,
checks and gates are the real ones. Prints its own numbers as JSON; what was before the run (imports, the operation) is not in them.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "crash"), str(TESTS / "unit" / "verify")]

import msgspec  # noqa: E402
from fleet_world import fleet, of  # noqa: E402
from rollback_world import Listing, healthy, prepared, services  # noqa: E402

from backout.engine.dbos_engine import DbosEngine  # noqa: E402
from backout.engine.dbos_records import preload  # noqa: E402
from backout.model.operation import Operation  # noqa: E402
from backout.model.part import Part  # noqa: E402
from backout.model.scope import ClusterIdentity  # noqa: E402
from backout.scopes.clusters import ClusterScopes  # noqa: E402
from backout.workflows.runner import begin, workflows  # noqa: E402


def operation(clusters: int, waves: int, steps: int) -> Operation:
    """A part for each cluster, in waves of about one size."""
    parts = [_with_steps(of(f"edge-{number:03d}"), steps) for number in range(clusters)]
    size = -(-clusters // waves)
    return fleet(*(parts[start : start + size] for start in range(0, clusters, size)), parallel=10, soak=0.05)


def _with_steps(part: Part, steps: int) -> Part:
    (first,) = part.steps
    name = first.params["name"]
    more = [
        msgspec.structs.replace(first, id=f"write-{number}", params={"name": f"{name}-{number}", "text": "new"})
        for number in range(steps)
    ]
    return msgspec.structs.replace(part, steps=tuple(more))


async def run(folder: Path, wanted: Operation) -> dict[str, float | str]:
    """Carries it out, and measures that."""
    prepared(folder, wanted)
    found, _ = services(folder)
    worlds = {name: Listing(*healthy()) for name in wanted.clusters}
    for name, world in worlds.items():
        world.who = ClusterIdentity(f"uid-{name}", "ca")
    found.scopes = ClusterScopes(lambda scope: worlds[scope.cluster])  # type: ignore[return-value]
    preload().join()
    before, began = time.process_time(), time.monotonic()
    engine = DbosEngine(found.store, workflows(found))
    try:
        ended = await begin(engine, found.store, "r1")
    finally:
        await engine.close()
    return {"state": ended.state, "cpu": time.process_time() - before, "wall": time.monotonic() - began}


def main() -> None:
    """One of them."""
    clusters, waves, steps = (int(word) for word in (*sys.argv[1:], "1")[:3])
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        os.environ["BACKOUT_DATA"] = f"{scratch}/data"
        numbers = asyncio.run(run(Path(scratch), operation(clusters, waves, steps)))
    numbers["rss"] = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps(numbers), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
