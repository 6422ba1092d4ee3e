# SPDX-License-Identifier: Apache-2.0
"""Query parameters as Go reads them: booleans, numbers, times; and the version `0` in what is written.

Sources: apimachinery pkg/runtime/conversion.go; apiserver pkg/registry/generic/registry/store.go.
"""

from __future__ import annotations

import pytest
from cluster_harness import Cluster
from cluster_harness.objects import config_map, container, deployment, pod

TRUE = ("true", "True", "TRUE", "1", "t", "yes", "no", "")
"""No other value than `0` and `false` is false; the official Python client sends `True`."""
FALSE = ("false", "False", "FALSE", "0")
NO_NUMBERS = {"": "invalid syntax", "x": "invalid syntax", "1.5": "invalid syntax", " 1": "invalid syntax"}
NO_NUMBERS |= {"1_0": "invalid syntax", "9223372036854775808": "value out of range"}


@pytest.fixture
def maps(cluster: Cluster, ns: str) -> str:
    path = f"/api/v1/namespaces/{ns}/configmaps"
    cluster.post(path, config_map("a")).ok()
    return path


@pytest.mark.parametrize("value", TRUE)
def test_watch_in_all_spellings(cluster: Cluster, maps: str, value: str) -> None:
    with cluster.watch(maps, watch=value, fieldSelector="metadata.name=a", timeoutSeconds="+1") as watch:
        event = watch.next()
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")


def test_no_watch_in_all_spellings(cluster: Cluster, maps: str) -> None:
    for value in FALSE:
        assert cluster.get(maps, query={"watch": value}).ok()["kind"] == "ConfigMapList"


def test_a_watch_of_one_object_by_path_is_a_get(cluster: Cluster, maps: str) -> None:
    assert cluster.get(f"{maps}/a", query={"watch": "True"}).ok()["kind"] == "ConfigMap"


def test_bookmarks_in_all_spellings(cluster: Cluster, maps: str) -> None:
    asked = {"sendInitialEvents": "yes", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "True"}
    with cluster.watch(maps, fieldSelector="metadata.name=a", **asked) as watch:
        added, bookmark = watch.take(2)
    assert [added["type"], bookmark["type"]] == ["ADDED", "BOOKMARK"]
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_of_old_announces_the_end_of_what_is_there_too(cluster: Cluster, maps: str) -> None:
    for asked in ({}, {"resourceVersion": "0"}):
        with cluster.watch(maps, fieldSelector="metadata.name=a", allowWatchBookmarks="true", **asked) as watch:
            added, bookmark = watch.take(2)
        assert [added["type"], bookmark["type"]] == ["ADDED", "BOOKMARK"]
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_an_empty_boolean_is_given_all_the_same(cluster: Cluster, maps: str) -> None:
    status = cluster.get(maps, query={"sendInitialEvents": ""}).fails(422, "Invalid")
    assert "sendInitialEvents is forbidden for list" in status["message"]
    status = cluster.patch(f"{maps}/a", {}, query={"force": ""}).fails(422, "Invalid")
    assert "may not be specified for non-apply patch" in status["message"]


def test_force_in_all_spellings(cluster: Cluster, maps: str) -> None:
    for number, value in enumerate((*FALSE, *TRUE)):
        wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": str(number)}}
        manager = f"m{number}"
        cluster.patch(f"{maps}/a", {"data": {"k": "other"}}, query={"fieldManager": "other"}).ok()
        answer = cluster.apply(f"{maps}/a", wanted, manager=manager, query={"force": value})
        if value in FALSE:
            answer.fails(409, "Conflict")
        else:
            assert answer.ok()["data"] == {"k": str(number)}, value


def test_orphan_dependents_in_all_spellings(cluster: Cluster, ns: str) -> None:
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    for value in ("True", "", "false"):
        cluster.post(path, deployment("d", replicas=0)).ok()
        answer = cluster.delete(f"{path}/d", query={"orphanDependents": value})
        orphaned = answer.body.get("kind") == "Deployment" and answer.body["metadata"]["finalizers"] == ["orphan"]
        assert orphaned == (value not in FALSE), answer.text
        cluster.wait_gone(f"{path}/d")


