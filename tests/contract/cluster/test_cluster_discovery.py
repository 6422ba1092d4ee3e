# SPDX-License-Identifier: Apache-2.0
"""Discovery (aggregated and not), versions, OpenAPI."""

from __future__ import annotations

import re

import pytest
from cluster_harness import Cluster

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
GROUPS = [
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
]


def test_groups(cluster: Cluster) -> None:
    found = cluster.get("/apis").ok()
    assert found["kind"] == "APIGroupList"
    names = [group["name"] for group in found["groups"]]
    assert [name for name in names if name in GROUPS] == GROUPS, "in this order"
    autoscaling = next(group for group in found["groups"] if group["name"] == "autoscaling")
    assert [version["version"] for version in autoscaling["versions"]] == ["v2", "v1"]
    assert autoscaling["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_aggregated(cluster: Cluster, path: str) -> None:
    answer = cluster.get(path, accept=f"{AGGREGATED},application/json")
    found = answer.ok()
    assert answer.headers["content-type"] == AGGREGATED
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    assert answer.headers["vary"] == "Accept"
    for group in found["items"]:
        for version in group["versions"]:
            assert version["freshness"] == "Current"
            for resource in version["resources"]:
                assert resource["scope"] in ("Namespaced", "Cluster")
                assert {"resource", "responseKind", "singularResource", "verbs"} <= set(resource)


def test_aggregated_discovery_says_what_the_plain_one_says(cluster: Cluster) -> None:
    for root, kind in (("/api", ""), ("/apis", "apps"), ("/apis", "autoscaling"), ("/apis", "batch")):
        groups = cluster.get(root, accept=AGGREGATED).ok()["items"]
        group = next(item for item in groups if item["metadata"].get("name", "") == kind)
        for version in group["versions"]:
            path = f"/api/{version['version']}" if not kind else f"/apis/{kind}/{version['version']}"
            plain = cluster.get(path).ok()["resources"]
            told = set()
            for resource in version["resources"]:
                told.add((resource["resource"], resource["responseKind"]["kind"], tuple(resource["verbs"])))
                for part in resource.get("subresources", ()):
                    name = f"{resource['resource']}/{part['subresource']}"
                    told.add((name, part["responseKind"]["kind"], tuple(part["verbs"])))
            # Subresources without a parent of their own (bindings) aside, both must list the same.
            assert told == {(r["name"], r["kind"], tuple(r["verbs"])) for r in plain}


def test_aggregated_discovery_can_be_cached(cluster: Cluster) -> None:
    first = cluster.get("/apis", accept=AGGREGATED)
    assert first.headers["cache-control"] == "public"
    tag = first.headers["etag"]
    again = cluster.get("/apis", accept=AGGREGATED, headers={"If-None-Match": tag})
    assert again.status == 304
    assert again.content == b""


def test_version(cluster: Cluster) -> None:
    found = cluster.get("/version").ok()
    assert found["major"] == "1"
    assert int(found["minor"].rstrip("+")) >= 36
    assert re.fullmatch(r"v1\.\d+\.\d+.*", found["gitVersion"])
    assert {"gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"} <= set(found)


def test_health(cluster: Cluster) -> None:
    for path in ("/healthz", "/livez", "/readyz"):
        assert cluster.get(path).text == "ok"
    assert "readyz check passed" in cluster.get("/readyz", query={"verbose": ""}).text


def test_openapi_v3_index(cluster: Cluster) -> None:
    paths = cluster.get("/openapi/v3").ok()["paths"]
    for path in ("api/v1", "apis/apps/v1", "apis/batch/v1", "apis/apiextensions.k8s.io/v1"):
        assert re.fullmatch(rf"/openapi/v3/{path}\?hash=[0-9A-F]+", paths[path]["serverRelativeURL"])
    address = paths["apis/apps/v1"]["serverRelativeURL"]
    answer = cluster.get(address)
    document = answer.ok()
    assert document["openapi"] == "3.0.0"
    name = "io.k8s.api.apps.v1.Deployment"
    deployment = document["components"]["schemas"][name]
    assert deployment["x-kubernetes-group-version-kind"] == [{"group": "apps", "kind": "Deployment", "version": "v1"}]
    assert "/apis/apps/v1/namespaces/{namespace}/deployments/{name}" in document["paths"]
    assert answer.headers["etag"]


def test_openapi_v2(cluster: Cluster) -> None:
    document = cluster.get("/openapi/v2").ok()
    assert document["swagger"] == "2.0"
    pod = document["definitions"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert pod["x-kubernetes-patch-merge-key"] == "name"
    assert pod["x-kubernetes-patch-strategy"] == "merge"
    patch = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert patch["x-kubernetes-action"] == "patch"
    named = " ".join(p.get("name", p.get("$ref", "")) for p in patch["parameters"])
    for parameter in ("dryRun", "fieldManager", "fieldValidation", "force"):
        assert parameter in named


def test_protobuf_is_refused_politely(cluster: Cluster, ns: str) -> None:
    """A client that would like protobuf, and takes JSON, gets JSON from a twin and protobuf from a real cluster."""
    path = f"/api/v1/namespaces/{ns}/configmaps"
    kind = "application/vnd.kubernetes.protobuf"
    answer = cluster.get(path, accept=f"{kind},application/json")
    assert answer.status == 200
    assert answer.headers["content-type"] == ("application/json" if cluster.is_twin else kind)
    only = cluster.get(path, accept=kind)
    sent = cluster.post(path, b"k8s\x00", content_type=kind)
    sent.fails(400, "BadRequest")
    if cluster.is_twin:
        status = only.fails(406, "NotAcceptable")
        assert "application/json" in status["message"]
    else:
        assert only.content.startswith(b"k8s\x00")


def test_gzip_of_large_answers(cluster: Cluster) -> None:
    answer = cluster.get("/openapi/v2", headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("content-encoding") == "gzip"
    small = cluster.get("/version", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_texts_of_operations(cluster: Cluster) -> None:
    paths = cluster.get("/openapi/v2").ok()["paths"]

    def told(path: str, method: str) -> tuple[str, str]:
        operation = paths[path][method]
        return operation["description"], operation["operationId"]

    maps, claims = "/api/v1/namespaces/{namespace}/configmaps", "/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    assert told(maps, "get") == ("list or watch objects of kind ConfigMap", "listCoreV1NamespacedConfigMap")
    assert told(f"{maps}/{{name}}", "patch")[0] == "partially update the specified ConfigMap"
    assert told("/api/v1/componentstatuses", "get")[0] == "list objects of kind ComponentStatus"
    assert told("/api/v1/namespaces/{namespace}/endpoints", "post")[0] == "create Endpoints"
    assert told("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses", "post")[0] == "create an Ingress"
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    assert told(roles, "get")[1] == "listRbacAuthorizationV1ClusterRole"
    deleted = paths[f"{claims}/{{name}}"]["delete"]["responses"]["200"]["schema"]["$ref"]
    assert deleted == "#/definitions/io.k8s.api.core.v1.PersistentVolumeClaim"
    deleted = paths[f"{maps}/{{name}}"]["delete"]["responses"]["200"]["schema"]["$ref"]
    assert deleted == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Status"
