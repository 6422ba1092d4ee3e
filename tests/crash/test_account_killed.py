# SPDX-License-Identifier: Apache-2.0
"""A way back that takes a ServiceAccount away, which Helm leaves, is killed at that step, forwards and backwards: the same end."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_a2_killed import killed_at
from test_customs_killed import ended
from test_objects_killed import World

from backout.cluster.client import KubernetesCluster
from backout.cluster.port import DEPLOYMENTS, LEASES, Object
from backout.engine.store.sqlite.runs import SqliteRunStore
from backout.tools import pinned
from kubetwin import process

STEP = "account-deployment-web"
MISSING = "nobody-here"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  progressDeadlineSeconds: 20
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      {{- with .Values.account }}
      serviceAccountName: {{ . }}
      {{- end }}
      containers: [{name: main, image: "registry.example/web:1.0"}]
"""


@dataclasses.dataclass
class Site(World):
    """A namespace of its own in the cluster, with a release in it."""

    chart: Path = Path()

    def helm(self, account: str) -> None:
        told = ["upgrade", "--install", "web", str(self.chart), "--set", f"account={account}"]
        place = ["--kubeconfig", str(self.kubeconfig), "-n", self.namespace, "--create-namespace"]
        done = subprocess.run(
            [self.environment["BACKOUT_HELM"], *told, *place],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def twin() -> Iterator[Site]:
    """One embedded cluster and a chart."""
    helm = asyncio.run(pinned())["helm4"]
    with tempfile.TemporaryDirectory(prefix="backout-account-") as folder:
        directory = Path(folder) / "twin"
        found = process.up(directory, ("cluster-01",), kubelet={"start_delay": 0.2})
        try:
            chart = Path(folder) / "chart"
            (chart / "templates").mkdir(parents=True)
            (chart / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
            (chart / "templates" / "web.yaml").write_text(DEPLOYMENT)
            environment = {**os.environ, "HOME": folder, "BACKOUT_HELM": str(helm)}
            yield Site(found.kubeconfig, environment, chart=chart)
        finally:
            process.down(directory)


@pytest.fixture
def site(twin: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """Healthy at its first revision, and refused its pods at the second: the account does not exist."""
    made = dataclasses.replace(twin, namespace=re.sub(r"[^a-z]+", "-", request.node.name).strip("-"))
    (tmp_path / "backout.yaml").write_text("apiVersion: backout.dev/v1\nverify: {soak: 1}\n")
    made.helm("")
    made.use(lambda cluster: ready_in(cluster, made.namespace))
    made.helm(MISSING)
    return made


async def ready_in(cluster: KubernetesCluster, namespace: str) -> None:
    while True:
        obj = await cluster.get(DEPLOYMENTS, "web", namespace)
        status = obj.get("status") or {}
        if status.get("readyReplicas") == obj["spec"]["replicas"] == status.get("updatedReplicas"):
            return
        await asyncio.sleep(0.1)


async def look(cluster: KubernetesCluster, namespace: str) -> dict[str, Any]:
    obj: Object = await cluster.get(DEPLOYMENTS, "web", namespace)
    spec = obj["spec"]["template"]["spec"]
    return {
        "account": (spec.get("serviceAccountName"), spec.get("serviceAccount")),
        "leases": [lease["metadata"]["name"] for lease in await cluster.list_all(LEASES, namespace)],
    }


def steps_of(folder: Path, run: str) -> list[str]:
    with SqliteRunStore(folder / "state.db", create=False) as store:
        return [step.action for step in store.get(run).operation.parts[0].steps]


@pytest.mark.parametrize("kind", ["step-started", "step-done"])
def test_killed_then_resumed(site: Site, tmp_path: Path, kind: str) -> None:
    running = site.backout(tmp_path, "run", "helm/web", "--yes")
    run = killed_at(tmp_path, running, kind, STEP)
    ended(site, tmp_path, run, running.returncode)

    assert "workload.set-account" in steps_of(tmp_path, run)
    after = site.use(lambda cluster: look(cluster, site.namespace))
    assert after == {"account": (None, None), "leases": []}
    site.use(lambda cluster: ready_in(cluster, site.namespace))


@pytest.mark.parametrize("kind", ["step-started", "step-done"])
def test_an_undo_that_is_killed(site: Site, tmp_path: Path, kind: str) -> None:
    site.told(tmp_path, "run", "helm/web", "--yes")
    with SqliteRunStore(tmp_path / "state.db", create=False) as store:
        done = store.summaries(1)[0].id

    running = site.backout(tmp_path, "undo", done, "--yes")
    undo = killed_at(tmp_path, running, kind, f"undo-{STEP}")
    assert undo != done
    ended(site, tmp_path, undo, running.returncode)

    after = site.use(lambda cluster: look(cluster, site.namespace))
    assert after == {"account": (MISSING, MISSING), "leases": []}
