# SPDX-License-Identifier: Apache-2.0
"""Watches: order, selectors, resuming, bookmarks, initial events, expiry, tables."""

from __future__ import annotations

import pytest
from cluster_harness import Cluster
from cluster_harness.http import TABLE, Obj
from cluster_harness.objects import config_map


@pytest.fixture
def path(cluster: Cluster, ns: str) -> str:
    found = f"/api/v1/namespaces/{ns}/configmaps"
    cluster.wait(f"{found}/kube-root-ca.crt", lambda _: True)
    return found


def now(cluster: Cluster, path: str) -> str:
    return str(cluster.get(path).ok()["metadata"]["resourceVersion"])


def short(events: list[Obj]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


def test_changes_come_in_order(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, resourceVersion=now(cluster, path)) as watch:
        first = cluster.post(path, config_map("a")).ok()
        second = cluster.patch(f"{path}/a", {"data": {"k": "v"}}).ok()
        cluster.delete(f"{path}/a").ok()
        added, modified, deleted = watch.take(3)
    assert [added["type"], modified["type"], deleted["type"]] == ["ADDED", "MODIFIED", "DELETED"]
    assert added["object"] == {"kind": "ConfigMap", "apiVersion": "v1", **first}
    assert modified["object"]["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert deleted["object"]["data"] == {"k": "v"}
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in (added, modified, deleted)]
    assert versions == sorted(set(versions)), "a deletion has a version of its own"


def test_headers(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, resourceVersion=now(cluster, path), timeoutSeconds=1) as watch:
        assert watch.response.headers["content-type"] == "application/json"
        assert watch.response.headers.get("transfer-encoding") == "chunked"
        assert watch.rest() == []


def test_resume_from_a_version(cluster: Cluster, path: str) -> None:
    start = now(cluster, path)
    for name in "abc":
        cluster.post(path, config_map(name)).ok()
    with cluster.watch(path, resourceVersion=start) as watch:
        events = watch.take(3)
    assert short(events) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
    second = events[1]["object"]["metadata"]["resourceVersion"]
    with cluster.watch(path, resourceVersion=second) as watch:
        assert short(watch.take(1)) == [("ADDED", "c")]


def test_without_a_version_what_is_there_comes_first(cluster: Cluster, path: str) -> None:
    cluster.post(path, config_map("a")).ok()
    with cluster.watch(path) as watch:
        assert sorted(short(watch.take(2))) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        cluster.post(path, config_map("b")).ok()
        assert short(watch.take(1)) == [("ADDED", "b")]


def test_a_selector_makes_changes_into_additions_and_deletions(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, resourceVersion=now(cluster, path), labelSelector="on=yes") as watch:
        cluster.post(path, config_map("a")).ok()
        cluster.patch(f"{path}/a", {"metadata": {"labels": {"on": "yes"}}}).ok()
        cluster.patch(f"{path}/a", {"data": {"k": "v"}}).ok()
        gone = cluster.patch(f"{path}/a", {"metadata": {"labels": {"on": "no"}}}).ok()
        events = watch.take(3)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[2]["object"]["metadata"]["labels"] == {"on": "yes"}, "a deletion shows what the watch last knew"
    assert events[2]["object"]["metadata"]["resourceVersion"] == gone["metadata"]["resourceVersion"]


def test_one_object_by_name(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, resourceVersion=now(cluster, path), fieldSelector="metadata.name=b") as watch:
        for name in "abc":
            cluster.post(path, config_map(name)).ok()
        assert short(watch.take(1)) == [("ADDED", "b")]


def test_the_old_watch_path(cluster: Cluster, ns: str, path: str) -> None:
    start = now(cluster, path)
    with cluster.watch(f"/api/v1/watch/namespaces/{ns}/configmaps", resourceVersion=start) as watch:
        cluster.post(path, config_map("a")).ok()
        assert short(watch.take(1)) == [("ADDED", "a")]


def test_all_namespaces(cluster: Cluster, ns: str, path: str) -> None:
    with cluster.watch("/api/v1/configmaps", resourceVersion=now(cluster, path)) as watch:
        cluster.post(path, config_map("a")).ok()
        event = watch.until(lambda found: found["object"]["metadata"]["namespace"] == ns)
        assert event["object"]["metadata"]["name"] == "a"


def test_initial_events_end_with_a_bookmark(cluster: Cluster, path: str) -> None:
    cluster.post(path, config_map("a")).ok()
    query = {"sendInitialEvents": True, "allowWatchBookmarks": True, "resourceVersionMatch": "NotOlderThan"}
    with cluster.watch(path, **query) as watch:
        bookmark = watch.until(lambda event: event["type"] == "BOOKMARK")
        assert sorted(short(watch.seen[:-1])) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
        metadata = bookmark["object"]["metadata"]
        assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["object"]["kind"] == "ConfigMap"
        last = cluster.get(f"{path}/a").ok()["metadata"]["resourceVersion"]
        assert int(metadata["resourceVersion"]) >= int(last)
        cluster.post(path, config_map("b")).ok()
        assert short(watch.take(1)) == [("ADDED", "b")]


def test_initial_events_need_their_match(cluster: Cluster, path: str) -> None:
    query = {"watch": True, "sendInitialEvents": True, "allowWatchBookmarks": True}
    status = cluster.get(path, query=query).fails(422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "resourceVersionMatch"
    assert "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan" in status["message"]


def test_bookmarks_come_before_the_end(cluster: Cluster, path: str) -> None:
    start = now(cluster, path)
    with cluster.watch(path, resourceVersion=start, allowWatchBookmarks=True, timeoutSeconds=3) as watch:
        events = watch.rest()
    bookmarks = [event for event in events if event["type"] == "BOOKMARK"]
    assert bookmarks, "a bookmark is sent shortly before a watch times out"
    found = bookmarks[-1]["object"]
    assert (found["kind"], found["apiVersion"]) == ("ConfigMap", "v1")
    assert int(found["metadata"]["resourceVersion"]) >= int(start)


def test_an_old_version_is_gone(cluster: Cluster, path: str) -> None:
    cluster.needs_compaction()
    answer = cluster.get(path, query={"watch": True, "resourceVersion": "1", "timeoutSeconds": 5})
    if answer.status == 410:
        status = answer.body
    else:
        event = answer.body
        assert event["type"] == "ERROR"
        status = event["object"]
    assert (status["kind"], status["reason"], status["code"]) == ("Status", "Expired", 410)
    assert status["message"].startswith("too old resource version: 1 (")


def test_an_old_exact_list_is_gone(cluster: Cluster, path: str) -> None:
    cluster.needs_compaction()
    query = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    status = cluster.get(path, query=query).fails(410, "Expired")
    assert status["message"] == "The resourceVersion for the provided list is too old."


def test_tables(cluster: Cluster, path: str) -> None:
    with cluster.watch(path, resourceVersion=now(cluster, path), accept=TABLE) as watch:
        assert watch.response.headers["content-type"] == "application/json"
        cluster.post(path, config_map("a")).ok()
        cluster.post(path, config_map("b")).ok()
        first, second = watch.take(2)
    assert first["object"]["kind"] == "Table"
    assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert first["object"]["rows"][0]["cells"][:2] == ["a", 0]
    assert second["object"]["columnDefinitions"] is None, "only the first event carries the columns"


def test_metadata_only(cluster: Cluster, path: str) -> None:
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    with cluster.watch(path, resourceVersion=now(cluster, path), accept=accept) as watch:
        cluster.post(path, config_map("a", {"k": "v"})).ok()
        found = watch.next()["object"]
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert "data" not in found


def test_a_namespace_that_is_not_there_can_be_watched(cluster: Cluster) -> None:
    with cluster.watch("/api/v1/namespaces/no-such-place/configmaps", timeoutSeconds=1) as watch:
        assert watch.rest() == []
