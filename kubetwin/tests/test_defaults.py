# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from recorded import case, cases

from kubetwin.apiserver import defaults, schema
from kubetwin.apiserver.defaults.pods import pull_policy
from kubetwin.apiserver.fields import managed

# What a server sets after defaulting: its admission plugins and the resources' own preparation.
PREPARED: dict[str, tuple[str, ...]] = {
    "Pod": (
        "spec.preemptionPolicy",
        "spec.priority",
        "spec.serviceAccount",
        "spec.serviceAccountName",
        "spec.tolerations",
        "status.phase",
        "status.qosClass",
    ),
    "Service": ("spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies", "spec.ipFamilyPolicy"),
    "Job": ("metadata.labels", "spec.selector", "spec.template.metadata.labels"),
    "Namespace": ("spec.finalizers",),
    "PersistentVolume": ("metadata.finalizers", "status.lastPhaseTransitionTime"),
    "PersistentVolumeClaim": ("metadata.finalizers", "spec.storageClassName"),
    "DaemonSet": ("metadata.annotations",),
    "ClusterRole": ("rules",),
}


def without(obj: dict[str, Any], path: str) -> None:
    *parents, last = path.split(".")
    node: Any = obj
    for name in parents:
        node = node.get(name) if isinstance(node, dict) else None
        if node is None:
            return
    node.pop(last, None)


def comparable(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    for name in ("creationTimestamp", "generation", "managedFields"):
        metadata.pop(name, None)
    for path in PREPARED.get(obj["kind"], ()):
        without(obj, path)
    if obj["kind"] == "Pod":
        # The service account's admission adds a volume with the token, and a mount for it.
        spec = obj["spec"]
        for holder in (spec, *spec.get("containers", ()), *spec.get("initContainers", ())):
            for field in ("volumes", "volumeMounts"):
                kept = [item for item in holder.get(field) or () if not item["name"].startswith("kube-api-access-")]
                if kept:
                    holder[field] = kept
                else:
                    holder.pop(field, None)
    if obj["kind"] == "Service":
        for port in obj["spec"].get("ports") or ():
            port.pop("nodePort", None)
    return obj


@pytest.mark.parametrize("name", cases("defaults"))
def test_defaults_are_those_of_a_real_server(name: str) -> None:
    recorded = case("defaults", name)
    obj, answer = recorded["request"], recorded["answer"]
    node = schema.for_kind(obj["apiVersion"], obj["kind"])
    assert node is not None
    assert schema.decode(obj, node) == []
    defaults.apply(obj["apiVersion"], obj["kind"], obj)
    managed.update(
        None,
        obj,
        manager="rec",
        schema=node,
        api_version=obj["apiVersion"],
        now=answer["metadata"]["creationTimestamp"],
    )
    assert obj["metadata"].get("managedFields") == answer["metadata"].get("managedFields")
    again = schema.clone(obj)
    defaults.apply(obj["apiVersion"], obj["kind"], again)
    assert again == obj
    assert comparable(obj) == comparable(answer)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.25", "IfNotPresent"),
        ("registry.example:5000/nginx", "Always"),
        ("registry.example:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_the_requests_of_a_pod_follow_its_limits_but_not_those_of_a_template() -> None:
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": schema.clone(spec)}
    defaults.apply("v1", "Pod", pod)
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1"}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": schema.clone(spec)}}}
    defaults.apply("apps/v1", "Deployment", deployment)
    assert "requests" not in deployment["spec"]["template"]["spec"]["containers"][0]["resources"]


def test_a_stateful_set_on_delete_gets_no_rolling_update() -> None:
    obj: dict[str, Any] = {"spec": {"updateStrategy": {"type": "OnDelete"}}}
    defaults.apply("apps/v1", "StatefulSet", obj)
    assert obj["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert obj["spec"]["podManagementPolicy"] == "OrderedReady"


def test_plain_text_of_a_secret_becomes_data() -> None:
    obj: dict[str, Any] = {"stringData": {"a": "new", "b": "x"}, "data": {"a": "b2xk"}}
    defaults.apply("v1", "Secret", obj)
    assert obj == {"type": "Opaque", "data": {"a": "bmV3", "b": "eA=="}}


def test_custom_resources_get_the_defaults_of_their_schema() -> None:
    node = schema.from_crd(
        {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "default": {},
                    "properties": {
                        "size": {"type": "integer", "default": 3},
                        "list": {
                            "type": "array",
                            "items": {"type": "object", "properties": {"x": {"type": "string", "default": "y"}}},
                        },
                    },
                }
            },
        }
    )
    obj: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Widget"}
    defaults.apply("example.com/v1", "Widget", obj, node)
    assert obj["spec"] == {"size": 3}
    obj = {"spec": {"size": None, "list": [{}, {"x": "z"}]}}
    defaults.apply("example.com/v1", "Widget", obj, node)
    assert obj["spec"] == {"size": 3, "list": [{"x": "y"}, {"x": "z"}]}
