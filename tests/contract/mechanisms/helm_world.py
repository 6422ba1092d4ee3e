# SPDX-License-Identifier: Apache-2.0
"""A small chart, a real helm of either major version, and the mechanism as a run would call it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cluster_harness import Cluster as Harness

from backout.cluster.client import KubernetesCluster, connect
from backout.mechanisms.helm.mechanism import HelmMechanism
from backout.mechanisms.port import PLAIN, Draft, Options, StepOutcome
from backout.model.message import Message
from backout.model.part import Step
from backout.model.revision import Revision
from backout.model.target import ObjectRef, Target
from backout.tools.locate import locate

T = TypeVar("T")
RELEASE = "shop"
BAD = "crash-exit2"
"""In an image's tag this makes the simulated kubelet crash-loop the container with exit code 2."""

CHART = """apiVersion: v2
name: tiny-shop
version: 1.2.3-rc.1
"""
VALUES = """tag: "1.0"
web: "1.0"
claim: 1Gi
service: db
mode: plain
extra: false
"""
TEMPLATES = """apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: {{ .Values.mode | quote }}}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Values.service }}}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{port: 80}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: {{ .Values.service }}
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: registry.example/db:{{ .Values.tag }}
        env: [{name: DB_PASSWORD, value: hunter2}]
        ports: [{containerPort: 80}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: {{ .Values.claim }} }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: "registry.example/web:{{ .Values.web }}"}]
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
data: {a: "1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
data: {a: "1"}
{{- end }}
"""


class Context:
    """What an effect gets from a run."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self.cluster = cluster
        self.run = "contract"
        self.again = False
        self.guards = 0
        self.said: list[str] = []

    def within(self, refs: Iterable[ObjectRef]) -> None:
        """Everything is in reach."""

    async def guard(self) -> None:
        self.guards += 1

    def progress(self, message: Message, **data: Any) -> None:
        self.said.append(str(message))


class World:
    """One release in one namespace of the cluster under test."""

    def __init__(self, harness: Harness, namespace: str, helm: str, major: int, folder: Path) -> None:
        # Helm 4's own wait gives up at the first crash; the older one waits to the end of its time.
        self.waiting = "--wait=legacy" if major == 4 else "--wait"
        self.harness, self.namespace, self.helm_path = harness, namespace, helm
        self.chart = folder / "chart"
        (self.chart / "templates").mkdir(parents=True)
        (self.chart / "Chart.yaml").write_text(CHART)
        (self.chart / "values.yaml").write_text(VALUES)
        (self.chart / "templates" / "all.yaml").write_text(TEMPLATES)
        self.env = {**os.environ, "KUBECONFIG": str(harness.kubeconfig), "HOME": str(folder)}
        self.target = Target("helm", RELEASE, namespace, "under-test")

    def arguments(self, *words: str) -> list[str]:
        context = ["--kube-context", self.harness.context] if self.harness.context else []
        return [self.helm_path, *words, "--namespace", self.namespace, *context]

    def helm(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            self.arguments(*words), env=self.env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + done.stderr

    def install(self, **values: str) -> None:
        self.helm("install", RELEASE, str(self.chart), *sets(values))

    def upgrade(self, *flags: str, check: bool = True, **values: str) -> None:
        self.helm("upgrade", RELEASE, str(self.chart), *flags, *sets(values), check=check)

    def killed(self, until: Callable[[], bool], *words: str) -> None:
        """Starts helm, and kills it as soon as ``until`` holds."""
        running = subprocess.Popen(
            self.arguments(*words), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait(lambda: until() or running.poll() is not None, 60, "helm to get that far")
            assert running.poll() is None, "helm ended before it could be killed"
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait()

    def statuses(self) -> list[str]:
        path = f"/api/v1/namespaces/{self.namespace}/secrets?labelSelector=owner%3Dhelm%2Cname%3D{RELEASE}"
        found = [item["metadata"]["labels"] for item in self.harness.get(path).ok()["items"]]
        return [labels["status"] for labels in sorted(found, key=lambda labels: int(labels["version"]))]

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.harness.get(f"/api/v1/namespaces/{self.namespace}/pods").ok()["items"]
        return found

    def healthy(self) -> bool:
        """All four pods are ready at one revision of each workload."""
        db = self.harness.get(f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/db").ok()
        web = self.harness.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/web").ok()
        return all(
            obj["status"].get("observedGeneration") == obj["metadata"]["generation"]
            and obj["status"].get("readyReplicas") == obj["status"].get("updatedReplicas") == 2
            and obj["status"].get("replicas") == 2
            for obj in (db, web)
        ) and db["status"].get("currentRevision") == db["status"].get("updateRevision")

    def until_healthy(self) -> None:
        wait(self.healthy, 120, "the release to be healthy")

    def until_crashing(self, name: str = "db-1") -> None:
        def crashing() -> bool:
            return any(
                status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
                for pod in self.pods()
                if pod["metadata"]["name"].startswith(name)
                for status in pod.get("status", {}).get("containerStatuses", [])
            )

        wait(crashing, 120, f"{name} to crash-loop")

    def live(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.harness.get(path.format(ns=self.namespace)).ok()
        return found

    def use(self, work: Callable[[KubernetesCluster], Awaitable[T]]) -> T:
        """Runs ``work`` with the port connected, as one command of ours would."""

        async def main() -> T:
            async with (
                asyncio.timeout(600),
                connect(str(self.harness.kubeconfig), self.harness.context or "", name="under-test") as cluster,
            ):
                return await work(cluster)

        return asyncio.run(main())

    def history(self) -> list[Revision]:
        async def work(cluster: KubernetesCluster) -> list[Revision]:
            return list((await HelmMechanism().read(cluster, self.target)).revisions)

        return self.use(work)

    def draft(self, number: int, options: Options = PLAIN) -> Draft:
        def mine(revisions: Sequence[Revision]) -> list[Revision]:
            return [revision for revision in revisions if revision.number == number]

        async def work(cluster: KubernetesCluster) -> Draft:
            reading = await HelmMechanism().read(cluster, self.target, mine, options)
            return reading.draft(mine(reading.revisions)[0])

        return self.use(work)

    def steps(self, number: int) -> list[Step]:
        return list(self.draft(number).steps)

    def execute(self, step: Step) -> tuple[StepOutcome, Context]:
        async def work(cluster: KubernetesCluster) -> tuple[StepOutcome, Context]:
            context = Context(cluster)
            return await HelmMechanism().step_kinds()[step.action].effect(context, step), context

        return self.use(work)


def compensation(step: Step) -> Step:
    """The step that takes ``step`` back, as an undo makes it."""
    assert step.compensation is not None
    return Step(
        id="undo",
        action=step.compensation.action,
        target=step.target,
        title=step.title,
        params=step.compensation.params,
    )


def sets(values: dict[str, str]) -> list[str]:
    return [
        part
        for name, value in values.items()
        for part in ("--set-string" if name != "extra" else "--set", f"{name}={value}")
    ]


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)


def find(major: int) -> str | None:
    """A helm of that major version: one in PATH, or a pinned one in the tool folder."""
    for name in (f"helm{major}", "helm"):
        path = shutil.which(name)
        if path and f"v{major}." in subprocess.run([path, "version", "--short"], capture_output=True, text=True).stdout:
            return path
    found = asyncio.run(locate("helm", major))
    return found.path if found and found.major == major else None
