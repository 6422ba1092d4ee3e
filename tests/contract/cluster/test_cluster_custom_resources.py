# SPDX-License-Identifier: Apache-2.0
"""Custom resources: they appear with their definition, are validated, defaulted and pruned, and go with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cluster_harness import Cluster
from cluster_harness.exchanges import scenes
from cluster_harness.http import MERGE, STRATEGIC, TABLE

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def condition(obj: dict[str, Any], kind: str) -> str:
    found = [c["status"] for c in (obj.get("status", {}).get("conditions") or ()) if c["type"] == kind]
    return found[0] if found else ""


def is_served(cluster: Cluster, crd: dict[str, Any]) -> None:
    name, spec = crd["metadata"]["name"], crd["spec"]
    cluster.wait(f"{CRDS}/{name}", lambda found: condition(found, "Established") == "True")
    version = spec["versions"][0]["name"]
    cluster.wait(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}", lambda _: True)


@pytest.fixture
def widgets(cluster: Cluster, ns: str) -> Iterator[str]:
    """The path of a custom resource's collection, with the definition of the recorded scenes."""
    group = f"{ns}.example.com"
    crd = scenes("custom")["definitions"][0]["body"]
    crd["metadata"]["name"], crd["spec"]["group"] = f"widgets.{group}", group
    cluster.post(CRDS, crd).ok()
    is_served(cluster, crd)
    yield f"/apis/{group}/v1/namespaces/{ns}/widgets"
    cluster.delete(f"{CRDS}/widgets.{group}")


def widget(_name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": _name}, "spec": {"size": 3, **spec}}


def typed(path: str, obj: dict[str, Any]) -> dict[str, Any]:
    group = path.split("/")[2]
    return {"apiVersion": f"{group}/v1", "kind": "Widget", **obj}


def test_create_defaults_and_prunes(cluster: Cluster, widgets: str) -> None:
    sent = widget("a", unknown=1, free={"any": {"thing": 1}}, port="http", maybe=None)
    found = cluster.post(widgets, typed(widgets, sent)).ok()
    assert found["spec"] == {"size": 3, "color": "red", "free": {"any": {"thing": 1}}, "port": "http", "maybe": None}
    assert found["metadata"]["generation"] == 1
    assert cluster.get(f"{widgets}/a").ok() == found


def test_kind_and_version_are_required(cluster: Cluster, widgets: str) -> None:
    status = cluster.post(widgets, widget("a")).fails(400, "BadRequest")
    assert "Object 'Kind' is missing" in status["message"]


def test_schema_violations(cluster: Cluster, widgets: str) -> None:
    bad = widget("a", size=11, color="blue", name="UPPER", items=[{"value": "x"}], port=1.5)
    status = cluster.post(widgets, typed(widgets, bad)).fails(422, "Invalid")
    found = {(cause["field"], cause["reason"]) for cause in status["details"]["causes"]}
    assert found == {
        ("spec.size", "FieldValueInvalid"),
        ("spec.color", "FieldValueNotSupported"),
        ("spec.name", "FieldValueInvalid"),
        ("spec.items[0].key", "FieldValueRequired"),
        ("spec.port", "FieldValueTypeInvalid"),
    }
    messages = {cause["field"]: cause["message"] for cause in status["details"]["causes"]}
    assert messages["spec.size"] == "Invalid value: 11: spec.size in body should be less than or equal to 10"
    assert messages["spec.color"] == 'Unsupported value: "blue": supported values: "red", "green"'
    assert messages["spec.name"] == "Invalid value: \"UPPER\": spec.name in body should match '^[a-z]+$'"
    assert messages["spec.items[0].key"] == "Required value"


def test_types_and_lengths(cluster: Cluster, widgets: str) -> None:
    status = cluster.post(widgets, typed(widgets, widget("a", size="big"))).fails(422, "Invalid")
    assert status["details"]["causes"][0]["message"] == (
        'Invalid value: "string": spec.size in body must be of type integer: "string"'
    )
    status = cluster.post(widgets, typed(widgets, widget("a", name="abcdef"))).fails(422, "Invalid")
    assert "Too long: may not be more than 5 bytes" in status["message"]
    status = cluster.post(widgets, typed(widgets, {"metadata": {"name": "a"}, "spec": {}})).fails(422, "Invalid")
    assert status["message"] == f'Widget.{widgets.split("/")[2]} "a" is invalid: spec.size: Required value'
    many = [{"key": "a"}, {"key": "b"}, {"key": "c"}]
    status = cluster.post(widgets, typed(widgets, widget("a", items=many))).fails(422, "Invalid")
    assert "spec.items: Too many: 3: must have at most 2 items" in status["message"]
    status = cluster.post(widgets, typed(widgets, widget("a", items=[{"key": "a"}, {"key": "a"}]))).fails(
        422, "Invalid"
    )
    assert 'spec.items[1]: Duplicate value: {"key":"a"}' in status["message"]


def test_strict_validation_names_unknown_fields(cluster: Cluster, widgets: str) -> None:
    status = cluster.post(widgets, typed(widgets, widget("a", unknown=1)), query={"fieldValidation": "Strict"}).fails(
        400, "BadRequest"
    )
    assert 'strict decoding error: unknown field "spec.unknown"' in status["message"]


def test_status_and_generation(cluster: Cluster, widgets: str) -> None:
    created = cluster.post(widgets, typed(widgets, {**widget("a"), "status": {"replicas": 3}})).ok()
    assert "status" not in created
    patched = cluster.patch(f"{widgets}/a/status", {"status": {"replicas": 2}, "spec": {"size": 9}}).ok()
    assert patched["status"] == {"replicas": 2}
    assert (patched["spec"]["size"], patched["metadata"]["generation"]) == (3, 1)
    patched = cluster.patch(f"{widgets}/a", {"status": {"replicas": 5}, "spec": {"size": 9}}).ok()
    assert patched["status"] == {"replicas": 2}
    assert (patched["spec"]["size"], patched["metadata"]["generation"]) == (9, 2)
    patched = cluster.patch(f"{widgets}/a", {"metadata": {"labels": {"a": "b"}}}).ok()
    assert patched["metadata"]["generation"] == 2


def test_scale(cluster: Cluster, widgets: str) -> None:
    cluster.post(widgets, typed(widgets, widget("a", replicas=2))).ok()
    scale = cluster.get(f"{widgets}/a/scale").ok()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 2}, {"replicas": 0})
    cluster.patch(f"{widgets}/a/scale", {"spec": {"replicas": 4}}).ok()
    assert cluster.get(f"{widgets}/a").ok()["spec"]["replicas"] == 4