@pytest.mark.parametrize(("text", "why"), NO_NUMBERS.items())
def test_what_is_no_number_is_refused(cluster: Cluster, maps: str, text: str, why: str) -> None:
    wanted = f'strconv.ParseInt: parsing "{text}": {why}'
    for name in ("limit", "timeoutSeconds"):
        assert cluster.get(maps, query={name: text}).fails(400, "BadRequest")["message"] == wanted
        assert cluster.delete(maps, query={name: text}).fails(400, "BadRequest")["message"] == wanted
    status = cluster.get(maps, query={"timeoutSeconds": text, "watch": "1"}).fails(400, "BadRequest")
    assert status["message"] == wanted
    status = cluster.delete(f"{maps}/a", query={"gracePeriodSeconds": text}).fails(400, "BadRequest")
    assert status["message"] == wanted
    assert cluster.get(f"{maps}/a").ok()["metadata"]["name"] == "a", "what was refused changed nothing"


def test_options_of_logs(cluster: Cluster, ns: str) -> None:
    pods = f"/api/v1/namespaces/{ns}/pods"
    cluster.post(pods, pod("p", nodeSelector={"no": "where"})).ok()
    log = f"{pods}/p/log"
    for name in ("tailLines", "sinceSeconds", "limitBytes"):
        status = cluster.get(log, query={name: "many"}).fails(400, "BadRequest")
        assert status["message"] == 'strconv.ParseInt: parsing "many": invalid syntax'
    status = cluster.get(log, query={"sinceTime": "noon"}).fails(400, "BadRequest")
    layout = "2006-01-02T15:04:05Z07:00"
    assert status["message"] == f'parsing time "noon" as "{layout}": cannot parse "noon" as "2006"'
    answer = cluster.get(log, query={"timestamps": "True", "tailLines": "+3"})
    assert (answer.status, answer.content) == (204, b""), "a pod without a node has no log yet"


def test_previous_in_all_spellings(running: Cluster, ns: str) -> None:
    pods = f"/api/v1/namespaces/{ns}/pods"
    running.post(pods, pod("p", containers=[container()])).ok()
    running.wait(f"{pods}/p", lambda p: p["status"]["phase"] == "Running")
    for value in TRUE:
        status = running.get(f"{pods}/p/log", query={"previous": value}).fails(400, "BadRequest")
        assert status["message"] == 'previous terminated container "app" in pod "p" not found'
    for value in FALSE:
        assert running.get(f"{pods}/p/log", query={"previous": value}).status == 200


def test_version_zero_is_any_version(cluster: Cluster, ns: str, maps: str) -> None:
    zero = {"resourceVersion": "0"}
    cluster.put(f"{maps}/a", config_map("a", {"k": "1"}, **zero)).ok()
    assert cluster.get(f"{maps}/a").ok()["data"] == {"k": "1"}
    cluster.patch(f"{maps}/a", {"metadata": zero, "data": {"k": "2"}}).ok()
    assert cluster.get(f"{maps}/a").ok()["data"] == {"k": "2"}
    scale = f"/apis/apps/v1/namespaces/{ns}/deployments/d/scale"
    cluster.post(f"/apis/apps/v1/namespaces/{ns}/deployments", deployment("d", replicas=0)).ok()
    assert cluster.patch(scale, {"metadata": zero, "spec": {"replicas": 0}}).ok()["spec"] == {}


def test_version_zero_where_a_version_is_needed(cluster: Cluster, ns: str) -> None:
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    lease = {"metadata": {"name": "l", "resourceVersion": "0"}, "spec": {"holderIdentity": "me"}}
    assert cluster.put(f"{leases}/l", lease).status == 201
    for version in ("0", "", "00"):
        body = {**lease, "metadata": {"name": "l", "resourceVersion": version}}
        status = cluster.put(f"{leases}/l", body).fails(422, "Invalid")
        assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in status["message"]


def test_a_new_object_may_name_version_zero_alone(cluster: Cluster, maps: str) -> None:
    made = cluster.post(maps, config_map("zero", resourceVersion="0"))
    assert made.status == 201
    assert made.body["metadata"]["resourceVersion"] not in ("", "0")
    status = cluster.post(maps, config_map("one", resourceVersion="1"))
    assert (status.status, status.body["message"]) == (
        500,
        "resourceVersion should not be set on objects to be created",
    )
