# SPDX-License-Identifier: Apache-2.0
"""A bare API server for development: ``python -m kubetwin.apiserver --port 0 --kubeconfig FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from pathlib import Path

from kubetwin.apiserver.server import ApiServer
from kubetwin.kubeconfig import kubeconfig


async def _serve(port: int, path: Path) -> None:
    server = ApiServer()
    url = await server.start(port)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(kubeconfig([server.access]))
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