def test_strategic_patches_are_not_for_custom_resources(cluster: Cluster, widgets: str) -> None:
    cluster.post(widgets, typed(widgets, widget("a"))).ok()
    status = cluster.patch(f"{widgets}/a", {"spec": {"size": 4}}, STRATEGIC).fails(415, "UnsupportedMediaType")
    assert status["message"] == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )
    assert cluster.patch(f"{widgets}/a", {"spec": {"size": 4}}, MERGE).ok()["spec"]["size"] == 4


def test_apply_merges_lists_by_their_keys(cluster: Cluster, widgets: str) -> None:
    one = typed(widgets, widget("a", items=[{"key": "x", "value": "1"}]))
    cluster.apply(f"{widgets}/a", one, manager="one").ok()
    two = typed(widgets, {"metadata": {"name": "a"}, "spec": {"size": 3, "items": [{"key": "y", "value": "2"}]}})
    found = cluster.apply(f"{widgets}/a", two, manager="two").ok()
    assert found["spec"]["items"] == [{"key": "x", "value": "1"}, {"key": "y", "value": "2"}]
    three = typed(widgets, {"metadata": {"name": "a"}, "spec": {"items": [{"key": "y", "value": "3"}]}})
    status = cluster.apply(f"{widgets}/a", three, manager="three").fails(409, "Conflict")
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "two"', "field": '.spec.items[key="y"].value'}
    ]


