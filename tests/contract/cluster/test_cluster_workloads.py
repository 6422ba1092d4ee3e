# SPDX-License-Identifier: Apache-2.0
"""Controllers: rollouts and their revisions, ordered sets, daemon sets, jobs, claims, endpoints, scheduling."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.http import STRATEGIC, Obj
from cluster_harness.objects import container, pod, pod_template, workload

GOOD, BETTER, BROKEN, MISSING = (f"registry.example/app:{tag}" for tag in ("1.0", "2.0", "3.0-crash", "4.0-missing"))
PLURALS = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
}

pytestmark = pytest.mark.usefixtures("running")


def apps(ns: str, plural: str, name: str = "") -> str:
    return f"/apis/apps/v1/namespaces/{ns}/{plural}" + (f"/{name}" if name else "")


def pods_path(ns: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{ns}/pods" + (f"/{name}" if name else "")


def create(cluster: Cluster, ns: str, obj: Obj) -> str:
    """Creates a workload; its path."""
    plural = PLURALS[obj["kind"]]
    cluster.post(apps(ns, plural), obj).ok()
    return apps(ns, plural, obj["metadata"]["name"])


def set_image(cluster: Cluster, path: str, image: str) -> Obj:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}
    return dict(cluster.patch(path, patch, STRATEGIC).ok())


def rolled_out(obj: Obj) -> bool:
    spec, status = obj["spec"], obj.get("status", {})
    wanted = spec.get("replicas", 1)
    return bool(
        status.get("observedGeneration") == obj["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
    )


def condition(obj: Obj, kind: str) -> Obj:
    return next((dict(c) for c in obj["status"].get("conditions", ()) if c["type"] == kind), {})


def live_pods(cluster: Cluster, ns: str) -> list[Obj]:
    return [p for p in cluster.get(pods_path(ns)).ok()["items"] if "deletionTimestamp" not in p["metadata"]]


def is_ready(found: Obj) -> bool:
    return condition(found, "Ready").get("status") == "True"


# Deployments


def test_a_deployment_becomes_available(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web", replicas=2))
    found = cluster.wait(path, rolled_out)
    assert found["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    status = found["status"]
    assert {key: status[key] for key in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")} == {
        "replicas": 2,
        "readyReplicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
    }
    assert "unavailableReplicas" not in status
    available = condition(found, "Available")
    assert (available["status"], available["reason"]) == ("True", "MinimumReplicasAvailable")
    assert available["message"] == "Deployment has minimum availability."
    progressing = condition(found, "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "NewReplicaSetAvailable")
    (replica_set,) = cluster.get(apps(ns, "replicasets")).ok()["items"]
    template_hash = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{template_hash}"
    assert progressing["message"] == f'ReplicaSet "web-{template_hash}" has successfully progressed.'
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": template_hash}
    assert replica_set["metadata"]["annotations"] == {
        "deployment.kubernetes.io/desired-replicas": "2",
        "deployment.kubernetes.io/max-replicas": "3",
        "deployment.kubernetes.io/revision": "1",
    }
    (owner,) = replica_set["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == (
        "Deployment",
        "web",
        True,
        True,
    )
    for item in live_pods(cluster, ns):
        assert item["metadata"]["name"].startswith(f"web-{template_hash}-")
        assert item["metadata"]["generateName"] == f"web-{template_hash}-"
        assert item["metadata"]["labels"] == {"app": "web", "pod-template-hash": template_hash}


def test_the_template_hash_is_the_real_one(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web", replicas=0))
    cluster.wait(path, lambda found: found["status"].get("observedGeneration"))
    (found,) = cluster.wait(apps(ns, "replicasets"), lambda listed: listed["items"])["items"]
    # Recorded from a real cluster; clients must not rely on it, people compare it between clusters though.
    assert len(found["metadata"]["labels"]["pod-template-hash"]) in range(6, 11)
    assert set(found["metadata"]["labels"]["pod-template-hash"]) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_rollout_and_its_way_back(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web", replicas=2))
    first = cluster.wait(path, rolled_out)["spec"]["template"]
    set_image(cluster, path, BETTER)
    second = cluster.wait(path, lambda found: rolled_out(found) and found["spec"]["template"] != first)
    assert second["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    cluster.patch(
        path, [{"op": "replace", "path": "/spec/template", "value": first}], "application/json-patch+json"
    ).ok()
    third = cluster.wait(path, lambda found: rolled_out(found) and found["spec"]["template"] == first)
    assert third["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    sets = {
        item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: item
        for item in cluster.get(apps(ns, "replicasets")).ok()["items"]
    }
    assert sorted(sets) == ["2", "3"], "the first replica set is used again, with a new number"
    assert sets["3"]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert sets["2"]["spec"]["replicas"] == 0


def test_a_broken_rollout_stops_half_way_and_misses_its_deadline(cluster: Cluster, ns: str) -> None:
    spec = {"progressDeadlineSeconds": 2, "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
    path = create(cluster, ns, workload("Deployment", "web", replicas=2, spec=spec))
    cluster.wait(path, rolled_out)
    set_image(cluster, path, BROKEN)
    counts = {"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "unavailableReplicas": 1}
    found = cluster.wait(
        path,
        lambda d: (
            condition(d, "Progressing").get("reason") == "ProgressDeadlineExceeded"
            and counts.items() <= d["status"].items()
        ),
    )
    assert condition(found, "Progressing")["status"] == "False"
    assert condition(found, "Progressing")["message"].endswith("has timed out progressing.")
    assert condition(found, "Available")["status"] == "True"


def test_old_replica_sets_are_limited(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web", spec={"revisionHistoryLimit": 1}))
    cluster.wait(path, rolled_out)
    for image in (BETTER, GOOD.replace("1.0", "1.1")):
        set_image(cluster, path, image)
        cluster.wait(path, rolled_out)
    listed = cluster.wait(apps(ns, "replicasets"), lambda found: len(found["items"]) == 2)
    revisions = [i["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for i in listed["items"]]
    assert sorted(revisions) == ["2", "3"]


def test_a_paused_deployment_rolls_nothing_out(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web"))
    cluster.wait(path, rolled_out)
    cluster.patch(path, {"spec": {"paused": True}}).ok()
    set_image(cluster, path, BETTER)
    found = cluster.wait(path, lambda d: d["status"]["observedGeneration"] == d["metadata"]["generation"])
    assert condition(found, "Progressing")["reason"] == "DeploymentPaused"
    assert found["status"].get("updatedReplicas", 0) == 0
    assert len(cluster.get(apps(ns, "replicasets")).ok()["items"]) == 1
    cluster.patch(path, {"spec": {"paused": False}}).ok()
    cluster.wait(path, rolled_out)
    assert len(cluster.get(apps(ns, "replicasets")).ok()["items"]) == 2


def test_recreate_ends_the_old_pods_first(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web", replicas=2, spec={"strategy": {"type": "Recreate"}}))
    cluster.wait(path, rolled_out)
    start = cluster.get(pods_path(ns)).ok()["metadata"]["resourceVersion"]
    with cluster.watch(pods_path(ns), resourceVersion=start) as watch:
        set_image(cluster, path, BETTER)
        watch.until(lambda e: e["type"] == "ADDED")
        gone = [
            e for e in watch.seen if e["type"] == "DELETED" or e["object"]["status"]["phase"] in ("Succeeded", "Failed")
        ]
    assert {e["object"]["metadata"]["name"] for e in gone} and len({e["object"]["metadata"]["name"] for e in gone}) == 2
    cluster.wait(path, rolled_out)


def test_scaling_and_annotations_roll_nothing_out(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web"))
    cluster.wait(path, rolled_out)
    cluster.patch(f"{path}/scale", {"spec": {"replicas": 3}}).ok()
    cluster.patch(path, {"metadata": {"annotations": {"note": "kept"}}}).ok()
    found = cluster.wait(path, lambda d: rolled_out(d) and d["status"]["replicas"] == 3)
    assert found["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1", "note": "kept"}
    (replica_set,) = cluster.get(apps(ns, "replicasets")).ok()["items"]
    assert replica_set["spec"]["replicas"] == 3


def test_a_deleted_pod_is_replaced(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web"))
    cluster.wait(path, rolled_out)
    (first,) = live_pods(cluster, ns)
    cluster.delete(pods_path(ns, first["metadata"]["name"])).ok()
    cluster.wait_gone(pods_path(ns, first["metadata"]["name"]))
    cluster.wait(path, rolled_out)
    (second,) = live_pods(cluster, ns)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


# Stateful sets


def updated(obj: Obj) -> bool:
    status = obj["status"]
    return bool(
        status.get("observedGeneration") == obj["metadata"]["generation"]
        and status["currentRevision"] == status["updateRevision"]
        and status.get("readyReplicas", 0) == obj["spec"]["replicas"]
    )


def test_a_stateful_set_starts_in_order(cluster: Cluster, ns: str) -> None:
    start = cluster.get(pods_path(ns)).ok()["metadata"]["resourceVersion"]
    with cluster.watch(pods_path(ns), resourceVersion=start) as watch:
        path = create(cluster, ns, workload("StatefulSet", "db", replicas=3))
        watch.until(lambda e: e["object"]["metadata"]["name"] == "db-2" and is_ready(e["object"]))
    order: list[str] = []
    for event in watch.seen:
        name = event["object"]["metadata"]["name"]
        if event["type"] == "ADDED":
            order.append(f"{name} created")
        elif is_ready(event["object"]) and f"{name} ready" not in order:
            order.append(f"{name} ready")
    assert order == ["db-0 created", "db-0 ready", "db-1 created", "db-1 ready", "db-2 created", "db-2 ready"]
    found = cluster.wait(path, updated)
    assert (
        found["status"]["replicas"] == found["status"]["updatedReplicas"] == found["status"]["availableReplicas"] == 3
    )
    zero = cluster.get(pods_path(ns, "db-0")).ok()
    assert zero["metadata"]["labels"] == {
        "app": "db",
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": found["status"]["updateRevision"],
        "statefulset.kubernetes.io/pod-name": "db-0",
    }
    assert (zero["spec"]["hostname"], zero["spec"]["subdomain"]) == ("db-0", "db")
    (revision,) = cluster.get(apps(ns, "controllerrevisions")).ok()["items"]
    assert revision["revision"] == 1
    assert revision["metadata"]["name"] == found["status"]["updateRevision"]
    assert revision["data"]["spec"]["template"]["$patch"] == "replace"


def test_parallel_starts_at_once(cluster: Cluster, ns: str) -> None:
    obj = workload("StatefulSet", "db", replicas=3, image=BROKEN, spec={"podManagementPolicy": "Parallel"})
    create(cluster, ns, obj)
    cluster.wait(pods_path(ns), lambda found: len(found["items"]) == 3)


def test_an_ordered_set_waits_for_a_pod_that_is_not_ready(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("StatefulSet", "db", replicas=2, image=BROKEN))
    cluster.wait(
        pods_path(ns, "db-0"), lambda p: any(s["restartCount"] for s in p["status"].get("containerStatuses", ()))
    )
    assert cluster.get(pods_path(ns, "db-1")).status == 404
    cluster.wait(path, lambda found: found["status"]["replicas"] == 1)


def test_updates_go_from_the_highest_ordinal_down(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("StatefulSet", "db", replicas=3))
    cluster.wait(path, updated)
    start = cluster.get(pods_path(ns)).ok()["metadata"]["resourceVersion"]
    with cluster.watch(pods_path(ns), resourceVersion=start) as watch:
        set_image(cluster, path, BETTER)
        watch.until(lambda e: e["type"] == "ADDED" and e["object"]["metadata"]["name"] == "db-0")
    added = [e["object"]["metadata"]["name"] for e in watch.seen if e["type"] == "ADDED"]
    assert added == ["db-2", "db-1", "db-0"]
    cluster.wait(path, updated)
    revisions = cluster.get(apps(ns, "controllerrevisions")).ok()["items"]
    assert sorted(r["revision"] for r in revisions) == [1, 2]


def test_a_rollback_of_a_stuck_set_hangs(cluster: Cluster, ns: str) -> None:
    """The known behaviour of OrderedReady: the broken pod is not replaced until somebody deletes it."""
    path = create(cluster, ns, workload("StatefulSet", "db", replicas=2))
    cluster.wait(path, updated)
    good = cluster.get(path).ok()["status"]["currentRevision"]
    set_image(cluster, path, BROKEN)
    broken = cluster.wait(
        pods_path(ns, "db-1"),
        lambda p: (
            p["metadata"]["labels"]["controller-revision-hash"] != good
            and any(s["restartCount"] for s in p["status"].get("containerStatuses", ()))
        ),
    )
    set_image(cluster, path, GOOD)
    found = cluster.wait(
        path,
        lambda s: (
            s["status"]["observedGeneration"] == s["metadata"]["generation"] and s["status"]["updateRevision"] == good
        ),
    )
    assert found["status"]["currentRevision"] == good
    # Two more restarts of the broken container show that the controller had every chance to replace it.
    count = broken["status"]["containerStatuses"][0]["restartCount"]
    still = cluster.wait(
        pods_path(ns, "db-1"), lambda p: p["status"]["containerStatuses"][0]["restartCount"] >= count + 1
    )
    assert still["metadata"]["uid"] == broken["metadata"]["uid"]
    cluster.wait(path, lambda found: found["status"].get("readyReplicas") == 1)
    cluster.delete(pods_path(ns, "db-1"), {"preconditions": {"uid": broken["metadata"]["uid"]}}).ok()
    cluster.wait(path, updated)
    fresh = cluster.get(pods_path(ns, "db-1")).ok()
    assert fresh["metadata"]["labels"]["controller-revision-hash"] == good
    assert fresh["metadata"]["uid"] != broken["metadata"]["uid"]


def test_partition(cluster: Cluster, ns: str) -> None:
    strategy = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}
    path = create(cluster, ns, workload("StatefulSet", "db", replicas=2, spec=strategy))
    cluster.wait(path, updated)
    old = cluster.get(path).ok()["status"]["currentRevision"]
    set_image(cluster, path, BETTER)
    found = cluster.wait(
        path,
        lambda s: (
            s["status"].get("updatedReplicas") == 1
            and s["status"].get("readyReplicas") == 2
            and s["status"]["updateRevision"] != old
        ),
    )
    assert found["status"]["currentRevision"] == old
    assert cluster.get(pods_path(ns, "db-0")).ok()["metadata"]["labels"]["controller-revision-hash"] == old
    cluster.patch(path, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}).ok()
    cluster.wait(path, lambda s: updated(s) and s["status"]["currentRevision"] != old)


def test_on_delete_waits_for_the_deletion(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("StatefulSet", "db", spec={"updateStrategy": {"type": "OnDelete"}}))
    cluster.wait(path, updated)
    first = cluster.get(pods_path(ns, "db-0")).ok()
    set_image(cluster, path, BETTER)
    cluster.wait(path, lambda s: s["status"]["observedGeneration"] == s["metadata"]["generation"])
    assert cluster.get(pods_path(ns, "db-0")).ok()["metadata"]["uid"] == first["metadata"]["uid"]
    cluster.delete(pods_path(ns, "db-0")).ok()
    cluster.wait(pods_path(ns, "db-0"), lambda p: p["spec"]["containers"][0]["image"] == BETTER and is_ready(p))


def test_scaling_down_takes_the_highest_first(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("StatefulSet", "db", replicas=3))
    cluster.wait(path, updated)
    cluster.patch(f"{path}/scale", {"spec": {"replicas": 1}}).ok()
    cluster.wait_gone(pods_path(ns, "db-1"))
    assert cluster.get(pods_path(ns, "db-2")).status == 404
    assert cluster.get(pods_path(ns, "db-0")).status == 200


# Daemon sets, jobs, the rest


def test_a_daemon_set_runs_on_every_node(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("DaemonSet", "agent", replicas=None))
    nodes = len(cluster.get("/api/v1/nodes").ok()["items"])
    found = cluster.wait(path, lambda d: d["status"].get("numberAvailable") == nodes)
    assert found["status"]["desiredNumberScheduled"] == found["status"]["updatedNumberScheduled"] == nodes
    assert found["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}
    hosts = {p["spec"]["nodeName"] for p in live_pods(cluster, ns)}
    assert len(hosts) == nodes
    (revision,) = cluster.get(apps(ns, "controllerrevisions")).ok()["items"]
    assert revision["metadata"]["name"].startswith("agent-")


def test_a_daemon_set_on_delete(cluster: Cluster, ns: str) -> None:
    spec = {"updateStrategy": {"type": "OnDelete"}}
    path = create(cluster, ns, workload("DaemonSet", "agent", replicas=None, spec=spec))
    found = cluster.wait(path, lambda d: d["status"].get("numberAvailable", 0) > 0)
    count = found["status"]["desiredNumberScheduled"]
    cluster.wait(path, lambda d: d["status"].get("numberAvailable", 0) == count)
    before = {p["metadata"]["uid"] for p in live_pods(cluster, ns)}
    set_image(cluster, path, BETTER)
    found = cluster.wait(path, lambda d: d["status"]["observedGeneration"] == d["metadata"]["generation"])
    assert found["status"].get("updatedNumberScheduled", 0) == 0
    assert {p["metadata"]["uid"] for p in live_pods(cluster, ns)} == before
    cluster.delete(pods_path(ns, live_pods(cluster, ns)[0]["metadata"]["name"])).ok()
    cluster.wait(
        path, lambda d: d["status"].get("updatedNumberScheduled") == 1 and d["status"].get("numberAvailable") == count
    )


def test_a_daemon_set_rolls(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("DaemonSet", "agent", replicas=None))
    nodes = len(cluster.get("/api/v1/nodes").ok()["items"])
    cluster.wait(path, lambda d: d["status"].get("numberAvailable", 0) == nodes)
    generation = set_image(cluster, path, BETTER)["metadata"]["generation"]

    def done(found: Obj) -> bool:
        status = found["status"]
        return bool(
            status["observedGeneration"] == generation
            and status.get("updatedNumberScheduled") == nodes
            and status.get("numberAvailable") == nodes
        )

    cluster.wait(path, done)
    assert {p["spec"]["containers"][0]["image"] for p in live_pods(cluster, ns)} == {BETTER}


def job(name: str, image: str, **spec: Any) -> Obj:
    template = pod_template({"job": name}, image=image, restartPolicy="Never")
    return {"metadata": {"name": name}, "spec": {"template": template, **spec}}


def test_a_job_completes(cluster: Cluster, ns: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{ns}/jobs"
    cluster.post(jobs, job("work", GOOD, completions=2, parallelism=1)).ok()
    found = cluster.wait(f"{jobs}/work", lambda j: condition(j, "Complete").get("status") == "True")
    status = found["status"]
    assert status["succeeded"] == 2
    assert status["completionTime"] >= status["startTime"]
    assert condition(found, "Complete")["reason"] == "CompletionsReached"
    assert condition(found, "SuccessCriteriaMet")["status"] == "True"
    (first, *_) = cluster.get(pods_path(ns)).ok()["items"]
    assert first["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "work"
    assert first["metadata"]["labels"]["job-name"] == "work"
    assert first["status"]["phase"] == "Succeeded"


def test_a_job_fails(cluster: Cluster, ns: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{ns}/jobs"
    cluster.post(jobs, job("work", "registry.example/app:1.0-crash-exit3", backoffLimit=0)).ok()
    found = cluster.wait(f"{jobs}/work", lambda j: condition(j, "Failed").get("status") == "True")
    failed = condition(found, "Failed")
    assert (failed["reason"], failed["message"]) == (
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    )
    assert found["status"]["failed"] == 1
    (only,) = cluster.get(pods_path(ns)).ok()["items"]
    assert only["status"]["phase"] == "Failed"
    assert only["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_a_claim_is_bound(cluster: Cluster, ns: str) -> None:
    claims = f"/api/v1/namespaces/{ns}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    sent = cluster.post(claims, {"metadata": {"name": "data"}, "spec": spec}).ok()
    assert sent["status"] == {"phase": "Pending"}
    assert sent["spec"]["storageClassName"], "the default class is filled in"
    # A class that waits for its first consumer gets one.
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    cluster.post(pods_path(ns), pod("user", volumes=volumes)).ok()
    found = cluster.wait(f"{claims}/data", lambda c: c["status"]["phase"] == "Bound")
    assert found["status"]["capacity"] == {"storage": "1Gi"}
    assert found["status"]["accessModes"] == ["ReadWriteOnce"]
    assert found["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    assert found["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    volume = cluster.get(f"/api/v1/persistentvolumes/{found['spec']['volumeName']}").ok()
    assert volume["status"]["phase"] == "Bound"
    assert volume["spec"]["claimRef"]["uid"] == found["metadata"]["uid"]
    assert found["spec"]["volumeName"] == f"pvc-{found['metadata']['uid']}"


def test_claims_of_a_stateful_set_stay(cluster: Cluster, ns: str) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    path = create(cluster, ns, workload("StatefulSet", "db", spec={"volumeClaimTemplates": [claim]}))
    cluster.wait(path, updated)
    claims = f"/api/v1/namespaces/{ns}/persistentvolumeclaims/data-db-0"
    assert cluster.get(claims).ok()["metadata"]["labels"] == {"app": "db"}
    cluster.delete(path).ok()
    cluster.wait_gone(pods_path(ns, "db-0"))
    assert cluster.get(claims).status == 200


def test_endpoints_follow_readiness(cluster: Cluster, ns: str) -> None:
    services, slices = f"/api/v1/namespaces/{ns}/services", f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices"
    cluster.post(
        services, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    ).ok()
    path = create(cluster, ns, workload("Deployment", "web", replicas=2))
    cluster.wait(path, rolled_out)
    addresses = {p["status"]["podIP"] for p in live_pods(cluster, ns)}
    endpoints = f"/api/v1/namespaces/{ns}/endpoints/web"
    found = cluster.wait(endpoints, lambda e: e.get("subsets") and len(e["subsets"][0].get("addresses", ())) == 2)
    assert {a["ip"] for a in found["subsets"][0]["addresses"]} == addresses
    assert found["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]
    listed = cluster.wait(slices, lambda s: s["items"] and len(s["items"][0]["endpoints"] or ()) == 2)["items"]
    assert listed[0]["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
    assert listed[0]["metadata"]["generateName"] == "web-"
    for endpoint in listed[0]["endpoints"]:
        assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
    create(
        cluster,
        ns,
        {
            **workload("Deployment", "bad", image=BROKEN),
            "spec": {
                **workload("Deployment", "bad", image=BROKEN)["spec"],
                "selector": {"matchLabels": {"bad": "yes"}},
                "template": pod_template({"app": "web", "bad": "yes"}, image=BROKEN),
            },
        },
    )
    cluster.wait(endpoints, lambda e: len(e["subsets"][0].get("notReadyAddresses", ())) == 1)


def test_a_pod_that_fits_nowhere(cluster: Cluster, ns: str) -> None:
    big = pod("big")
    big["spec"]["containers"] = [container(resources={"requests": {"cpu": "1000"}})]
    cluster.post(pods_path(ns), big).ok()
    found = cluster.wait(pods_path(ns, "big"), lambda p: condition(p, "PodScheduled"))
    scheduled = condition(found, "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    nodes = len(cluster.get("/api/v1/nodes").ok()["items"])
    assert scheduled["message"].startswith(f"0/{nodes} nodes are available: ")
    assert "Insufficient cpu" in scheduled["message"]
    assert found["status"]["phase"] == "Pending"
    events = f"/api/v1/namespaces/{ns}/events"
    listed = cluster.wait(events, lambda e: [i for i in e["items"] if i["reason"] == "FailedScheduling"])
    (event,) = [i for i in listed["items"] if i["reason"] == "FailedScheduling"]
    assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "big")
    assert event["message"].startswith(f"0/{nodes} nodes are available: ")
    assert event["reportingComponent"] == "default-scheduler"


def test_events_of_a_rollout(cluster: Cluster, ns: str) -> None:
    path = create(cluster, ns, workload("Deployment", "web"))
    cluster.wait(path, rolled_out)
    listed = cluster.wait(
        f"/api/v1/namespaces/{ns}/events",
        lambda e: (
            {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Started"} <= {i["reason"] for i in e["items"]}
        ),
    )["items"]
    messages = {item["reason"]: item["message"] for item in listed}
    (replica_set,) = cluster.get(apps(ns, "replicasets")).ok()["items"]
    (only,) = live_pods(cluster, ns)
    name = only["metadata"]["name"]
    assert messages["ScalingReplicaSet"] == f"Scaled up replica set {replica_set['metadata']['name']} from 0 to 1"
    assert messages["SuccessfulCreate"] == f"Created pod: {name}"
    assert messages["Scheduled"] == f"Successfully assigned {ns}/{name} to {only['spec']['nodeName']}"


def test_a_schedule_that_never_comes_is_told(cluster: Cluster, ns: str) -> None:
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container()]}}}}
    spec = {"schedule": "59 23 31 2 *", "jobTemplate": template}
    cluster.post(f"/apis/batch/v1/namespaces/{ns}/cronjobs", {"metadata": {"name": "never"}, "spec": spec}).ok()
    path = f"/api/v1/namespaces/{ns}/events"
    found = cluster.wait(path, lambda events: events["items"])["items"][0]
    assert (found["type"], found["reason"]) == ("Warning", "InvalidSchedule")
    why = "time difference between two schedules is less than 1 second"
    assert found["message"] == f"invalid schedule: 59 23 31 2 * : {why}"
