# SPDX-License-Identifier: Apache-2.0
"""The embedded cluster that situations are played on: ``python -m bench.incidents.cluster FOLDER NODES``

More nodes than the usual ones, so that each namespace has two of its own; everything that only takes time is short.
Writes ``FOLDER/kubeconfig``, prints ``ready``, and serves until its stdin is closed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.client import Api
from kubetwin.controlplane import ControlPlane, RunSettings
from kubetwin.daemon import COMPONENT, write_private
from kubetwin.kinds import NODES
from kubetwin.kubeconfig import kubeconfig
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.transport import LocalTransport

CONTEXT = "incidents"
SLOT = "slot"
"""The label of a node that says which two belong together."""


async def serve(folder: Path, nodes: int) -> None:
    """Until stdin is closed."""
    server = ApiServer(Settings(name=CONTEXT))
    await server.start()
    quick = replace(KubeletSettings.quick(), start_delay=0.6, probe_scale=0.2)
    settings = RunSettings(nodes=nodes, kubelet=quick, ingress=True)
    plane = ControlPlane(Api(LocalTransport(server, COMPONENT)), settings, server=server)
    assert plane.ingress is not None
    await plane.ingress.listen()
    running = asyncio.create_task(plane.run())
    await plane.ready.wait()
    for number in range(nodes):
        await plane.api.patch(NODES, f"node-{number + 1}", {"metadata": {"labels": {SLOT: str(number // 2)}}})
    write_private(folder / "kubeconfig", kubeconfig([server.access]))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    assert not running.done()
    os._exit(0)


@contextmanager
def embedded(folder: Path, nodes: int) -> Iterator[Path]:
    """Such a cluster in a process of its own; gives its kubeconfig."""
    with (folder / "cluster.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.incidents.cluster", str(folder), str(nodes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            process.wait()
            raise RuntimeError(f"the embedded cluster did not start: {(folder / 'cluster.log').read_text()[-800:]}")
        yield folder / "kubeconfig"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
