# SPDX-License-Identifier: Apache-2.0
"""Rollouts go by their steps while their controller runs; back to the stable template they go at once."""

from __future__ import annotations

import asyncio
from typing import Any

from twin_cluster import NS, Cluster, cluster, container, workload

from kubetwin.client import JSON_PATCH, MERGE_PATCH, Obj, Resource
from kubetwin.controllers.rollout_math import HASH, REVISION
from kubetwin.kinds import CRDS, DEPLOYMENTS, REPLICASETS

ROLLOUTS = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout")
STEPS = [{"setWeight": 50}, {"pause": {}}]


def definition() -> Obj:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"kind": "Rollout", "plural": "rollouts", "singular": "rollout", "listKind": "RolloutList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def rollout(image: str, **strategy: Any) -> Obj:
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": NS},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "shop"}},
            "strategy": strategy or {"canary": {"steps": STEPS}},
            "template": template,
        },
    }


async def started(c: Cluster) -> None:
    await c.api.create(CRDS, definition())
    image = container("quay.io/argoproj/argo-rollouts:v1.8.3")
    await c.api.create(DEPLOYMENTS, workload("Deployment", "argo-rollouts", image, replicas=1))


async def until(c: Cluster, phase: str, message: str = "") -> Obj:
    async with asyncio.timeout(600):
        while True:
            found = await c.api.get(ROLLOUTS, "shop", NS)
            status = found.get("status") or {}
            seen = str(found["metadata"]["generation"]) == status.get("observedGeneration")
            if seen and status.get("phase") == phase and message in status.get("message", ""):
                return found
            await asyncio.sleep(0.05)


async def image(c: Cluster, name: str) -> None:
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": name}]
    await c.api.patch(ROLLOUTS, "shop", patch, NS, content_type=JSON_PATCH)


def sets(c: Cluster) -> dict[str, Obj]:
    found = [one for one in c.plane.informers.of(REPLICASETS).all() if one["metadata"]["name"].startswith("shop-")]
    return {one["spec"]["template"]["spec"]["containers"][0]["image"]: one for one in found}


async def undo(c: Cluster, name: str) -> None:
    """As `kubectl argo rollouts undo` does it."""
    template = dict(sets(c)[name]["spec"]["template"])
    labels = {k: v for k, v in template["metadata"]["labels"].items() if k != HASH}
    template["metadata"] = {**template["metadata"], "labels": labels}
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    await c.api.patch(ROLLOUTS, "shop", patch, NS, content_type=JSON_PATCH)


def test_without_its_controller_nothing_is_made_of_it() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(CRDS, definition())
            await asyncio.sleep(0.2)
            await c.api.create(ROLLOUTS, rollout("shop:1"))
            await asyncio.sleep(0.3)
            assert not sets(c) and "status" not in await c.api.get(ROLLOUTS, "shop", NS)

    asyncio.run(main())


def test_a_canary_stops_at_its_pause_and_goes_on_when_it_is_promoted() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            await c.api.create(ROLLOUTS, rollout("shop:1"))
            first = await until(c, "Healthy")
            await image(c, "shop:2")
            held = await until(c, "Paused", "CanaryPauseStep")
            assert held["status"]["stableRS"] == first["status"]["stableRS"] != held["status"]["currentPodHash"]
            assert {name: one["spec"]["replicas"] for name, one in sets(c).items()} == {"shop:1": 1, "shop:2": 1}
            await c.api.patch(
                ROLLOUTS,
                "shop",
                {"status": {"pauseConditions": None}},
                NS,
                content_type=MERGE_PATCH,
                subresource="status",
            )
            done = await until(c, "Healthy")
            assert done["status"]["stableRS"] == held["status"]["currentPodHash"]

    asyncio.run(main())


def test_a_bad_canary_leaves_the_stable_pods_and_its_former_template_is_healthy_at_once() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            await c.api.create(ROLLOUTS, rollout("shop:1"))
            await until(c, "Healthy")
            await image(c, "shop:2-crash-exit3")
            await until(c, "Progressing", "more replicas")
            await undo(c, "shop:1")
            await until(c, "Healthy")
            await asyncio.sleep(0.2)
            found = sets(c)
            assert {name: one["spec"]["replicas"] for name, one in found.items()} == {
                "shop:1": 2,
                "shop:2-crash-exit3": 0,
            }
            assert found["shop:1"]["metadata"]["annotations"][REVISION] == "3"

    asyncio.run(main())


def test_an_aborted_one_is_degraded_until_its_template_changes() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            await c.api.create(ROLLOUTS, rollout("shop:1"))
            await until(c, "Healthy")
            await image(c, "shop:2-crash-exit3")
            await until(c, "Progressing", "more replicas")
            await c.api.patch(
                ROLLOUTS, "shop", {"status": {"abort": True}}, NS, content_type=MERGE_PATCH, subresource="status"
            )
            await until(c, "Degraded", "RolloutAborted: Rollout aborted update to revision 2")
            await undo(c, "shop:1")
            done = await until(c, "Healthy")
            assert not done["status"].get("abort")

    asyncio.run(main())


def test_blue_green_switches_when_all_new_pods_are_available() -> None:
    async def main() -> None:
        async with cluster() as c:
            await started(c)
            await c.api.create(ROLLOUTS, rollout("shop:1", blueGreen={}))
            await until(c, "Healthy")
            await image(c, "shop:2")
            done = await until(c, "Healthy")
            assert done["status"]["blueGreen"]["activeSelector"] == done["status"]["stableRS"]

    asyncio.run(main())
