# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from kubetwin.apiserver import schema
from kubetwin.apiserver.openapi import OpenApi
from kubetwin.apiserver.resources import Registry, ResourceType, Subresource
from kubetwin.apiserver.status import ApiError
from kubetwin.serving.http import Request, Response

WIDGET = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}


def widgets() -> ResourceType:
    status = Subresource("status", "example.com", "v1", "Widget", ("get", "patch", "update"))
    return ResourceType(
        group="example.com",
        version="v1",
        resource="widgets",
        kind="Widget",
        singular="widget",
        namespaced=True,
        list_kind="WidgetList",
        subresources={"status": status},
        storage_group="example.com",
        storage_version="v1",
        crd_version={"name": "v1", "schema": {"openAPIV3Schema": WIDGET}},
        schema=schema.from_crd(WIDGET),
    )


def get(openapi: OpenApi, address: str, **headers: str) -> Response:
    path, _, query = address.partition("?")
    parameters = dict([query.split("=")]) if query else {}
    return openapi.answer(Request("GET", path, {k: [v] for k, v in parameters.items()}, headers))


def body(response: Response) -> dict[str, Any]:
    assert response.status == 200
    assert response.body is not None
    return json.loads(response.body)


def index(openapi: OpenApi) -> dict[str, str]:
    return {path: item["serverRelativeURL"] for path, item in body(get(openapi, "/openapi/v3"))["paths"].items()}


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_every_document_of_the_index_is_complete() -> None:
    openapi = OpenApi(Registry(), "v1.36.2")
    addresses = index(openapi)
    assert {"api/v1", "apis/apps/v1", "apis/batch/v1"} <= set(addresses)
    for address in addresses.values():
        response = get(openapi, address)
        document = body(response)
        assert response.headers["Cache-Control"] == "public, immutable"
        assert document["openapi"] == "3.0.0"
        assert document["info"]["version"] == "1.36"
        schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
        assert references(document) <= schemas


def test_clients_find_what_a_kind_takes() -> None:
    openapi = OpenApi(Registry(), "v1.36.2")
    document = body(get(openapi, index(openapi)["apis/apps/v1"]))
    item = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    patch = item["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert patch["x-kubernetes-action"] == "patch"
    assert {p["name"] for p in patch["parameters"]} == {"dryRun", "fieldManager", "fieldValidation", "force"}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert {p["name"] for p in item["parameters"]} == {"name", "namespace", "pretty"}
    spec = document["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["properties"]["strategy"]["x-kubernetes-patch-strategy"] == "retainKeys"
    assert spec["properties"]["strategy"]["default"] == {}
    container = body(get(openapi, index(openapi)["api/v1"]))["components"]["schemas"]["io.k8s.api.core.v1.Container"]
    assert container["properties"]["imagePullPolicy"]["enum"] == ["Always", "IfNotPresent", "Never"]


def test_custom_resources_come_and_go_with_their_definition() -> None:
    registry = Registry()
    openapi = OpenApi(registry, "v1.36.2")
    assert "apis/example.com/v1" not in index(openapi)
    before = index(openapi)["apis/apps/v1"]
    registry.replace_custom("example.com", "widgets", [widgets()])
    addresses = index(openapi)
    assert addresses["apis/apps/v1"] == before
    document = body(get(openapi, addresses["apis/example.com/v1"]))
    model = document["components"]["schemas"]["com.example.v1.Widget"]
    assert model["x-kubernetes-group-version-kind"] == [{"group": "example.com", "kind": "Widget", "version": "v1"}]
    assert model["properties"]["spec"] == WIDGET["properties"]["spec"]
    assert references(document) <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    patch = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    second = body(get(openapi, "/openapi/v2"))
    assert "com.example.v1.Widget" in second["definitions"]
    registry.replace_custom("example.com", "widgets", [])
    assert "apis/example.com/v1" not in index(openapi)
    with pytest.raises(ApiError):
        get(openapi, addresses["apis/example.com/v1"])


def test_the_second_version_is_whole_in_json_only() -> None:
    openapi = OpenApi(Registry(), "v1.36.2")
    document = body(get(openapi, "/openapi/v2", accept="application/json"))
    assert document["swagger"] == "2.0"
    assert references(document) <= {f"#/definitions/{name}" for name in document["definitions"]}
    patch = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert "fieldValidation" in {p["name"] for p in patch["parameters"]}
    empty = get(openapi, "/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert empty.body == b"\x0a\x032.0\x12\x12\x0a\x0aKubernetes\x12\x041.36"
    assert empty.headers["Content-Type"].startswith("application/com.github.proto-openapi")
    with pytest.raises(ApiError) as caught:
        get(openapi, "/openapi/v2", accept="text/html")
    assert caught.value.code == 406


def test_a_document_that_the_client_has_is_not_sent_again() -> None:
    openapi = OpenApi(Registry(), "v1.36.2")
    address = index(openapi)["apis/apps/v1"]
    etag = get(openapi, address).headers["ETag"]
    again = openapi.answer(Request("GET", address.partition("?")[0], {}, {"if-none-match": etag}))
    assert (again.status, again.body) == (304, b"")
