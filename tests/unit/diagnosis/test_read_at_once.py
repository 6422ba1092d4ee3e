# SPDX-License-Identifier: Apache-2.0
"""What a diagnosis asks for side by side: how often, and never one after the other for each failing workload."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from a_namespace import EVENTS, NS, Namespace, Scene

from backout.cluster.port import Resource

WORKLOADS = 30
SPEC = {"containers": [{"name": "app", "image": "registry.example/app:2"}]}


class Watched(Namespace):
    """Counts what is under way. Events arrive only when all logs were asked for, so that neither may wait for the other."""

    wanted = WORKLOADS

    def begin(self) -> None:
        self.asked: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.logs_asked = asyncio.Event()

    async def logs(self, pod: str, namespace: str, container: str = "", **more: Any) -> str:
        self.asked[pod.rpartition("-")[0]] += 1
        if sum(self.asked.values()) == self.wanted:
            self.logs_asked.set()
        return str(await self._among("logs", super().logs(pod, namespace, container, **more)))

    async def fold(self, type: Any, resource: Resource, fold: Any, namespace: str = "", **more: Any) -> list[Any]:
        if resource == EVENTS:
            async with asyncio.timeout(5):
                await self.logs_asked.wait()
        return await super().fold(type, resource, fold, namespace, **more)

    async def list_all(self, resource: Resource, namespace: str = "", **more: Any) -> list[Any]:
        return list(await self._among("lists", super().list_all(resource, namespace, **more)))

    async def _among(self, what: str, work: Any) -> Any:
        self.under_way[what] += 1
        self.most[what] = max(self.most[what], self.under_way[what])
        try:
            # Long enough for everything that waits for nothing to be asked meanwhile.
            for _ in range(20):
                await asyncio.sleep(0)
            return await work
        finally:
            self.under_way[what] -= 1


def watched(folder: Path) -> tuple[Scene, Watched]:
    scene = Scene(folder)
    cluster = Watched()
    cluster.begin()
    scene.cluster = cluster
    return scene, cluster


def test_logs_are_read_side_by_side_one_for_each_workload_and_beside_the_events(tmp_path: Path) -> None:
    scene, cluster = watched(tmp_path)
    for number in range(WORKLOADS):
        scene.workload(f"w{number:02d}", SPEC, replicas=3, ready=0, logs="it ends here")
    symptoms = [symptom for problem in scene.problems().values() for symptom in problem.symptoms]
    names = {f"w{number:02d}" for number in range(WORKLOADS)}
    assert {symptom.ref.name for symptom in symptoms} == names
    assert cluster.asked == dict.fromkeys(names, 1)
    assert cluster.most["logs"] == WORKLOADS
    said = [evidence.data["lines"] for symptom in symptoms for evidence in symptom.evidence if evidence.source == "log"]
    assert said == [["it ends here"]] * WORKLOADS


def test_lists_that_need_nothing_of_each_other_are_read_side_by_side(tmp_path: Path) -> None:
    scene, cluster = watched(tmp_path)
    cluster.wanted = 1
    scene.workload("web", SPEC, replicas=1, ready=0, logs="it ends here")
    scene.service("web", pods=1)
    assert list(scene.problems(NS)) == ["deployment/web"]
    assert cluster.most["lists"] >= 5
