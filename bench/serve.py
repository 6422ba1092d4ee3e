# SPDX-License-Identifier: Apache-2.0
"""The other side of a measurement, in a process of its own: ``python -m bench.serve PODS KUBECONFIG [--real CONTEXT]``

Without ``--real`` an embedded API server (no controllers, no kubelet) that holds the population; KUBECONFIG is written
for it. With it, the cluster that KUBECONFIG leads to is given the population if it lacks it, and this process answers
for its kubelets when the API server asks for logs. Prints ``ready``, and serves until its stdin is closed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bench import population
from bench.populate import Populator
from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.client import STRATEGIC_PATCH, Api
from kubetwin.kinds import NODES
from kubetwin.kubeconfig import kubeconfig
from kubetwin.serving import certs
from kubetwin.serving.http import HttpsServer, Request, Response
from kubetwin.serving.logs import LogOptions
from kubetwin.transport import HttpTransport, LocalTransport

LOG = (
    'level=info ts=2026-01-01T10:00:00Z msg="starting" version=1.9.1\n'
    'level=info ts=2026-01-01T10:00:00Z msg="reading configuration" file=/etc/app/config.yaml\n'
    'level=error ts=2026-01-01T10:00:01Z msg="unknown flag --http.timout"\n'
)


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


async def embedded(pods: int, path: Path) -> ApiServer:
    """The embedded server; its state is kept between runs, since the writes take a while."""
    server = ApiServer(Settings(name="bench", history_limit=64))
    dump = _dump(pods)
    if dump.exists():
        server.cluster.load(dump)
    else:
        tell(f"writing {pods} pods to an embedded API server")
        await Populator(Api(LocalTransport(server)), pods, tell).run()
        server.cluster.save(dump)

    async def log(pod: dict[str, Any], container: str, options: LogOptions) -> AsyncIterator[bytes]:
        async def lines() -> AsyncIterator[bytes]:
            yield LOG.encode()

        return lines()

    server.cluster.log_source = log
    await server.start()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(kubeconfig([server.access]))
    return server


def _dump(pods: int) -> Path:
    """Named after what made it: other code makes another population."""
    here = Path(__file__).parent
    made_by = b"".join((here / name).read_bytes() for name in ("population.py", "populate.py"))
    directory = Path(tempfile.gettempdir()) / f"backout-bench-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{hashlib.sha256(made_by).hexdigest()[:12]}-{pods}.state"


async def real(pods: int, path: Path, context: str) -> HttpsServer:
    """Writes the population to a real cluster, and stands in for its kubelets' logs."""
    api = Api(HttpTransport.from_kubeconfig(path, context or None))
    await Populator(api, pods, tell).run()
    identity = await asyncio.to_thread(certs.new_identity, "kubelet")
    server = HttpsServer(_kubelet, certs.tls_context(identity))
    port = await server.start()
    status = {
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
    }
    for name in population.nodes(pods):
        await api.patch(NODES, name, status, content_type=STRATEGIC_PATCH, subresource="status")
    await api.close()
    return server


async def _kubelet(request: Request) -> Response:
    known = request.path.startswith("/containerLogs/")
    return Response(200 if known else 404, {"content-type": "text/plain"}, LOG.encode() if known else b"404\n")


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.serve")
    parser.add_argument("pods", type=int)
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("--real", metavar="CONTEXT", nargs="?", const="")
    options = parser.parse_args()
    if options.real is None:
        await embedded(options.pods, options.kubeconfig)
    else:
        server = await real(options.pods, options.kubeconfig, options.real)
        assert server.port
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    # Nothing here is worth an orderly end: no state is kept, and open connections would hold it up.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
