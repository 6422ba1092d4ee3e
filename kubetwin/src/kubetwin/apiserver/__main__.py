# SPDX-License-Identifier: Apache-2.0
"""A bare API server for development: ``python -m kubetwin.apiserver --port 0 --kubeconfig FILE``."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import sys
from pathlib import Path

from kubetwin.apiserver.server import ApiServer


def kubeconfig(server: ApiServer) -> str:
    """A kubeconfig (JSON is YAML) with one context, for the started server."""
    name = server.settings.name
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": server.url,
                        "certificate-authority-data": base64.b64encode(server.identity.ca).decode(),
                    },
                }
            ],
            "users": [{"name": name, "user": {"token": server.settings.admin_token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        },
        indent=1,
    )


async def _serve(port: int, path: Path) -> None:
    server = ApiServer()
    url = await server.start(port)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(kubeconfig(server))
    sys.stdout.write(url + "\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m kubetwin.apiserver")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.kubeconfig))


if __name__ == "__main__":
    main()
