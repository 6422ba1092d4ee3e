# SPDX-License-Identifier: Apache-2.0
"""The table of defaults: what filling them in relies on."""

from __future__ import annotations

from typing import Any

from backout.kube.defaults import _OF_KIND, defaults_of, fill


def test_no_default_lies_in_another_one_so_that_their_order_does_not_matter() -> None:
    for kind in _OF_KIND:
        paths = [path for path, _ in defaults_of(*kind)]
        assert len(set(paths)) == len(paths)
        assert not [(a, b) for a in paths for b in paths if b.startswith((f"{a}.", f"{a}[]"))]


def test_defaults_are_filled_in_where_their_parents_are_and_nowhere_else() -> None:
    probe = {"httpGet": {"port": 80}, "periodSeconds": 3}
    containers: list[Any] = [{"name": "a", "readinessProbe": probe, "ports": [{"containerPort": 1}]}, {"name": "b"}]
    obj: dict[str, Any] = {"spec": {"template": {"spec": {"containers": containers, "volumes": None}}}}
    fill(obj, "apps", "ReplicaSet")
    filled, plain = obj["spec"]["template"]["spec"]["containers"]
    assert filled["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "periodSeconds": 3,
        "timeoutSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert filled["ports"] == [{"containerPort": 1, "protocol": "TCP"}]
    assert "readinessProbe" not in plain and "securityContext" not in plain
    assert obj["spec"]["replicas"] == 1
