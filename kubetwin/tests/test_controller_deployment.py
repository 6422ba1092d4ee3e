# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from typing import Any

from twin_cluster import NS, Cluster, cluster, container, image_patch, workload

from kubetwin.client import JSON_PATCH, MERGE_PATCH, Obj
from kubetwin.kinds import DEPLOYMENTS, PODS, REPLICASETS

GOOD = "registry.example/app:1.0.0"
BETTER = "registry.example/app:1.1.0"
BAD = "registry.example/app:2.0.0-crash-exit3"


def condition(obj: Obj | None, kind: str) -> Obj:
    return next((c for c in ((obj or {}).get("status") or {}).get("conditions") or () if c["type"] == kind), {})


def complete(c: Cluster, name: str) -> bool:
    d = c.get(DEPLOYMENTS, name)
    if d is None:
        return False
    status, wanted = d.get("status") or {}, d["spec"]["replicas"]
    return (
        status.get("observedGeneration") == d["metadata"]["generation"]
        and all(
            status.get(k, 0) == wanted for k in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        )
        and condition(d, "Progressing").get("reason") == "NewReplicaSetAvailable"
    )


async def set_image(c: Cluster, name: str, image: str) -> None:
    await c.api.patch(DEPLOYMENTS, name, image_patch(image), NS, content_type=JSON_PATCH)


def sets(c: Cluster) -> dict[str, Obj]:
    """ReplicaSets by revision."""
    found = c.plane.informers.of(REPLICASETS).all()
    return {rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: rs for rs in found}


def test_rollout_rollback_and_history() -> None:
    async def main() -> None:
        async with cluster() as c:
            first = workload("Deployment", "web", container(GOOD))
            first["metadata"]["annotations"] = {"kubernetes.io/change-cause": "first"}
            await c.api.create(DEPLOYMENTS, first)
            await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
            one = sets(c)["1"]
            digest = one["metadata"]["labels"]["pod-template-hash"]
            assert one["metadata"]["name"] == f"web-{digest}"
            assert one["metadata"]["annotations"]["kubernetes.io/change-cause"] == "first"
            assert one["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] == "3"
            assert one["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] == "4"
            assert all(p["metadata"]["labels"]["pod-template-hash"] == digest for p in c.pods())

            await set_image(c, "web", BETTER)
            await c.until(DEPLOYMENTS, lambda: complete(c, "web") and "2" in sets(c))
            # Back to the first template: its ReplicaSet is used again under a new number.
            await set_image(c, "web", GOOD)
            await c.until(DEPLOYMENTS, lambda: complete(c, "web") and "3" in sets(c))
            back = sets(c)["3"]
            assert back["metadata"]["uid"] == one["metadata"]["uid"]
            assert back["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
            assert c.get(DEPLOYMENTS, "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"  # type: ignore[index]
            assert set(sets(c)) == {"2", "3"}
            seen = await c.events("web")
            assert ("ScalingReplicaSet", f"Scaled up replica set {one['metadata']['name']} from 0 to 3") in seen

    asyncio.run(main())


def test_bad_image_keeps_old_pods_and_misses_the_deadline() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(DEPLOYMENTS, workload("Deployment", "web", container(GOOD), progressDeadlineSeconds=2))
            await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
            await set_image(c, "web", BAD)
            counts = {"availableReplicas": 3, "updatedReplicas": 1, "unavailableReplicas": 1}

            def missed_with_old_pods() -> bool:
                found = c.get(DEPLOYMENTS, "web")
                reason = condition(found, "Progressing").get("reason")
                return (
                    bool(found) and reason == "ProgressDeadlineExceeded" and counts.items() <= found["status"].items()
                )

            await c.until(DEPLOYMENTS, missed_with_old_pods)
            d = c.get(DEPLOYMENTS, "web")
            assert condition(d, "Progressing")["status"] == "False"
            assert "has timed out progressing" in condition(d, "Progressing")["message"]
            assert condition(d, "Available")["status"] == "True"
            # The way back scales the broken pod away.
            await set_image(c, "web", GOOD)
            await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
            assert sets(c)["2"]["spec"]["replicas"] == 0

    asyncio.run(main())


def test_recreate_has_no_overlap() -> None:
    async def main() -> None:
        async with cluster(stop_time=0.05) as c:
            most: list[int] = []

            def count(old: Any, new: Any) -> None:
                images = {p["spec"]["containers"][0]["image"] for p in c.pods()}
                most.append(len(images))

            c.plane.informers.of(PODS).add_handler(count)
            await c.api.create(
                DEPLOYMENTS, workload("Deployment", "web", container(GOOD), strategy={"type": "Recreate"})
            )
            await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
            await set_image(c, "web", BETTER)
            await c.until(DEPLOYMENTS, lambda: complete(c, "web") and "2" in sets(c))
            assert max(most) == 1

    asyncio.run(main())


def test_paused_scaling_is_proportional_and_changes_no_template() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(
                DEPLOYMENTS,
                workload(
                    "Deployment",
                    "web",
                    container(GOOD, readinessProbe={"httpGet": {"port": 80}}),
                    replicas=4,
                    strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}},
                ),
            )
            await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
            await set_image(c, "web", "registry.example/app:1.2.0-unready")
            await c.until(REPLICASETS, lambda: "2" in sets(c) and sets(c)["2"]["spec"]["replicas"] == 2)
            await c.api.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}}, NS)
            await c.until(
                DEPLOYMENTS,
                lambda: condition(c.get(DEPLOYMENTS, "web"), "Progressing").get("reason") == "DeploymentPaused",
            )
            await c.api.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 10}}, NS, content_type=MERGE_PATCH)
            await c.until(REPLICASETS, lambda: sum(rs["spec"]["replicas"] for rs in sets(c).values()) == 12)
            assert sets(c)["1"]["spec"]["replicas"] == 8
            assert sets(c)["2"]["spec"]["replicas"] == 4
            await set_image(c, "web", BETTER)
            await c.until(
                DEPLOYMENTS,
                lambda: c.get(DEPLOYMENTS, "web")["status"]["observedGeneration"] == 5,  # type: ignore[index]
            )
            assert set(sets(c)) == {"1", "2"}

    asyncio.run(main())


