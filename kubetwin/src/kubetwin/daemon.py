# SPDX-License-Identifier: Apache-2.0
"""The process that is the embedded clusters: started by `process.up`, ended by SIGTERM.

It reads ``spec.json`` from its directory, serves every cluster of it, writes ``kubeconfig`` and then one line to
stdout: the parent waits for that line. While it lives it holds a lock on ``lock``, so a stale pid can be told from it.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from kubetwin.apiserver.server import ApiServer
from kubetwin.apiserver.state import Settings
from kubetwin.client import Api
from kubetwin.controlplane import ControlPlane, RunSettings
from kubetwin.gitops.programs import Programs
from kubetwin.gitops.runner import GitOpsSettings
from kubetwin.kubeconfig import kubeconfig
from kubetwin.kubelet import KubeletSettings
from kubetwin.serving.certs import Identity, new_identity
from kubetwin.serving.http import User
from kubetwin.transport import LocalTransport

COMPONENT = User(name="system:twin", groups=("system:masters", "system:authenticated"))


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once, readable by its owner only."""
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


class Daemon:
    """All clusters of one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spec: dict[str, Any] = json.loads((directory / "spec.json").read_text())
        self.servers: list[ApiServer] = []
        self.ingress: dict[str, int] = {}
        self.argocd: dict[str, str] = {}

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT; then keeps the state if the spec says so."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self.compact)
        tasks = [asyncio.create_task(self._cluster(name)) for name in self.spec["clusters"]]
        controllers = await asyncio.gather(*tasks)
        write_private(self.directory / "kubeconfig", kubeconfig(server.access for server in self.servers))
        write_private(self.directory / "ingress.json", json.dumps(self.ingress))
        write_private(self.directory / "argocd.json", json.dumps(self.argocd))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()
        for task in controllers:
            task.cancel()
        await asyncio.gather(*controllers, return_exceptions=True)
        for server in self.servers:
            await server.stop()
            if self.spec["keep"]:
                server.cluster.save(self._file(server.cluster.settings.name, "state"))

    async def _cluster(self, name: str) -> asyncio.Task[None]:
        server = ApiServer(Settings(name=name, admin_token=self._token(name)), identity=self._identity(name))
        self.servers.append(server)
        state = self._file(name, "state")
        if state.exists():
            server.cluster.load(state)
        await server.start(0)
        api = Api(LocalTransport(server, COMPONENT))
        settings = KubeletSettings(**self.spec["kubelet"])
        run = RunSettings(kubelet=settings, ingress=True, gitops=self._gitops(name))
        plane = ControlPlane(api, run, server=server)
        assert plane.ingress is not None
        self.ingress[name] = await plane.ingress.listen()
        task = asyncio.create_task(plane.run())
        if plane.gitops is not None:
            ready = asyncio.create_task(plane.gitops.ready.wait())
            await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            if task.done():
                task.result()
            if plane.gitops.argocd_server is not None:
                self.argocd[name] = plane.gitops.argocd_server.url
                token = plane.gitops.argocd_server.token(lifetime=0)
                write_private(self._file(name, "argocd-token"), token)
        return task

    def _gitops(self, name: str) -> GitOpsSettings | None:
        """Argo CD and Flux, if the spec asks for them; their mirrors are beside the cluster's other files."""
        given = self.spec.get("gitops") or {}
        if not given.get("tools"):
            return None
        directory = self._file(name, "gitops")
        directory.mkdir(exist_ok=True, mode=0o700)
        programs = Programs(**(given.get("programs") or {}))
        return GitOpsSettings(tools=tuple(given["tools"]), programs=programs, directory=directory)

    def compact(self) -> None:
        """Forgets the history of every cluster, as a real one does every few minutes (SIGUSR1)."""
        for server in self.servers:
            server.cluster.store.compact()

    def _file(self, name: str, kind: str) -> Path:
        return self.directory / f"{name}.{kind}"

    def _token(self, name: str) -> str:
        """A cluster that was kept is reached as before."""
        import secrets

        path = self._file(name, "token")
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text()

    def _identity(self, name: str) -> Identity:
        directory = self._file(name, "pki")
        if directory.exists():
            return Identity.load(directory)
        identity = new_identity(name)
        directory.mkdir(mode=0o700)
        identity.save(directory)
        return identity


def main() -> None:
    """Entry point: the directory is the only argument."""
    directory = Path(sys.argv[1])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    write_private(directory / "pid", str(os.getpid()))
    asyncio.run(Daemon(directory).run())


if __name__ == "__main__":
    main()
