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

from bench.incidents.objects import CUSTOM, RESOURCES
from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.client import Api
from kubetwin.controlplane import ControlPlane, RunSettings
from kubetwin.daemon import COMPONENT, write_private
from kubetwin.kinds import CRDS, DEPLOYMENTS, NODES
from kubetwin.kubeconfig import kubeconfig
from kubetwin.kubelet.settings import KubeletSettings
from kubetwin.transport import LocalTransport

CONTEXT = "incidents"
OPERATORS = {
    "argo-rollouts": "quay.io/argoproj/argo-rollouts:v1.8.3",
    "prometheus-operator": "quay.io/prometheus-operator/prometheus-operator:v0.73.2",
}
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
    await _operators(plane.api)
    write_private(folder / "kubeconfig", kubeconfig([server.access]))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    assert not running.done()
    os._exit(0)


async def _operators(api: Api) -> None:
    """The definitions of custom resources, and the programs that carry them out."""
    for kind in CUSTOM:
        found = RESOURCES[kind]
        names = {"kind": found.kind, "plural": found.plural, "singular": kind, "listKind": f"{found.kind}List"}
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": found.version, "served": True, "storage": True, "schema": schema}
        spec = {"group": found.group, "scope": "Namespaced", "names": names}
        body = {
            "apiVersion": CRDS.api_version,
            "kind": CRDS.kind,
            "metadata": {"name": f"{found.plural}.{found.group}"},
            "spec": {**spec, "versions": [{**version, "subresources": {"status": {}}}]},
        }
        await api.create(CRDS, body)
    for called, image in OPERATORS.items():
        labels = {"app": called}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "operator", "image": image}]}}
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": called},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
        await api.create(DEPLOYMENTS, body, "default")


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