def test_table(cluster: Cluster, widgets: str) -> None:
    cluster.post(widgets, typed(widgets, widget("a"))).ok()
    cluster.patch(f"{widgets}/a/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}).ok()
    table = cluster.get(widgets, accept=TABLE).ok()
    assert [(c["name"], c["type"], c["priority"]) for c in table["columnDefinitions"]] == [
        ("Name", "string", 0),
        ("Size", "integer", 0),
        ("Ready", "string", 1),
        ("Age", "date", 0),
    ]
    assert table["rows"][0]["cells"][:3] == ["a", 3, "True"]


def test_discovery_of_the_group(cluster: Cluster, widgets: str) -> None:
    group = widgets.split("/")[2]
    resources = cluster.get(f"/apis/{group}/v1").ok()["resources"]
    assert [r["name"] for r in resources] == ["widgets", "widgets/status", "widgets/scale"]
    assert resources[0]["shortNames"] == ["wd"]
    assert resources[0]["categories"] == ["all"]
    assert resources[0]["singularName"] == "widget"
    assert group in [g["name"] for g in cluster.get("/apis").ok()["groups"]]


def test_a_definition_goes_with_its_objects(cluster: Cluster, widgets: str) -> None:
    group = widgets.split("/")[2]
    cluster.post(widgets, typed(widgets, widget("a"))).ok()
    cluster.delete(f"{CRDS}/widgets.{group}").ok()
    cluster.wait_gone(f"{CRDS}/widgets.{group}")
    cluster.wait_gone(f"{widgets}/a")


def test_names_that_are_taken(cluster: Cluster, ns: str) -> None:
    group = f"{ns}.example.com"
    spec = {
        "group": group,
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    }
    first = {"metadata": {"name": f"ones.{group}"}, "spec": {**spec, "names": {"plural": "ones", "kind": "Same"}}}
    second = {"metadata": {"name": f"twos.{group}"}, "spec": {**spec, "names": {"plural": "twos", "kind": "Same"}}}
    try:
        cluster.post(CRDS, first).ok()
        is_served(cluster, first)
        cluster.post(CRDS, second).ok()
        found = cluster.wait(f"{CRDS}/twos.{group}", lambda crd: condition(crd, "NamesAccepted") == "False")
        assert condition(found, "Established") == "False"
        created = cluster.post(
            f"/apis/{group}/v1/ones", {"apiVersion": f"{group}/v1", "kind": "Same", "metadata": {"name": "x"}, "any": 1}
        ).ok()
        assert created["any"] == 1
    finally:
        for name in ("ones", "twos"):
            cluster.delete(f"{CRDS}/{name}.{group}")


def test_version_zero_is_no_version(cluster: Cluster, widgets: str) -> None:
    zero = typed(widgets, {**widget("a"), "metadata": {"name": "a", "resourceVersion": "0"}})
    assert cluster.post(widgets, zero).status == 201
    status = cluster.put(f"{widgets}/a", zero).fails(422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in status["message"]


def test_deprecated_versions_warn(cluster: Cluster, ns: str) -> None:
    group, kind = f"{ns}.example.com", "Old"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    common = {"served": True, "storage": False, "schema": schema, "subresources": {"status": {}}}
    versions: list[dict[str, Any]] = [
        {**common, "name": "v2", "storage": True},
        {**common, "name": "v3alpha1"},
        {**common, "name": "v1", "deprecated": True},
        {**common, "name": "v1beta1", "deprecated": True, "deprecationWarning": 'gone "soon"'},
        {**common, "name": "v4", "deprecated": True},
    ]
    names = {"plural": "olds", "kind": kind}
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": versions}
    crd = {"metadata": {"name": f"olds.{group}"}, "spec": spec}
    cluster.post(CRDS, crd).ok()
    try:
        is_served(cluster, crd)
        said = {
            "v2": [],
            "v3alpha1": [],
            "v1": [f'299 - "{group}/v1 Old is deprecated; use {group}/v2 Old"'],
            "v1beta1": ['299 - "gone \\"soon\\""'],
            "v4": [f'299 - "{group}/v4 Old is deprecated"'],
        }
        for version, wanted in said.items():
            path = f"/apis/{group}/{version}/namespaces/{ns}/olds"
            cluster.wait(path, lambda _: True)
            obj = {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": version}}
            assert cluster.post(path, obj).headers.get_list("warning") == wanted
            assert cluster.get(path).headers.get_list("warning") == wanted
            assert cluster.get(f"{path}/none").headers.get_list("warning") == wanted
            assert cluster.patch(f"{path}/{version}/status", {}).headers.get_list("warning") == wanted
    finally:
        cluster.delete(f"{CRDS}/olds.{group}")
