# SPDX-License-Identifier: Apache-2.0
"""An embedded API server (no controllers, no kubelet) with one large namespace: ``python -m bench.serve_namespace
COUNT KUBECONFIG``. Prints ``ready``. Each line of its stdin is a command, answered by a line:

``change FROM TO ROUND``  gives the objects FROM … TO-1 the content of that round; answers ``done``
``writes``                answers how many writes the server has seen
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from bench import namespace
from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.client import Api
from kubetwin.kinds import NAMESPACES, SERVICEACCOUNTS
from kubetwin.kubeconfig import kubeconfig
from kubetwin.transport import LocalTransport


async def served(count: int, path: Path) -> tuple[ApiServer, Api]:
    """The server; its state is kept between runs, since the writes take a while."""
    server = ApiServer(Settings(name="bench", history_limit=64))
    api = Api(LocalTransport(server))
    dump = _dump(count)
    if dump.exists():
        server.cluster.load(dump)
    else:
        print(f"writing {count} objects to an embedded API server", file=sys.stderr, flush=True)
        await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.NAME}})
        await api.create(
            SERVICEACCOUNTS,
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": namespace.NAME},
            },
        )
        for number in range(count):
            await api.create(namespace.KINDS[namespace.kind_of(number)], namespace.obj(number))
        server.cluster.save(dump)
    await server.start()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(kubeconfig([server.access]))
    return server, api


def _dump(count: int) -> Path:
    """Named after what made it: other code makes another population."""
    here = Path(__file__).parent
    made_by = b"".join((here / name).read_bytes() for name in ("namespace.py", "population.py", "serve_namespace.py"))
    directory = Path(tempfile.gettempdir()) / f"backout-bench-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory / f"{hashlib.sha256(made_by).hexdigest()[:12]}-namespace-{count}.state"


async def _version(api: Api) -> int:
    """Every write raises it by one."""
    found = await api.list(NAMESPACES)
    return int(found["metadata"]["resourceVersion"])


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.serve_namespace")
    parser.add_argument("count", type=int)
    parser.add_argument("kubeconfig", type=Path)
    options = parser.parse_args()
    _, api = await served(options.count, options.kubeconfig)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, *arguments = line.split()
        if command == "writes":
            print(await _version(api), flush=True)
            continue
        first, last, round_ = map(int, arguments)
        for number in range(first, last):
            resource = namespace.KINDS[namespace.kind_of(number)]
            live = await api.get(resource, namespace.name_of(number), namespace.NAME)
            wanted = namespace.obj(number, round_)
            if namespace.kind_of(number) == "Service":
                for field in ("clusterIP", "clusterIPs"):
                    wanted["spec"][field] = live["spec"][field]
            wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            await api.replace(resource, wanted)
        print("done", flush=True)
    # Nothing here is worth an orderly end: no state is kept, and open connections would hold it up.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
