# SPDX-License-Identifier: Apache-2.0
"""A twin of the tests' own, in its own process, and the simulated kubelet for a control plane without nodes."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from cluster_harness.http import Cluster, connect
from kubetwin.kubelet.settings import KubeletSettings


def _end_with_parent() -> None:
    """On Linux: a test worker that is killed leaves nothing behind."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextlib.contextmanager
def process(arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program of ours that runs until the end of the block."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
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
    end = time.monotonic() + 240
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
    with process(["kubetwin.daemon", str(folder)], log) as running:
        _wait_for(kubeconfig, running, log)
        found = connect(kubeconfig, is_twin=True)
        found.reaches_pods = True
        found.compact = lambda: running.send_signal(signal.SIGUSR1)
        try:
            _wait_for_node(found, running, log)
            yield found
        finally:
            found.client.close()


@contextlib.contextmanager
def simulated_kubelet(cluster: Cluster, folders: pytest.TempPathFactory) -> Iterator[None]:
    """Nodes and kubelet for a bare control plane: one for all test workers, as long as one of them needs it."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    base = folders.getbasetemp()
    shared = (base.parent if worker else base) / "kubelet"
    shared.mkdir(exist_ok=True)
    mine, log, pid = shared / f"used-by-{worker or 'main'}", shared / "kubelet.log", shared / "pid"
    arguments = ["kubetwin.kubelet", "--kubeconfig", str(cluster.kubeconfig), "--context", cluster.context]
    if cidr := os.environ.get("BACKOUT_TEST_POD_CIDR"):
        arguments += ["--pod-cidr", cidr]
    with _locked(shared):
        mine.touch()
        if not pid.exists():
            with log.open("wb") as output:
                started = subprocess.Popen(
                    [sys.executable, "-m", *arguments, "--prefix", "contract-", "--ingress"],
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            pid.write_text(str(started.pid))
            _wait_for_node(cluster, started, log)
            _wait_for_text(b"\npods ", started, log)
        cluster.reaches_pods = b"\npods listen in " in log.read_bytes()
    try:
        yield
    finally:
        with _locked(shared):
            mine.unlink()
            if not list(shared.glob("used-by-*")):
                os.kill(int(pid.read_text()), signal.SIGTERM)
                pid.unlink()
                # Nodes that nobody keeps alive would draw pods of later runs.
                for node in cluster.get("/api/v1/nodes").ok()["items"]:
                    if node["metadata"]["name"].startswith("contract-"):
                        cluster.delete(f"/api/v1/nodes/{node['metadata']['name']}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _wait_for_text(text: bytes, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 240
    while text not in log.read_bytes():
        assert running.poll() is None, f"the process ended with {running.returncode}: {log.read_text()[-4000:]}"
        assert time.monotonic() < end, f"{text!r} was not printed: {log.read_text()[-4000:]}"
        time.sleep(0.05)


def _wait_for_node(cluster: Cluster, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 240
    while not cluster.get("/api/v1/nodes").ok()["items"]:
        assert running.poll() is None, f"the process ended with {running.returncode}: {log.read_text()[-4000:]}"
        assert time.monotonic() < end, f"no node appeared: {log.read_text()[-4000:]}"
        time.sleep(0.1)
