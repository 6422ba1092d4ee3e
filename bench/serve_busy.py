# SPDX-License-Identifier: Apache-2.0
"""The busy namespace on an embedded API server, in a process of its own: ``python -m bench.serve_busy KUBECONFIG
[--delay SECONDS]``. Prints ``ready``, and serves until its stdin is closed; with a delay, each request waits so long.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import busy
from bench.busy import Busy
from bench.populate import KINDS, Populator
from bench.population import PodPlan
from bench.serve import LOG, tell
from kubetwin.apiserver import clock
from kubetwin.apiserver.faults import Fault, Faults
from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.client import MERGE_PATCH, Api, Obj, Resource
from kubetwin.kinds import CONFIGMAPS, ENDPOINTSLICES, EVENTS, PDBS, SECRETS, SERVICEACCOUNTS, SERVICES
from kubetwin.kubeconfig import kubeconfig
from kubetwin.serving.logs import LogOptions
from kubetwin.transport import LocalTransport

BESIDE = {
    "Service": SERVICES,
    "ConfigMap": CONFIGMAPS,
    "Secret": SECRETS,
    "ServiceAccount": SERVICEACCOUNTS,
    "EndpointSlice": ENDPOINTSLICES,
    "PodDisruptionBudget": PDBS,
    "HorizontalPodAutoscaler": Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
}
NOW = datetime.now(UTC).replace(microsecond=0)
OLD, MIDDLE, LAST, BAD = (NOW - timedelta(hours=hours) for hours in (busy.HOURS, busy.HOURS / 2, 3, 0.5))


class BusyPopulator(Populator):
    """Writes the namespace as if it had been written over two days: ``at`` is the server's clock meanwhile."""

    def __init__(self, api: Api, tell: Callable[[str], None]) -> None:
        super().__init__(api, 0, tell)
        self.user = api.as_component("kubectl-edit/v1.36.2")
        self.at = OLD
        self.pods_made: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Everything, one after the other."""
        await self._namespace(busy.NAME)
        for number in range(16):
            await self._node(f"worker-{number:04d}")
        for obj in busy.objects():
            await self._create(self.helm, BESIDE[obj["kind"]], obj)
        for release in busy.release_names():
            for revision in range(1, busy.REVISIONS + 1):
                ago = timedelta(hours=busy.HOURS) / busy.REVISIONS * (busy.REVISIONS - revision)
                at = self.at = (LAST if revision < busy.REVISIONS else BAD) - ago
                await self._create(self.helm, SECRETS, busy.record(release, revision, at))
        for app in busy.apps():
            self.at, self.now = OLD, clock.rfc3339(BAD if app.fault else LAST)
            await self._app(app)
        for number, (kind, name, patch) in enumerate(busy.edits()):
            self.at = LAST - timedelta(minutes=number)
            resource = CONFIGMAPS if kind == "ConfigMap" else KINDS[kind]
            await self.user.patch(resource, name, patch, busy.NAME, content_type=MERGE_PATCH)
        self.at = NOW
        for event in busy.events(self.pods_made, clock.rfc3339(NOW - timedelta(minutes=5))):
            await self._create(self.kubelet, EVENTS, event)

    async def _create(self, api: Api, resource: Resource, obj: Obj) -> Obj:
        revision = (obj["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision")
        if obj["kind"] in ("ReplicaSet", "ControllerRevision"):
            number = int(revision) - 1 if revision else int(obj["revision"])
            self.at = (OLD, MIDDLE, datetime.fromisoformat(self.now))[number]
        return await super()._create(api, resource, obj)

    async def _pod(self, plan: PodPlan, owner: Obj) -> None:
        assert isinstance(plan.app, Busy)
        written, self.now = self.now, self.now if plan.revision == 2 else clock.rfc3339(MIDDLE)
        self.at = datetime.fromisoformat(self.now)
        await super()._pod(plan, owner)
        self.now = written

    async def _status(self, api: Api, resource: Resource, obj: Obj, status: Obj) -> None:
        await super()._status(api, resource, obj, status)
        if obj["kind"] == "Pod":
            self.pods_made.append((obj["metadata"]["name"], obj["metadata"]["uid"]))


async def served(path: Path, delay: float) -> ApiServer:
    """The server; its state is kept between runs, since the writes take a while."""
    server = ApiServer(Settings(name="bench", history_limit=64))
    dump = _dump()
    if dump.exists():
        server.cluster.load(dump)
    else:
        tell(f"writing {busy.EVENTS} events and what they are about to an embedded API server")
        populator = BusyPopulator(Api(LocalTransport(server)), tell)
        present = clock.now
        vars(clock)["now"] = lambda: clock.rfc3339(populator.at)
        try:
            await populator.run()
        finally:
            vars(clock)["now"] = present
        server.cluster.save(dump)

    async def log(pod: dict[str, Any], container: str, options: LogOptions) -> AsyncIterator[bytes]:
        async def lines() -> AsyncIterator[bytes]:
            yield LOG.encode()

        return lines()

    server.cluster.log_source = log
    if delay:
        server.cluster.faults = Faults([Fault(times=sys.maxsize, delay=delay)])
    await server.start()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(kubeconfig([server.access]))
    return server


def _dump() -> Path:
    """Named after what made it: other code makes another population."""
    here = Path(__file__).parent
    files = ("busy.py", "serve_busy.py", "population.py", "populate.py", "namespace.py")
    made_by = b"".join((here / name).read_bytes() for name in files)
    directory = Path(tempfile.gettempdir()) / f"backout-bench-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{hashlib.sha256(made_by).hexdigest()[:12]}-busy.state"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.serve_busy")
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    await served(options.kubeconfig, options.delay)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    # Nothing here is worth an orderly end: no state is kept, and open connections would hold it up.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
