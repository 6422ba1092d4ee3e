# SPDX-License-Identifier: Apache-2.0
"""Deletion: finalizers, owners and what they own, collections, namespaces."""

from __future__ import annotations

from typing import Any

from cluster_harness import Cluster
from cluster_harness.objects import config_map, pod


def maps(ns: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{ns}/configmaps" + (f"/{name}" if name else "")


def owner(obj: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = obj["metadata"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"], **more}


def family(cluster: Cluster, ns: str, **more: Any) -> None:
    parent = cluster.post(maps(ns), config_map("parent")).ok()
    cluster.post(maps(ns), config_map("child", ownerReferences=[owner(parent, **more)])).ok()


def test_background(cluster: Cluster, ns: str) -> None:
    family(cluster, ns)
    answer = cluster.delete(maps(ns, "parent"), {"propagationPolicy": "Background"})
    assert answer.ok()["status"] == "Success"
    assert cluster.get(maps(ns, "parent")).status == 404
    cluster.wait_gone(maps(ns, "child"))


def test_background_is_the_default(cluster: Cluster, ns: str) -> None:
    family(cluster, ns)
    cluster.delete(maps(ns, "parent")).ok()
    cluster.wait_gone(maps(ns, "child"))


def test_orphan(cluster: Cluster, ns: str) -> None:
    family(cluster, ns)
    cluster.delete(maps(ns, "parent"), query={"propagationPolicy": "Orphan"}).ok()
    cluster.wait_gone(maps(ns, "parent"))
    found = cluster.wait(maps(ns, "child"), lambda child: not child["metadata"].get("ownerReferences"))
    assert "deletionTimestamp" not in found["metadata"]


def test_foreground_waits_for_blocking_children(cluster: Cluster, ns: str) -> None:
    parent = cluster.post(maps(ns), config_map("parent")).ok()
    blocking = config_map(
        "child", ownerReferences=[owner(parent, blockOwnerDeletion=True)], finalizers=["x.example/wait"]
    )
    cluster.post(maps(ns), blocking).ok()
    cluster.delete(maps(ns, "parent"), {"propagationPolicy": "Foreground"}).ok()
    waiting = cluster.get(maps(ns, "parent")).ok()["metadata"]
    assert waiting["finalizers"] == ["foregroundDeletion"]
    assert waiting["deletionTimestamp"]
    cluster.wait(maps(ns, "child"), lambda child: child["metadata"].get("deletionTimestamp"))
    assert cluster.get(maps(ns, "parent")).status == 200
    cluster.patch(maps(ns, "child"), {"metadata": {"finalizers": None}}).ok()
    cluster.wait_gone(maps(ns, "child"))
    cluster.wait_gone(maps(ns, "parent"))


def test_a_child_with_two_owners_lives_until_both_are_gone(cluster: Cluster, ns: str) -> None:
    one, two = (cluster.post(maps(ns), config_map(name)).ok() for name in ("one", "two"))
    cluster.post(maps(ns), config_map("child", ownerReferences=[owner(one), owner(two)])).ok()
    cluster.delete(maps(ns, "one")).ok()
    found = cluster.wait(maps(ns, "child"), lambda child: len(child["metadata"]["ownerReferences"]) == 1)
    assert found["metadata"]["ownerReferences"][0]["name"] == "two"
    cluster.delete(maps(ns, "two")).ok()
    cluster.wait_gone(maps(ns, "child"))


def test_an_owner_that_never_was(cluster: Cluster, ns: str) -> None:
    parent = cluster.post(maps(ns), config_map("parent")).ok()
    ghost = owner(parent, uid="11111111-2222-3333-4444-555555555555", name="ghost")
    cluster.post(maps(ns), config_map("child", ownerReferences=[ghost])).ok()
    cluster.wait_gone(maps(ns, "child"))


def test_deletion_cascades_through_kinds(cluster: Cluster, ns: str) -> None:
    deployments = f"/apis/apps/v1/namespaces/{ns}/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    cluster.post(deployments, {"metadata": {"name": "d"}, "spec": spec}).ok()
    sets = f"/apis/apps/v1/namespaces/{ns}/replicasets"
    cluster.wait(sets, lambda found: found["items"])
    cluster.delete(f"{deployments}/d").ok()
    cluster.wait(sets, lambda found: not found["items"])


def test_finalizers_hold_an_object(cluster: Cluster, ns: str) -> None:
    cluster.post(maps(ns), config_map("a", finalizers=["x.example/one", "x.example/two"])).ok()
    first = cluster.delete(maps(ns, "a")).ok()
    assert first["kind"] == "ConfigMap"
    stamp = first["metadata"]["deletionTimestamp"]
    assert first["metadata"]["deletionGracePeriodSeconds"] == 0
    assert cluster.delete(maps(ns, "a")).ok()["metadata"]["deletionTimestamp"] == stamp
    assert cluster.patch(maps(ns, "a"), {"data": {"still": "writable"}}).ok()["data"] == {"still": "writable"}
    added = {"metadata": {"finalizers": ["x.example/one", "x.example/two", "x.example/new"]}}
    status = cluster.patch(maps(ns, "a"), added).fails(422, "Invalid")
    assert "no new finalizers can be added if the object is being deleted" in status["message"]
    cluster.patch(maps(ns, "a"), {"metadata": {"finalizers": ["x.example/two"]}}).ok()
    assert cluster.get(maps(ns, "a")).status == 200
    cluster.patch(maps(ns, "a"), {"metadata": {"finalizers": []}}).ok()
    assert cluster.get(maps(ns, "a")).status == 404


def test_delete_collection(cluster: Cluster, ns: str) -> None:
    for name in "abc":
        cluster.post(maps(ns), config_map(name, labels={"x": "y" if name != "b" else "z"})).ok()
    found = cluster.delete(maps(ns), query={"labelSelector": "x=y"}).ok()
    assert found["kind"] == "ConfigMapList"
    assert [item["metadata"]["name"] for item in found["items"]] == ["a", "c"]
    assert cluster.get(maps(ns, "b")).status == 200
    assert cluster.get(maps(ns, "a")).status == 404


def test_pods_are_deleted_gracefully(cluster: Cluster, ns: str) -> None:
    pods = f"/api/v1/namespaces/{ns}/pods"
    cluster.post(pods, pod("p", nodeSelector={"no": "where"}, terminationGracePeriodSeconds=30)).ok()
    cluster.post(pods, pod("q", nodeName="no-such-node", terminationGracePeriodSeconds=30)).ok()
    gone = cluster.delete(f"{pods}/p").ok()
    assert gone["kind"] in ("Pod", "Status"), "a pod without a node is deleted at once"
    assert cluster.get(f"{pods}/p").status == 404
    waiting = cluster.delete(f"{pods}/q").ok()["metadata"]
    assert waiting["deletionGracePeriodSeconds"] == 30
    shorter = cluster.delete(f"{pods}/q", {"gracePeriodSeconds": 5}).ok()["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    cluster.delete(f"{pods}/q", {"gracePeriodSeconds": 0}).ok()
    assert cluster.get(f"{pods}/q").status == 404


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster, ns: str) -> None:
    cluster.post(maps(ns), config_map("a")).ok()
    cluster.post(maps(ns), config_map("held", finalizers=["x.example/hold"])).ok()
    found = cluster.delete(f"/api/v1/namespaces/{ns}").ok()
    assert found["status"]["phase"] == "Terminating"
    assert found["spec"]["finalizers"] == ["kubernetes"]
    status = cluster.post(maps(ns), config_map("late")).fails(403, "Forbidden")
    assert status["message"] == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {ns} because it is being terminated'
    )
    assert status["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {ns} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    cluster.wait_gone(maps(ns, "a"))
    cluster.wait(maps(ns, "held"), lambda held: held["metadata"].get("deletionTimestamp"))
    remaining = cluster.wait(
        f"/api/v1/namespaces/{ns}",
        lambda found: any(
            c["type"] == "NamespaceFinalizersRemaining" and c["status"] == "True"
            for c in found["status"].get("conditions", ())
        ),
    )
    messages = {c["type"]: c["message"] for c in remaining["status"]["conditions"]}
    assert messages["NamespaceFinalizersRemaining"] == (
        "Some content in the namespace has finalizers remaining: x.example/hold in 1 resource instances"
    )
    assert messages["NamespaceContentRemaining"] == (
        "Some resources are remaining: configmaps. has 1 resource instances"
    )
    cluster.patch(maps(ns, "held"), {"metadata": {"finalizers": None}}).ok()
    cluster.wait_gone(f"/api/v1/namespaces/{ns}", seconds=240)


def test_a_new_namespace_is_furnished(cluster: Cluster, ns: str) -> None:
    found = cluster.get(f"/api/v1/namespaces/{ns}").ok()
    assert found["status"] == {"phase": "Active"}
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": ns}
    authority = cluster.wait(maps(ns, "kube-root-ca.crt"), lambda _: True)
    assert authority["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    assert cluster.get(f"/api/v1/namespaces/{ns}/serviceaccounts/default").ok()["metadata"]["name"] == "default"


def test_protected_namespaces(cluster: Cluster) -> None:
    status = cluster.delete("/api/v1/namespaces/default").fails(403, "Forbidden")
    assert status["message"] == 'namespaces "default" is forbidden: this namespace may not be deleted'
