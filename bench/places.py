# SPDX-License-Identifier: Apache-2.0
"""Clusters that roll workloads out: an embedded one, or a real control plane with simulated kubelets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Failed
from kubetwin import process
from kubetwin.client import Api
from kubetwin.lab.builder import Lab
from kubetwin.transport import HttpTransport

QUICK = {"start_delay": 0.3, "backoff_initial": 1.0, "backoff_max": 5.0}
SOAK = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster, and what Backout needs to work on it away from the user's own files."""

    words: str
    kubeconfig: Path
    context: str
    scratch: Path

    def env(self, helm: str = "") -> dict[str, str]:
        """Variables for the programs that are measured; ``helm``: the binary that is to be found first."""
        tools = self.scratch / "tools" / (Path(helm).name or "none")
        tools.mkdir(parents=True, exist_ok=True)
        if helm and not (tools / "helm").exists():
            (tools / "helm").symlink_to(helm)
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.scratch),
            "BACKOUT_STATE": str(self.scratch / "state.db"),
            "BACKOUT_DATA": str(self.scratch / "data"),
            "PATH": f"{tools}:{os.environ['PATH']}",
        }

    @property
    def config(self) -> str:
        """A configuration file with the soak of the benchmark."""
        path = self.scratch / "backout.yaml"
        path.write_text(f"apiVersion: backout.dev/v1\nverify: {{soak: {SOAK}}}\n")
        return str(path)

    def play(self, namespace: str, helm: str, *acts: Callable[[Lab], Awaitable[None]]) -> None:
        """Lets the lab do something in a namespace."""

        async def main() -> None:
            api = Api(HttpTransport.from_kubeconfig(self.kubeconfig, self.context), user_agent="helm-lab")
            try:
                lab = Lab(api, helm=helm, kubeconfig=str(self.kubeconfig), context=self.context, namespace=namespace)
                for act in acts:
                    await act(lab)
            finally:
                await api.close()

        asyncio.run(main())

    def clear(self, namespace: str) -> None:
        """Removes a namespace."""
        self.play(namespace, "helm", Lab.remove_namespace)


@contextmanager
def places(kubelet: dict[str, float] | None = None) -> Iterator[list[Place]]:
    """The embedded cluster, and the real one that ``BACKOUT_BENCH_LIVE_KUBECONFIG`` leads to, if any."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        directory = Path(scratch) / "twin"
        twin = process.up(directory, ("bench",), kubelet={**QUICK, **(kubelet or {})})
        found = [Place("embedded cluster", twin.kubeconfig, "bench", Path(scratch))]
        given = os.environ.get("BACKOUT_BENCH_LIVE_KUBECONFIG", "")
        try:
            if not given:
                yield found
                return
            with _kubelet(given) as context:
                other = Path(scratch) / "real"
                other.mkdir()
                yield [*found, Place("real control plane", Path(given), context, other)]
        finally:
            process.down(directory)


@contextmanager
def _kubelet(kubeconfig: str) -> Iterator[str]:
    """Simulated kubelets for a control plane that has none; gives the name of its context."""
    import yaml

    context = str(yaml.safe_load(Path(kubeconfig).read_text())["current-context"])
    command = [sys.executable, "-m", "kubetwin.kubelet", "--kubeconfig", kubeconfig, "--context", context]
    kubelet = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert kubelet.stdout
    try:
        if b"registered" not in kubelet.stdout.readline():
            raise Failed("the simulated kubelets did not start")
        yield context
    finally:
        kubelet.terminate()
        kubelet.wait(30)
        kubelet.stdout.close()
