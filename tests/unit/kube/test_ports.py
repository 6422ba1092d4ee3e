# SPDX-License-Identifier: Apache-2.0
"""Who asks for a port by its name, of whom, and who has it."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.ports import asked_by, offered

LABELS = {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize(
    ("kind", "spec", "asked"),
    [
        (
            "Service",
            {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
            [("pods", LABELS, "http")],
        ),
        (
            "Service",
            {
                "selector": {"app": "web"},
                "ports": [{"targetPort": "http", "port": 1}, {"targetPort": "http", "port": 2}],
            },
            [("pods", LABELS, "http")],
        ),
        ("Service", {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}, []),
        ("Service", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}, []),
        ("Service", {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "8080"}]}, []),
        ("Service", {"ports": [{"port": 80, "targetPort": "http"}]}, []),
        (
            "Service",
            {"selector": {"app": "web"}, "type": "ExternalName", "ports": [{"port": 80, "targetPort": "http"}]},
            [],
        ),
        (
            "NetworkPolicy",
            {"podSelector": LABELS, "ingress": [{"from": [], "ports": [{"port": "http"}, {"port": 9090}]}]},
            [("pods", LABELS, "http")],
        ),
        (
            "NetworkPolicy",
            {
                "podSelector": {},
                "egress": [
                    {"to": [{"podSelector": LABELS}, {"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "sql"}]},
                    {"to": [{"podSelector": LABELS, "namespaceSelector": {}}], "ports": [{"port": "dns"}]},
                ],
            },
            [("pods", LABELS, "sql")],
        ),
        ("NetworkPolicy", {"podSelector": {}, "ingress": [{}], "egress": None}, []),
        (
            "PodMonitor",
            {"selector": LABELS, "podMetricsEndpoints": [{"port": "metrics"}, {"targetPort": 9090}]},
            [("pods", LABELS, "metrics")],
        ),
        ("ServiceMonitor", {"selector": LABELS, "endpoints": [{"port": "web"}]}, [("services", LABELS, "web")]),
        (
            "ServiceMonitor",
            {"selector": LABELS, "endpoints": [{"port": "web"}], "namespaceSelector": {"matchNames": ["other"]}},
            [],
        ),
        (
            "ServiceMonitor",
            {"selector": LABELS, "endpoints": [{"port": "web"}], "namespaceSelector": {"any": True}},
            [("services", LABELS, "web")],
        ),
        ("ConfigMap", {}, []),
    ],
)
def test_who_asks_for_a_port_by_its_name(kind: str, spec: dict[str, Any], asked: list[Any]) -> None:
    obj = {"kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec}
    assert [(one.of, one.selector, one.name) for one in asked_by(obj, "shop")] == asked


def test_which_names_a_workload_and_a_service_have() -> None:
    pod = {
        "containers": [{"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]}, {}],
        "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 1}]}],
    }
    assert offered({"kind": "Deployment", "spec": {"template": {"spec": pod}}}) == {"http", "proxy"}
    assert offered({"kind": "Service", "spec": {"ports": [{"name": "web", "port": 80}, {"port": 81}]}}) == {"web"}
    assert offered({"kind": "Service"}) == offered({"kind": "StatefulSet", "spec": {}}) == frozenset()
