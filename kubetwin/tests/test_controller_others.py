# SPDX-License-Identifier: Apache-2.0
"""Jobs, DaemonSets, volumes, scheduling, endpoints, garbage collection, namespaces."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from twin_cluster import NS, Cluster, cluster, container, image_patch, pod, workload

from kubetwin.client import JSON_PATCH, ApiException, Obj
from kubetwin.controllers.cronjob import Schedule
from kubetwin.kinds import (
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTS,
    ENDPOINTSLICES,
    JOBS,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    PVCS,
    PVS,
    REPLICASETS,
    SERVICEACCOUNTS,
    SERVICES,
)

IMAGE = "registry.example/app:1.0.0"


def condition(obj: Obj | None, kind: str) -> Obj:
    return next((c for c in ((obj or {}).get("status") or {}).get("conditions") or () if c["type"] == kind), {})


def ready(p: Obj | None) -> bool:
    return condition(p, "Ready").get("status") == "True"


def job(name: str, image: str = "registry.example/job:1.0.0", **spec: Any) -> Obj:
    template = {"spec": {"restartPolicy": "Never", "containers": [container(image)]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NS},
        "spec": {"template": template, **spec},
    }


def test_job_completes() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(JOBS, job("work", completions=3, parallelism=2))
            await c.until(JOBS, lambda: condition(c.get(JOBS, "work"), "Complete").get("status") == "True")
            done = c.get(JOBS, "work")
            assert done is not None
            assert done["status"]["succeeded"] == 3
            assert done["status"]["completionTime"]
            assert condition(done, "SuccessCriteriaMet")["reason"] == "CompletionsReached"
            assert "active" not in done["status"]
            assert ("Completed", "Job completed") in await c.events("work")

    asyncio.run(main())


def test_job_fails_at_its_limit_and_expires() -> None:
    async def main() -> None:
        async with cluster() as c:
            bad = job("bad", "registry.example/job:1.0.0-crash-exit2", backoffLimit=0, ttlSecondsAfterFinished=1)
            seen: list[Obj] = []
            c.plane.informers.of(JOBS).add_handler(lambda old, new: seen.append(new) if new else None)
            await c.api.create(JOBS, bad)
            await c.until(JOBS, lambda: seen and c.get(JOBS, "bad") is None)
            failed = condition(seen[-1], "Failed")
            assert (failed["reason"], failed["message"]) == (
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            )
            assert seen[-1]["status"]["failed"] == 1
            await c.until(PODS, lambda: not c.pods())

    asyncio.run(main())


def test_job_deadline() -> None:
    async def main() -> None:
        async with cluster(job_duration=600.0) as c:
            await c.api.create(JOBS, job("slow", activeDeadlineSeconds=1))
            await c.until(JOBS, lambda: condition(c.get(JOBS, "slow"), "Failed").get("reason") == "DeadlineExceeded")
            await c.until(PODS, lambda: not c.pods())

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        ("*/15 * * * *", "2026-01-01T00:01:00", "2026-01-01T00:15:00"),
        ("0 3 * * 1", "2026-01-01T00:00:00", "2026-01-05T03:00:00"),
        ("0 0 31 * *", "2026-02-01T00:00:00", "2026-03-31T00:00:00"),
        ("@daily", "2026-12-31T12:00:00", "2027-01-01T00:00:00"),
        ("5 4 1 * sun", "2026-01-01T05:00:00", "2026-01-04T04:05:00"),
    ],
)
def test_schedules(text: str, after: str, due: str) -> None:
    assert Schedule(text).after(dt.datetime.fromisoformat(after)) == dt.datetime.fromisoformat(due)


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "a b c d e", "5-1 * * * *"])
def test_bad_schedules(text: str) -> None:
    with pytest.raises(ValueError):
        Schedule(text)


def test_daemonset_rolls_node_by_node_and_on_delete_waits() -> None:
    async def main() -> None:
        async with cluster(nodes=3) as c:
            await c.api.create(DAEMONSETS, workload("DaemonSet", "agent", container(IMAGE), replicas=None))

            def updated(generation: int) -> bool:
                status = (c.get(DAEMONSETS, "agent") or {}).get("status") or {}
                return (
                    status.get("observedGeneration") == generation
                    and status.get("updatedNumberScheduled") == 3
                    and status.get("numberAvailable") == 3
                )

            await c.until(DAEMONSETS, lambda: updated(1))
            assert {p["spec"]["nodeName"] for p in c.pods(app="agent")} == {"node-1", "node-2", "node-3"}
            await c.api.patch(
                DAEMONSETS, "agent", image_patch("registry.example/app:1.1.0"), NS, content_type=JSON_PATCH
            )
            await c.until(DAEMONSETS, lambda: updated(2))
            await c.api.patch(
                DAEMONSETS, "agent", {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}, NS
            )
            await c.api.patch(
                DAEMONSETS, "agent", image_patch("registry.example/app:1.2.0"), NS, content_type=JSON_PATCH
            )
            await c.until(DAEMONSETS, lambda: (c.get(DAEMONSETS, "agent") or {})["status"]["observedGeneration"] == 4)
            status = (c.get(DAEMONSETS, "agent") or {})["status"]
            assert status.get("updatedNumberScheduled", 0) == 0
            victim = c.pods(app="agent")[0]["metadata"]["name"]
            await c.api.delete(PODS, victim, NS)
            await c.until(
                DAEMONSETS, lambda: (c.get(DAEMONSETS, "agent") or {})["status"].get("updatedNumberScheduled") == 1
            )

    asyncio.run(main())


def test_bad_daemonset_stops_at_one_node() -> None:
    async def main() -> None:
        async with cluster(nodes=3) as c:
            await c.api.create(DAEMONSETS, workload("DaemonSet", "agent", container(IMAGE), replicas=None))
            await c.until(
                DAEMONSETS, lambda: (c.get(DAEMONSETS, "agent") or {}).get("status", {}).get("numberReady") == 3
            )
            bad = image_patch("registry.example/app:2.0.0-missing")
            await c.api.patch(DAEMONSETS, "agent", bad, NS, content_type=JSON_PATCH)
            await c.until(PODS, lambda: any("ImagePullBackOff" in str(p["status"]) for p in c.pods(app="agent")))
            status = (c.get(DAEMONSETS, "agent") or {})["status"]
            assert status["numberAvailable"] == 2
            assert status["updatedNumberScheduled"] == 1

    asyncio.run(main())


def test_a_daemonset_whose_pods_are_refused_says_so_in_events_and_in_its_status() -> None:
    async def main() -> None:
        async with cluster(nodes=2) as c:
            await c.api.create(DAEMONSETS, workload("DaemonSet", "agent", container(IMAGE), replicas=None))
            await c.until(
                DAEMONSETS, lambda: (c.get(DAEMONSETS, "agent") or {}).get("status", {}).get("numberReady") == 2
            )
            account = [{"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "nobody"}]
            await c.api.patch(DAEMONSETS, "agent", account, NS, content_type=JSON_PATCH)
            await c.event("agent", "FailedCreate", 'serviceaccount "nobody" not found')
            await c.until(DAEMONSETS, lambda: (c.get(DAEMONSETS, "agent") or {})["status"].get("numberReady") == 1)
            status = (c.get(DAEMONSETS, "agent") or {})["status"]
            assert (status["observedGeneration"], status["currentNumberScheduled"]) == (2, 1)

    asyncio.run(main())


def claim(name: str, storage_class: str | None = None) -> Obj:
    spec: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NS},
        "spec": spec,
    }


def test_claims_bind_wait_and_are_protected() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(PVCS, claim("now"))
            await c.until(PVCS, lambda: c.get(PVCS, "now")["status"].get("phase") == "Bound")  # type: ignore[index]
            bound = c.get(PVCS, "now")
            assert bound is not None
            assert bound["spec"]["storageClassName"] == "standard"
            assert bound["status"]["capacity"] == {"storage": "1Gi"}
            await c.api.create(PVCS, claim("later", "standard-wait"))
            await c.event("later", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
            volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "later"}}]
            await c.api.create(PODS, pod("user", container(IMAGE), volumes=volumes))
            await c.until(PODS, lambda: ready(c.get(PODS, "user")))
            assert (c.get(PVCS, "later") or {})["status"]["phase"] == "Bound"
            # In use: the claim stays until the pod is gone.
            await c.api.delete(PVCS, "later", NS)
            await c.until(PVCS, lambda: (c.get(PVCS, "later") or {})["metadata"].get("deletionTimestamp"))
            volume = (c.get(PVCS, "later") or {})["spec"]["volumeName"]
            await c.api.delete(PODS, "user", NS)
            await c.until(PVCS, lambda: c.get(PVCS, "later") is None)
            await c.until(PVS, lambda: c.get(PVS, volume) is None)

    asyncio.run(main())


def test_unschedulable_until_there_is_room() -> None:
    async def main() -> None:
        async with cluster(nodes=2, cpu="4") as c:

            def sized(name: str, cpu: str) -> Obj:
                return pod(name, container(IMAGE, resources={"requests": {"cpu": cpu}}))

            for name in ("a", "b"):
                await c.api.create(PODS, sized(name, "3"))
            await c.until(PODS, lambda: ready(c.get(PODS, "a")) and ready(c.get(PODS, "b")))
            assert {p["spec"]["nodeName"] for p in c.pods()} == {"node-1", "node-2"}
            await c.api.create(PODS, sized("c", "2"))
            await c.until(PODS, lambda: condition(c.get(PODS, "c"), "PodScheduled").get("status") == "False")
            found = condition(c.get(PODS, "c"), "PodScheduled")
            text = (
                "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are "
                "available: 2 No preemption victims found for incoming pod."
            )
            assert (found["reason"], found["message"]) == ("Unschedulable", text)
            await c.event("c", "FailedScheduling", text)
            await c.api.delete(PODS, "a", NS)
            await c.until(PODS, lambda: ready(c.get(PODS, "c")))
            await c.api.patch(NODES, "node-1", {"spec": {"unschedulable": True}})
            await c.api.patch(
                NODES, "node-2", {"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}
            )
            await c.api.create(PODS, sized("d", "1"))
            await c.until(PODS, lambda: "taint" in condition(c.get(PODS, "d"), "PodScheduled").get("message", ""))
            text = "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
            assert condition(c.get(PODS, "d"), "PodScheduled")["message"].startswith(text)
            await c.api.patch(NODES, "node-1", {"spec": {"unschedulable": None}})
            await c.until(PODS, lambda: ready(c.get(PODS, "d")))

    asyncio.run(main())


def test_endpoints_follow_readiness() -> None:
    async def main() -> None:
        async with cluster() as c:
            service = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "namespace": NS},
                "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "main"}]},
            }
            await c.api.create(SERVICES, service)
            await c.until(ENDPOINTSLICES, lambda: slices(c, "web"))
            assert not slices(c, "web")[0].get("endpoints")
            probe = {"httpGet": {"port": "main"}, "periodSeconds": 1}
            spec = {"ports": [{"name": "main", "containerPort": 8080}], "readinessProbe": probe}
            await c.api.create(PODS, with_label(pod("good", container(IMAGE, **spec)), "web"))
            await c.api.create(PODS, with_label(pod("bad", container("registry.example/app:1-unready", **spec)), "web"))

            def states() -> dict[str, tuple[bool, bool]]:
                return {
                    e["targetRef"]["name"]: (e["conditions"]["ready"], e["conditions"]["serving"])
                    for s in slices(c, "web")
                    for e in s.get("endpoints") or ()
                }

            await c.until(ENDPOINTSLICES, lambda: states() == {"good": (True, True), "bad": (False, False)})
            assert slices(c, "web")[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
            await c.until(
                ENDPOINTS,
                lambda: (
                    [
                        ([a["targetRef"]["name"] for a in s.get(side) or ()])
                        for s in (c.get(ENDPOINTS, "web") or {}).get("subsets") or ()
                        for side in ("addresses", "notReadyAddresses")
                    ]
                    == [["good"], ["bad"]]
                ),
            )
            await c.api.delete(SERVICES, "web", NS)
            await c.until(ENDPOINTSLICES, lambda: not slices(c, "web"))
            await c.until(ENDPOINTS, lambda: c.get(ENDPOINTS, "web") is None)

    asyncio.run(main())


def with_label(obj: Obj, app: str) -> Obj:
    obj["metadata"]["labels"] = {"app": app}
    return obj


def slices(c: Cluster, service: str) -> list[Obj]:
    found = c.plane.informers.of(ENDPOINTSLICES).all()
    return [s for s in found if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == service]


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_deletion_modes(policy: str) -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.api.create(DEPLOYMENTS, workload("Deployment", "web", container(IMAGE), replicas=2))
            await c.until(PODS, lambda: len(c.pods(app="web")) == 2 and all(ready(p) for p in c.pods()))
            order: list[str] = []
            for resource in (DEPLOYMENTS, REPLICASETS, PODS):
                c.plane.informers.of(resource).add_handler(
                    lambda old, new, kind=resource.kind: order.append(kind) if new is None else None  # type: ignore[misc]
                )
            await c.api.delete(DEPLOYMENTS, "web", NS, propagation=policy)
            await c.until(DEPLOYMENTS, lambda: c.get(DEPLOYMENTS, "web") is None)
            if policy == "Orphan":
                sets = c.plane.informers.of(REPLICASETS).all()
                assert len(sets) == 1
                await c.until(
                    REPLICASETS,
                    lambda: not c.plane.informers.of(REPLICASETS).all()[0]["metadata"].get("ownerReferences"),
                )
                assert len(c.pods(app="web")) == 2
                return
            await c.until(PODS, lambda: not c.pods())
            await c.until(REPLICASETS, lambda: not c.plane.informers.of(REPLICASETS).all())
            if policy == "Foreground":
                assert order == ["Pod", "Pod", "ReplicaSet", "Deployment"]
            else:
                assert order[0] == "Deployment"

    asyncio.run(main())


def test_collection_looks_at_uids() -> None:
    async def main() -> None:
        async with cluster() as c:
            owner = await c.api.create(
                CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": NS}}
            )

            def child(name: str, uid: str) -> Obj:
                ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
                return {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": NS, "ownerReferences": [ref]},
                }

            await c.api.create(CONFIGMAPS, child("mine", owner["metadata"]["uid"]))
            await c.api.create(CONFIGMAPS, child("stale", "00000000-0000-0000-0000-000000000000"))
            # The owner has the name, but is another object.
            await c.until(CONFIGMAPS, lambda: c.get(CONFIGMAPS, "stale") is None)
            assert c.get(CONFIGMAPS, "mine") is not None
            await c.api.delete(CONFIGMAPS, "owner", NS)
            await c.until(CONFIGMAPS, lambda: c.get(CONFIGMAPS, "mine") is None)

    asyncio.run(main())


def test_namespace_is_emptied_before_it_goes() -> None:
    async def main() -> None:
        async with cluster() as c:
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}
            await c.api.create(NAMESPACES, made)
            await c.until(SERVICEACCOUNTS, lambda: c.get(SERVICEACCOUNTS, "default", "team"))
            await c.until(CONFIGMAPS, lambda: c.get(CONFIGMAPS, "kube-root-ca.crt", "team"))
            web = workload("Deployment", "web", container(IMAGE), replicas=2)
            web["metadata"]["namespace"] = "team"
            await c.api.create(DEPLOYMENTS, web)
            await c.until(PODS, lambda: len(c.pods(app="web")) == 2)
            await c.api.delete(NAMESPACES, "team")
            await c.until(NAMESPACES, lambda: c.get(NAMESPACES, "team") is None)
            assert not c.pods(app="web")
            with pytest.raises(ApiException) as error:
                await c.api.get(NAMESPACES, "team")
            assert error.value.not_found

    asyncio.run(main())


def test_disruption_budget_and_load_balancer() -> None:
    async def main() -> None:
        async with cluster() as c:
            budget = {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {"name": "web", "namespace": NS},
                "spec": {"maxUnavailable": "34%", "selector": {"matchLabels": {"app": "web"}}},
            }
            await c.api.create(PDBS, budget)
            await c.api.create(DEPLOYMENTS, workload("Deployment", "web", container(IMAGE), replicas=3))
            wanted = {"currentHealthy": 3, "desiredHealthy": 1, "disruptionsAllowed": 2, "expectedPods": 3}
            await c.until(PDBS, lambda: wanted.items() <= ((c.get(PDBS, "web") or {}).get("status") or {}).items())
            service = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "lb", "namespace": NS},
                "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]},
            }
            await c.api.create(SERVICES, service)
            await c.until(
                SERVICES, lambda: (c.get(SERVICES, "lb") or {})["status"].get("loadBalancer", {}).get("ingress")
            )

    asyncio.run(main())
