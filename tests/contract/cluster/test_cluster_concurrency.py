# SPDX-License-Identifier: Apache-2.0
"""Versions: conflicts, preconditions, unconditional updates, what bumps a version and what does not."""

from __future__ import annotations

from cluster_harness import Cluster
from cluster_harness.objects import config_map


def path(ns: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{ns}/configmaps" + (f"/{name}" if name else "")


def test_an_old_version_conflicts(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()
    second = cluster.put(path(ns, "a"), {**first, "data": {"k": "1"}}).ok()
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    status = cluster.put(path(ns, "a"), {**first, "data": {"k": "2"}}).fails(409, "Conflict")
    assert status["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert status["details"] == {"name": "a", "kind": "configmaps"}


def test_versions_grow_across_kinds_and_are_numbers(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()["metadata"]["resourceVersion"]
    second = cluster.post(f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "s"}}).ok()["metadata"][
        "resourceVersion"
    ]
    third = cluster.patch(path(ns, "a"), {"data": {"k": "v"}}).ok()["metadata"]["resourceVersion"]
    assert int(first) < int(second) < int(third)
    assert int(cluster.get(path(ns)).ok()["metadata"]["resourceVersion"]) >= int(third)


def test_without_a_version_an_update_is_unconditional(cluster: Cluster, ns: str) -> None:
    cluster.post(path(ns), config_map("a")).ok()
    assert cluster.put(path(ns, "a"), config_map("a", {"k": "v"})).ok()["data"] == {"k": "v"}


def test_kinds_that_need_a_version(cluster: Cluster, ns: str) -> None:
    services = f"/api/v1/namespaces/{ns}/services"
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    cluster.post(leases, lease).ok()
    status = cluster.put(f"{leases}/l", lease).fails(422, "Invalid")
    assert status["message"] == (
        'leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: '
        "must be specified for an update"
    )
    cluster.post(services, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}).ok()
    assert cluster.put(f"{services}/s", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 81}]}}).ok()


def test_an_update_that_changes_nothing_keeps_the_version(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a", {"k": "v"})).ok()
    for answer in (
        cluster.put(path(ns, "a"), first),
        cluster.patch(path(ns, "a"), {"data": {"k": "v"}}),
        cluster.patch(path(ns, "a"), {}),
    ):
        assert answer.ok() == first


def test_another_uid_conflicts(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()
    other = "11111111-2222-3333-4444-555555555555"
    changed = {**first, "metadata": {**first["metadata"], "uid": other}}
    status = cluster.put(path(ns, "a"), changed).fails(409, "Conflict")
    assert status["message"] == (
        f'Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: '
        f"/registry/configmaps/{ns}/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        f"UID in precondition: {other}, UID in object meta: {first['metadata']['uid']}"
    )


def test_delete_preconditions(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()["metadata"]
    other = "11111111-2222-3333-4444-555555555555"
    status = cluster.delete(path(ns, "a"), {"preconditions": {"uid": other}}).fails(409, "Conflict")
    assert status["message"] == (
        f'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition ({other}) does not match '
        f"the UID in record ({first['uid']}). The object might have been deleted and then recreated"
    )
    cluster.delete(path(ns, "a"), {"preconditions": {"resourceVersion": "1"}}).fails(409, "Conflict")
    right = {"uid": first["uid"], "resourceVersion": first["resourceVersion"]}
    assert cluster.delete(path(ns, "a"), {"preconditions": right}).ok()["status"] == "Success"


def test_a_patch_may_carry_a_version(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()["metadata"]["resourceVersion"]
    assert cluster.patch(path(ns, "a"), {"metadata": {"resourceVersion": first}, "data": {"k": "1"}}).ok()
    cluster.patch(path(ns, "a"), {"metadata": {"resourceVersion": first}, "data": {"k": "2"}}).fails(409, "Conflict")


def test_a_recreated_object_is_another(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()
    cluster.delete(path(ns, "a")).ok()
    second = cluster.post(path(ns), config_map("a")).ok()
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    cluster.put(path(ns, "a"), {**first, "data": {"k": "v"}}).fails(409, "Conflict")


def test_reads_at_a_version(cluster: Cluster, ns: str) -> None:
    first = cluster.post(path(ns), config_map("a")).ok()["metadata"]["resourceVersion"]
    found = cluster.get(path(ns), query={"resourceVersion": first, "resourceVersionMatch": "NotOlderThan"}).ok()
    assert "a" in [item["metadata"]["name"] for item in found["items"]]
    cluster.post(path(ns), config_map("b")).ok()
    exact = cluster.get(path(ns), query={"resourceVersion": first, "resourceVersionMatch": "Exact"}).ok()
    names = [item["metadata"]["name"] for item in exact["items"]]
    assert "a" in names and "b" not in names
    assert exact["metadata"]["resourceVersion"] == first


def test_a_version_from_the_future(cluster: Cluster, ns: str) -> None:
    far = str(int(cluster.get(path(ns)).ok()["metadata"]["resourceVersion"]) + 1_000_000)
    answer = cluster.get(path(ns), query={"resourceVersion": far, "timeoutSeconds": 1})
    assert answer.status == 504, answer.text
    assert answer.body["reason"] == "Timeout"
    assert answer.message.startswith(f"Timeout: Too large resource version: {far}, current: ")
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert answer.headers.get("retry-after") == "1"


def test_generated_names(cluster: Cluster, ns: str) -> None:
    names = {cluster.post(path(ns), {"metadata": {"generateName": "x-"}}).ok()["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    for name in names:
        assert name.startswith("x-") and len(name) == 7
        assert set(name[2:]) <= set("bcdfghjklmnpqrstvwxz2456789")
    long = cluster.post(path(ns), {"metadata": {"generateName": "y" * 300}})
    long.fails(422, "Invalid")
