# SPDX-License-Identifier: Apache-2.0
"""A twin of the tests' own, in its own process, and the simulated kubelet for a control plane without nodes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from backout.twin.kubelet.settings import KubeletSettings
from cluster_harness.http import Cluster, connect


@contextlib.contextmanager
def process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program of ours that runs until the end of the block."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def _wait_for(path: Path, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert running.poll() is None, f"the twin ended with {running.returncode}: {log.read_text()[-4000:]}"
        assert time.monotonic() < end, f"the twin did not start: {log.read_text()[-4000:]}"
        time.sleep(0.05)


@contextlib.contextmanager
def twin(folder: Path) -> Iterator[Cluster]:
    """A fresh twin with controllers, scheduler and two simulated nodes."""
    kubeconfig, log = folder / "kubeconfig", folder / "twin.log"
    spec = {"clusters": ["contract"], "keep": False, "kubelet": asdict(KubeletSettings.quick())}
    (folder / "spec.json").write_text(json.dumps(spec))
    with process(["backout.twin.daemon", str(folder)], log) as running:
        _wait_for(kubeconfig, running, log)
        found = connect(kubeconfig, is_twin=True)
        try:
            _wait_for_node(found, running, log)
            yield found
        finally:
            found.client.close()


@contextlib.contextmanager
def simulated_kubelet(cluster: Cluster, folders: pytest.TempPathFactory) -> Iterator[None]:
    """Nodes and kubelet for a bare control plane; each test worker brings nodes of its own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    log = folders.mktemp("kubelet") / "kubelet.log"
    arguments = ["backout.twin.kubelet", "--kubeconfig", str(cluster.kubeconfig), "--context", cluster.context]
    with process([*arguments, "--prefix", f"contract-{worker}-"], log) as running:
        try:
            _wait_for_node(cluster, running, log)
            yield
        finally:
            # Nodes that nobody keeps alive would draw pods of later runs.
            for node in cluster.get("/api/v1/nodes").ok()["items"]:
                if node["metadata"]["name"].startswith(f"contract-{worker}-"):
                    cluster.delete(f"/api/v1/nodes/{node['metadata']['name']}")


def _wait_for_node(cluster: Cluster, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while not cluster.get("/api/v1/nodes").ok()["items"]:
        assert running.poll() is None, f"the process ended with {running.returncode}: {log.read_text()[-4000:]}"
        assert time.monotonic() < end, f"no node appeared: {log.read_text()[-4000:]}"
        time.sleep(0.1)
