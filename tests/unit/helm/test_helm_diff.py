# SPDX-License-Identifier: Apache-2.0
"""Differences that people read, and what client-side apply makes of a live object."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from backout.helm.merge import three_way, two_way
from backout.kube.diff import diff_objects, quantity
from backout.kube.templates import Templates, covers, fits


def deployment(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "uid": "u", "resourceVersion": "5", "managedFields": [{}]},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:1", **container}]}}},
        "status": {"replicas": 3},
    }


def paths(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    return {change.path: (change.before, change.after) for change in diff_objects(before, after)}


def test_an_image_is_named_by_its_container() -> None:
    before, after = deployment(), deployment(image="web:2")
    after["spec"]["template"]["spec"]["containers"].insert(0, {"name": "side", "image": "s:1"})
    found = paths(before, after)
    assert found["spec.template.spec.containers[name=web].image"] == ("web:1", "web:2")
    assert found["spec.template.spec.containers[name=side].image"] == (None, "s:1")


def test_status_and_bookkeeping_are_no_difference() -> None:
    after = deployment()
    after["metadata"] |= {"uid": "other", "generation": 9, "annotations": {"deployment.kubernetes.io/revision": "4"}}
    after["status"] = {}
    assert paths(deployment(), after) == {}


@pytest.mark.parametrize(
    ("one", "other"), [("100m", 0.1), ("1Gi", 1073741824), ("1", 1), ("0.5", "500m"), ("1e3", "1k")]
)
def test_equal_quantities_are_no_difference(one: Any, other: Any) -> None:
    assert paths(deployment(resources={"limits": {"cpu": one}}), deployment(resources={"limits": {"cpu": other}})) == {}
    assert quantity(one) == quantity(other)


def test_a_lowered_limit_is_a_difference() -> None:
    found = paths(
        deployment(resources={"limits": {"memory": "1Gi"}}), deployment(resources={"limits": {"memory": "1M"}})
    )
    assert found == {"spec.template.spec.containers[name=web].resources.limits.memory": ("1Gi", "1M")}


def test_an_empty_field_is_like_an_absent_one_but_false_is_not() -> None:
    assert paths(deployment(args=[]), deployment()) == {}
    assert paths(deployment(tty=False), deployment()) != {}


def test_odd_keys_are_quoted() -> None:
    before, after = deployment(), deployment()
    after["metadata"]["annotations"] = {"example.org/team": "sre"}
    assert list(paths(before, after)) == ['metadata.annotations["example.org/team"]']


def test_secrets_never_show() -> None:
    before = {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"key": "c2VjcmV0LW9uZQ=="},
        "stringData": {"a": "plain1"},
    }
    after = {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"key": "c2VjcmV0LXR3bw=="},
        "stringData": {"a": "plain2"},
    }
    text = msgspec.json.encode(diff_objects(before, after)).decode()
    assert "c2Vj" not in text and "plain" not in text
    changes = diff_objects(before, after)
    assert [change.path for change in changes] == ["data.key", "stringData.a"]
    assert all(change.secret and change.before != change.after for change in changes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            deployment(env=[{"name": "DB_PASSWORD", "value": "hunter2"}]),
            deployment(env=[{"name": "DB_PASSWORD", "value": "x"}]),
        ),
        (deployment(args=["--api-key=hunter2"]), deployment(args=["--api-key=other"])),
        (deployment(args=["https://user:hunter2@host/"]), deployment(args=["https://host/"])),
        ({"kind": "ConfigMap", "data": {"password": "hunter2"}}, {"kind": "ConfigMap", "data": {"password": "n"}}),
        (
            {"kind": "ConfigMap", "data": {"c.yml": "a: 1\npassword: hunter2\n"}},
            {"kind": "ConfigMap", "data": {"c.yml": ""}},
        ),
        ({"kind": "Thing", "spec": {"auth": {"token": "hunter2"}}}, {"kind": "Thing", "spec": {}}),
        ({"kind": "Thing", "spec": {"x": ["password=hunter2"]}}, None),
    ],
)
def test_values_with_telling_names_never_show(before: dict[str, Any], after: dict[str, Any] | None) -> None:
    assert diff_objects(before, after)
    assert "hunter2" not in msgspec.json.encode(diff_objects(before, after)).decode()


def test_references_to_secrets_are_shown() -> None:
    before, after = deployment(), deployment()
    after["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "objstore"}}]
    assert ("spec.template.spec.volumes[name=v].secret.secretName", (None, "objstore")) in paths(before, after).items()


def test_a_three_way_merge_keeps_what_others_added_and_drops_what_the_target_lacks() -> None:
    base = deployment(env=[{"name": "OLD", "value": "1"}], image="web:2")
    target = deployment(image="web:1")
    live = json.loads(json.dumps(base))
    live["spec"]["replicas"] = 7
    live["spec"]["template"]["spec"]["containers"].append({"name": "injected", "image": "proxy:1"})
    live["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "BY_HAND", "value": "2"})
    merged = three_way(base, target, live)
    web, injected = merged["spec"]["template"]["spec"]["containers"]
    assert web["image"] == "web:1"
    assert injected["name"] == "injected"
    assert merged["spec"]["replicas"] == 7
    assert "env" not in web, "a list that only the base manifest has goes as a whole"


def test_drift_is_reverted_in_built_in_kinds_and_kept_in_custom_resources() -> None:
    manifest = {"spec": {"retention": "10d", "replicas": 2, "list": [1]}}
    live = {"spec": {"retention": "2d", "replicas": 2, "list": [1], "paused": True}}
    assert three_way(manifest, manifest, live)["spec"]["retention"] == "10d"
    assert two_way(manifest, manifest, live) == live
    older = {"spec": {"retention": "10d", "replicas": 1}}
    assert two_way(manifest, older, live)["spec"] == {"retention": "2d", "replicas": 1, "paused": True}


def test_a_template_with_defaults_is_recognised() -> None:
    wanted = {
        "spec": {
            "containers": [
                {"name": "c", "image": "a:1", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "0.1"}}}
            ]
        }
    }
    live = {
        "metadata": {"labels": {"pod-template-hash": "x"}},
        "spec": {
            "restartPolicy": "Always",
            "containers": [
                {
                    "name": "c",
                    "image": "a:1",
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {"limits": {"cpu": "100m"}},
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                }
            ],
        },
    }
    assert covers(live, wanted)
    assert not covers(live, {"spec": {"containers": [{"name": "c", "image": "a:2"}]}})
    assert not covers(live, {"spec": {"containers": [{"name": "c", "image": "a:1"}, {"name": "d"}]}})


def test_of_two_fitting_templates_the_one_that_says_more_is_meant() -> None:
    small = {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}}
    large = {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "a:1", "args": ["x"]}]}}
    templates = Templates({"small": small, "large": large})
    assert templates.best_match(large) == "large"
    assert templates.best_match(small) == "small"
    assert templates.best_match({"spec": {"containers": [{"name": "c", "image": "b"}]}}) is None


def test_zero_values_that_a_server_leaves_out_do_not_make_a_template_another() -> None:
    probe = {"httpGet": {"port": 80, "httpHeaders": []}}
    container = {"name": "main", "image": "web:1", "env": [], "readinessProbe": {**probe, "initialDelaySeconds": 0}}
    wanted = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"hostNetwork": False, "nodeSelector": {}, "containers": [container]},
    }
    stored = {
        "name": "main",
        "image": "web:1",
        "readinessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}},
    }
    live = {
        "metadata": {"labels": {"a": "b", "pod-template-hash": "x"}},
        "spec": {"containers": [stored], "restartPolicy": "Always"},
    }
    other = {**wanted, "spec": {**wanted["spec"], "hostNetwork": True}}
    assert Templates({"other": other, "this": wanted}).best_match(live) == "this"
    assert fits(live, wanted) and not fits(live, other)
