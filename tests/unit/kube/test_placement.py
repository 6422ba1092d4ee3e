# SPDX-License-Identifier: Apache-2.0
"""On which nodes a DaemonSet runs."""

from __future__ import annotations

from typing import Any

import pytest

from backout.kube.placement import runs_on


def node(*taints: tuple[str, str, str], **labels: str) -> dict[str, Any]:
    spec = {"taints": [{"key": key, "value": value, "effect": effect} for key, value, effect in taints]}
    return {"metadata": {"name": "n1", "labels": labels}, "spec": spec}


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": rule}}


def term(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


FIELD = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}


def tolerating(**one: str) -> dict[str, Any]:
    return {"tolerations": [one]}


@pytest.mark.parametrize(
    ("spec", "where", "runs"),
    [
        ({}, node(), True),
        ({"nodeName": "n1"}, node(), True),
        ({"nodeName": "n2"}, node(), False),
        ({"nodeSelector": {"a": "1"}}, node(a="1"), True),
        ({"nodeSelector": {"a": "1"}}, node(a="2"), False),
        (required(term("a", "In", "1", "2")), node(a="2"), True),
        (required(term("a", "In", "1")), node(), False),
        (required(term("a", "NotIn", "1")), node(), True),
        (required(term("a", "Exists")), node(a=""), True),
        (required(term("a", "DoesNotExist")), node(a=""), False),
        (required(term("a", "Gt", "3")), node(a="4"), True),
        (required(term("a", "Lt", "3")), node(a="4"), False),
        (required(term("a", "Gt", "3")), node(a="x"), False),
        (required(term("a", "In", "1"), term("b", "Exists")), node(b=""), True),
        (required(FIELD), node(), True),
        (required({}), node(), False),
        ({}, node(("k", "v", "NoSchedule")), False),
        ({}, node(("k", "v", "PreferNoSchedule")), True),
        (tolerating(operator="Exists"), node(("k", "v", "NoExecute")), True),
        (tolerating(key="k", value="v"), node(("k", "v", "NoExecute")), True),
        (tolerating(key="k", value="w"), node(("k", "v", "NoExecute")), False),
        (tolerating(key="k", operator="Exists", effect="NoSchedule"), node(("k", "v", "NoExecute")), False),
        (tolerating(key="j", operator="Exists"), node(("k", "v", "NoSchedule")), False),
        ({}, node(("node.kubernetes.io/unschedulable", "", "NoSchedule")), True),
        ({}, node(("node.kubernetes.io/not-ready", "", "NoSchedule")), False),
        ({}, node(("node.kubernetes.io/network-unavailable", "", "NoSchedule")), False),
        ({"hostNetwork": True}, node(("node.kubernetes.io/network-unavailable", "", "NoSchedule")), True),
    ],
)
def test_where_it_runs(spec: dict[str, Any], where: dict[str, Any], runs: bool) -> None:
    assert runs_on(spec, where) is runs
