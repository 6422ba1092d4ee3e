# SPDX-License-Identifier: Apache-2.0
"""The form of answers: indented for people, and metrics as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.http import APPLY, JSON_PATCH, MERGE, STRATEGIC, Answer
from cluster_harness.objects import config_map, deployment

PATH = "/api/v1/namespaces/default"


def indented(answer: Answer) -> bool:
    text = answer.text
    return text == json.dumps(json.loads(text), indent=2, ensure_ascii=False)


@pytest.mark.parametrize("agent", ["curl/8.5.0", "Wget/1.21", "Mozilla/5.0 (X11; Linux x86_64)"])
def test_programs_of_people_get_indented_answers(cluster: Cluster, agent: str) -> None:
    person = replace(cluster, headers={**cluster.headers, "User-Agent": agent})
    for path in (PATH, "/api/v1/namespaces", "/api/v1/namespaces/none", "/api", "/apis/apps/v1"):
        assert indented(person.get(path)), path
        assert not indented(person.get(path, query={"pretty": "false"})), path


def test_others_get_them_when_they_ask(cluster: Cluster) -> None:
    for value in ("true", "True", "1", "t", "TRUE"):
        assert indented(cluster.get(PATH, query={"pretty": value})), value
    for value in ("", "false", "0", "yes", "on"):
        answer = cluster.get(PATH, query={"pretty": value})
        assert not indented(answer), value
        assert answer.text.endswith("}\n")
    assert indented(cluster.get(PATH, accept="application/json;pretty=1"))
    table = cluster.get(PATH, query={"pretty": "true"}, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert indented(table)


def test_what_is_written_is_indented_too(cluster: Cluster, ns: str) -> None:
    maps = f"/api/v1/namespaces/{ns}/configmaps"
    assert indented(cluster.post(maps, config_map("a", {"k": 'ä"\\'}), query={"pretty": "true"}))
    assert indented(cluster.patch(f"{maps}/a", {"data": {"empty": ""}}, query={"pretty": "true"}))


def test_events_of_a_watch_are_never_indented(cluster: Cluster) -> None:
    with cluster.watch("/api/v1/namespaces", pretty="true", fieldSelector="metadata.name=default") as watch:
        assert watch.next()["type"] == "ADDED"


def test_the_version_is_always_indented(cluster: Cluster) -> None:
    assert indented(cluster.get("/version"))
    assert not indented(cluster.get("/openapi/v3", query={"pretty": "true"}))


def test_metrics(cluster: Cluster) -> None:
    cluster.get(PATH).ok()
    answer = cluster.get("/metrics", accept="*/*")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE apiserver_request_total counter" in answer.text
    counted = re.search(r'^apiserver_request_total\{[^}]*resource="namespaces"[^}]*\} (\S+)$', answer.text, re.M)
    assert counted, answer.text[:2000]
    assert float(counted[1]) > 0
    assert cluster.get("/metrics", user="nobody").status == 403


def _sorted(value: Any) -> bool:
    return list(value) == sorted(value)


@pytest.mark.parametrize("kind", [MERGE, STRATEGIC, JSON_PATCH, APPLY])
def test_maps_are_sorted_whatever_was_sent(cluster: Cluster, ns: str, kind: str) -> None:
    path = f"/api/v1/namespaces/{ns}/configmaps"
    unsorted = {"z": "1", "b": "2"}
    made = cluster.post(path, config_map("m", unsorted, labels=unsorted, annotations=unsorted)).ok()
    body: Any = {"metadata": {"labels": {"c": "3", "a": "4"}}, "data": {"c": "3", "a": "4"}}
    if kind == JSON_PATCH:
        body = [
            {"op": "add", "path": f"/{part}/{key}", "value": "3"}
            for part in ("metadata/labels", "data")
            for key in "ca"
        ]
    elif kind == APPLY:
        body = {"apiVersion": "v1", "kind": "ConfigMap", **body, "metadata": {"name": "m", **body["metadata"]}}
    cluster.patch(f"{path}/m", body, kind, query={"fieldManager": "m"}).ok()
    for found in (made, cluster.get(f"{path}/m").ok()):
        assert _sorted(found["data"])
        assert _sorted(found["metadata"]["labels"])
        assert _sorted(found["metadata"]["annotations"])
    assert list(found["data"]) == ["a", "b", "c", "z"]


def test_maps_inside_of_objects_are_sorted(cluster: Cluster, ns: str) -> None:
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    cluster.post(path, deployment("d", replicas=0, nodeSelector={"z": "1", "b": "2"})).ok()
    body = {"spec": {"template": {"spec": {"nodeSelector": {"a": "3"}}}}}
    found = cluster.patch(f"{path}/d", body, STRATEGIC).ok()
    assert list(found["spec"]["template"]["spec"]["nodeSelector"]) == ["a", "b", "z"]