def test_old_sets_beyond_the_limit_are_removed() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(
                DEPLOYMENTS, workload("Deployment", "web", container(GOOD), replicas=1, revisionHistoryLimit=1)
            )
            for number in range(2, 5):
                await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
                await set_image(c, "web", f"registry.example/app:1.{number}.0")
                await c.until(REPLICASETS, lambda n=str(number): n in sets(c))
            await c.until(REPLICASETS, lambda: set(sets(c)) == {"3", "4"})

    asyncio.run(main())


def test_replicaset_adopts_and_releases_by_labels() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(DEPLOYMENTS, workload("Deployment", "web", container(GOOD), replicas=2))
            await c.until(DEPLOYMENTS, lambda: complete(c, "web"))
            victim = c.pods(app="web")[0]
            await c.api.patch(PODS, victim["metadata"]["name"], {"metadata": {"labels": {"app": "other"}}}, NS)
            await c.until(PODS, lambda: len(c.pods(app="web")) == 2 and len(c.pods(app="other")) == 1)
            await c.until(PODS, lambda: not c.pods(app="other")[0]["metadata"].get("ownerReferences"))
            # With its label back it is adopted, and one pod is too many.
            await c.api.patch(PODS, victim["metadata"]["name"], {"metadata": {"labels": {"app": "web"}}}, NS)
            await c.until(
                PODS,
                lambda: (
                    len(c.pods(app="web")) == 2 and all(p["metadata"].get("ownerReferences") for p in c.pods(app="web"))
                ),
            )

    asyncio.run(main())
