# SPDX-License-Identifier: Apache-2.0
"""Scenario A2 on an embedded cluster: `backout run` is killed from outside at each kind of event, then resumed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.tools import pinned
from kubetwin import process
from kubetwin.client import Api
from kubetwin.kinds import LEASES
from kubetwin.lab import helm_scenarios
from kubetwin.lab.behaviour import Images
from kubetwin.lab.builder import Lab
from kubetwin.transport import HttpTransport

NS = "monitoring"
REPLACE = "replace-.*thanos-receive"
POINTS = [
    ("run-started", ""),
    ("lease-acquired", ""),
    ("snapshot", ""),
    ("captured", ""),
    ("step-started", "rollback"),
    ("step-progress", "rollback"),
    ("step-done", "rollback"),
    ("step-started", REPLACE),
    ("step-progress", REPLACE),
    ("step-done", REPLACE),
    ("step-started", "wait-.*thanos-receive"),
    ("soak", ""),
    ("check", ""),
    ("verdict", ""),
    ("run-ended", ""),
]


@dataclass
class World:
    kubeconfig: Path
    environment: dict[str, str]
    helm: Path

    def lab(self) -> Lab:
        api = Api(HttpTransport.from_kubeconfig(str(self.kubeconfig), "cluster-01"), user_agent="test")
        return Lab(
            api, helm=self.helm, kubeconfig=str(self.kubeconfig), context="cluster-01", namespace=NS, images=Images()
        )

    def backout(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **self.environment,
            "BACKOUT_STATE": str(folder / "state.db"),
            "BACKOUT_DATA": str(folder / "data"),
        }
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "backout.cli.main",
                *arguments,
                "--kubeconfig",
                str(self.kubeconfig),
                "--context",
                "cluster-01",
                "-n",
                NS,
                "--config",
                str(folder / "backout.yaml"),
                "-o",
                "json",
            ],
            env=environment,
            cwd=folder,
            stdout=(folder / "out").open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One embedded cluster with the stack, healthy at its second revision."""
    helm = asyncio.run(pinned())["helm4"]
    with tempfile.TemporaryDirectory(prefix="backout-a2-") as folder:
        directory = Path(folder) / "twin"
        twin = process.up(
            directory, ("cluster-01",), kubelet={"start_delay": 0.2, "backoff_initial": 1.0, "backoff_max": 4.0}
        )
        try:
            environment = {**os.environ, "HOME": folder, "PATH": f"{helm.parent}:{os.environ['PATH']}"}
            environment["BACKOUT_HELM"] = str(helm)
            made = World(twin.kubeconfig, environment, helm)
            in_lab(made, helm_scenarios.two_good)
            yield made
        finally:
            process.down(directory)


def in_lab(world: World, action: Any) -> Any:
    async def main() -> Any:
        lab = world.lab()
        try:
            return await action(lab)
        finally:
            await lab.api.close()

    return asyncio.run(main())


async def look(lab: Lab) -> dict[str, Any]:
    leases = (await lab.api.list(LEASES, NS))["items"]
    history = json.loads(await lab.helm("history", "thanos", "-o", "json"))
    return {
        "leases": [lease["metadata"]["name"] for lease in leases],
        "revisions": [(entry["revision"], entry["status"], entry["description"]) for entry in history],
    }


def killed_at(folder: Path, running: subprocess.Popen[str], kind: str, step: str) -> str:
    """Waits for an event and kills; the id of the run."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        with SqliteRunStore(folder / "state.db", create=False) as store:
            for summary in store.summaries(1):
                if any(event.type == kind and re.fullmatch(step, event.step) for event in store.events(summary.id)):
                    running.send_signal(signal.SIGKILL)
                    running.wait()
                    return summary.id
        if running.poll() is not None:
            raise AssertionError(f"ended before {kind} {step}: {(folder / 'out').read_text()}")
        time.sleep(0.002)
    running.kill()
    raise AssertionError(f"never came to {kind} {step}")


@pytest.mark.parametrize(
    ("kind", "step"), POINTS, ids=[f"{kind}-{step.partition('-')[0]}".strip("-") for kind, step in POINTS]
)
def test_killed_then_resumed(world: World, tmp_path: Path, kind: str, step: str) -> None:
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 1}\n")
    in_lab(world, helm_scenarios.crash_statefulset)
    before = in_lab(world, look)["revisions"]

    running = world.backout(tmp_path, "run", "helm/thanos", "--yes")
    run = killed_at(tmp_path, running, kind, step)
    resumed = world.backout(tmp_path, "resume", run)
    resumed.wait(timeout=600)
    said = (tmp_path / "out").read_text()

    with SqliteRunStore(tmp_path / "state.db", create=False) as store:
        found, events = store.get(run), store.events(run)
        assert store.owners.orphans() == [] or kind == "run-ended"
    assert found.state == "recovered", said
    if kind != "run-ended":
        assert resumed.returncode == 0, said
    for planned in found.operation.parts[0].steps:
        assert sum(e.type == "step-done" and e.step == planned.id for e in events) == 1, planned.id
    told = [e.data["snapshot"] for e in events if e.type == "snapshot"]
    listing = world.backout(tmp_path, "snapshot", "list")
    assert listing.wait(timeout=600) == 0
    kept = json.loads((tmp_path / "out").read_text())["items"]
    # The namespace was kept once, as it was before the first write.
    assert [(item["id"], item["run"], item["incident"]) for item in kept] == [(told[0], run, True)]
    assert len(told) == 1
    after = in_lab(world, look)
    # Nothing is left behind, and Helm was asked for one new revision, not two.
    assert after["leases"] == []
    new = after["revisions"][-1]
    assert new[0] == before[-1][0] + 1
    assert new[1] == "deployed"
