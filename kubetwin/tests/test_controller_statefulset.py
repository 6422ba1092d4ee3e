# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

from twin_cluster import NS, Cluster, cluster, container, image_patch, workload

from kubetwin.client import JSON_PATCH, Obj
from kubetwin.kinds import CONTROLLERREVISIONS, PODS, PVCS, STATEFULSETS

GOOD = "registry.example/db:1.0.0"
BETTER = "registry.example/db:1.1.0"
BAD = "registry.example/db:2.0.0-crash-exit3"


def status(c: Cluster, name: str = "db") -> Obj:
    found = c.get(STATEFULSETS, name)
    return (found or {}).get("status") or {}


def settled(c: Cluster, name: str = "db") -> bool:
    found = c.get(STATEFULSETS, name)
    if found is None:
        return False
    s, wanted = status(c, name), found["spec"]["replicas"]
    return (
        s.get("observedGeneration") == found["metadata"]["generation"]
        and s.get("currentRevision") == s.get("updateRevision")
        and all(s.get(k, 0) == wanted for k in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"))
    )


async def set_image(c: Cluster, image: str) -> None:
    await c.api.patch(STATEFULSETS, "db", image_patch(image), NS, content_type=JSON_PATCH)


def waiting(pod: Obj | None) -> str:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
    return str(((statuses[0].get("state") or {}).get("waiting") or {}).get("reason"))


def test_identity_order_and_claims() -> None:
    async def main() -> None:
        async with cluster() as c:
            claim = {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
            await c.api.create(
                STATEFULSETS, workload("StatefulSet", "db", container(GOOD), volumeClaimTemplates=[claim])
            )
            await c.until(STATEFULSETS, lambda: settled(c))
            pods = c.pods(app="db")
            assert [p["metadata"]["name"] for p in pods] == ["db-0", "db-1", "db-2"]
            labels = pods[1]["metadata"]["labels"]
            assert labels["statefulset.kubernetes.io/pod-name"] == "db-1"
            assert labels["apps.kubernetes.io/pod-index"] == "1"
            assert labels["controller-revision-hash"] == status(c)["updateRevision"]
            assert pods[1]["spec"]["hostname"] == "db-1"
            assert pods[1]["spec"]["subdomain"] == "db"
            began = [p["metadata"]["resourceVersion"] for p in pods]
            assert len(set(began)) == 3
            volume = next(v for v in pods[1]["spec"]["volumes"] if v["name"] == "data")
            assert volume["persistentVolumeClaim"]["claimName"] == "data-db-1"
            await c.until(PVCS, lambda: c.get(PVCS, "data-db-2")["status"]["phase"] == "Bound")  # type: ignore[index]
            seen = await c.events("db")
            assert ("SuccessfulCreate", "Create Claim data-db-0 Pod db-0 in StatefulSet db success") in seen
            assert ("SuccessfulCreate", "Create Pod db-0 in StatefulSet db successful") in seen

    asyncio.run(main())


def test_rollback_of_a_stuck_ordered_set_hangs_until_the_pod_is_deleted() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(STATEFULSETS, workload("StatefulSet", "db", container(GOOD)))
            await c.until(STATEFULSETS, lambda: settled(c))
            good = status(c)["updateRevision"]
            await set_image(c, BAD)
            await c.until(PODS, lambda: waiting(c.get(PODS, "db-2")) == "CrashLoopBackOff")
            bad = status(c)["updateRevision"]
            assert bad != good
            assert c.get(PODS, "db-2")["metadata"]["labels"]["controller-revision-hash"] == bad  # type: ignore[index]
            await set_image(c, GOOD)
            await c.until(STATEFULSETS, lambda: status(c).get("updateRevision") == good)
            # The same revision again, with a higher number.
            found = {r["metadata"]["name"]: r["revision"] for r in c.plane.informers.of(CONTROLLERREVISIONS).all()}
            assert found == {good: 3, bad: 2}
            # It stays on the bad revision, crash after crash: nothing in the set looks further than this pod.
            before = c.get(PODS, "db-2")
            assert before is not None
            restarts = before["status"]["containerStatuses"][0]["restartCount"]

            def later() -> bool:
                pod = c.get(PODS, "db-2") or {}
                return bool(pod["status"]["containerStatuses"][0]["restartCount"] >= restarts + 2)

            await c.until(PODS, later)
            now = c.get(PODS, "db-2")
            assert now is not None
            assert now["metadata"]["uid"] == before["metadata"]["uid"]
            assert now["metadata"]["labels"]["controller-revision-hash"] == bad
            assert status(c)["readyReplicas"] == 2
            assert status(c)["observedGeneration"] == 3
            await c.api.delete(PODS, "db-2", NS, uid=before["metadata"]["uid"])
            await c.until(STATEFULSETS, lambda: settled(c))
            assert {p["metadata"]["labels"]["controller-revision-hash"] for p in c.pods(app="db")} == {good}

    asyncio.run(main())


def test_parallel_set_recovers_by_itself() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(
                STATEFULSETS, workload("StatefulSet", "db", container(GOOD), podManagementPolicy="Parallel")
            )
            await c.until(STATEFULSETS, lambda: settled(c))
            good = status(c)["updateRevision"]
            await set_image(c, BAD)
            await c.until(PODS, lambda: waiting(c.get(PODS, "db-2")) == "CrashLoopBackOff")
            await set_image(c, GOOD)
            await c.until(STATEFULSETS, lambda: settled(c) and status(c)["updateRevision"] == good)

    asyncio.run(main())


def test_partition_and_on_delete_hold_back() -> None:
    async def main() -> None:
        async with cluster() as c:
            rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
            await c.api.create(STATEFULSETS, workload("StatefulSet", "db", container(GOOD), updateStrategy=rolling))
            await c.until(STATEFULSETS, lambda: settled(c))
            await set_image(c, BETTER)
            await c.until(
                STATEFULSETS, lambda: status(c).get("updatedReplicas") == 1 and status(c).get("readyReplicas") == 3
            )
            images = [p["spec"]["containers"][0]["image"] for p in c.pods(app="db")]
            assert images == [GOOD, GOOD, BETTER]
            # A pod below the partition comes back as it was.
            await c.api.delete(PODS, "db-0", NS)
            uid = c.pods(app="db")[0]["metadata"]["uid"]
            await c.until(PODS, lambda: c.get(PODS, "db-0") and c.get(PODS, "db-0")["metadata"]["uid"] != uid)  # type: ignore[index]
            assert c.get(PODS, "db-0")["spec"]["containers"][0]["image"] == GOOD  # type: ignore[index]
            await c.api.patch(
                STATEFULSETS, "db", {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}, NS
            )
            await set_image(c, "registry.example/db:1.2.0")
            generation = 4
            await c.until(STATEFULSETS, lambda: status(c).get("observedGeneration") == generation)
            assert [p["spec"]["containers"][0]["image"] for p in c.pods(app="db")][2] == BETTER

    asyncio.run(main())


def test_scale_down_from_the_top_and_retention() -> None:
    async def main() -> None:
        async with cluster() as c:
            claim = {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
            policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
            await c.api.create(
                STATEFULSETS,
                workload(
                    "StatefulSet",
                    "db",
                    container(GOOD),
                    volumeClaimTemplates=[claim],
                    persistentVolumeClaimRetentionPolicy=policy,
                ),
            )
            await c.until(STATEFULSETS, lambda: settled(c))
            await c.api.patch(STATEFULSETS, "db", {"spec": {"replicas": 1}}, NS)
            await c.until(PODS, lambda: [p["metadata"]["name"] for p in c.pods(app="db")] == ["db-0"])
            await c.until(PVCS, lambda: c.get(PVCS, "data-db-2") is None and c.get(PVCS, "data-db-1") is None)
            assert c.get(PVCS, "data-db-0") is not None
            await c.api.delete(STATEFULSETS, "db", NS)
            await c.until(PVCS, lambda: c.get(PVCS, "data-db-0") is None)

    asyncio.run(main())
