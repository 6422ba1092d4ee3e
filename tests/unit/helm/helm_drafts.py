# SPDX-License-Identifier: Apache-2.0
"""Analyses of rollbacks that never were, and the steps that come of them."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

from helm_histories import NS, START, fact

from backout.cluster.port import Resource
from backout.errors import Invalid
from backout.kube.diff import diff_objects
from backout.mechanisms.helm.analysis import Analysis, Item
from backout.mechanisms.helm.steps import steps
from backout.model.target import ObjectRef, Target
from backout.tools.locate import Tool

TARGET = Target("helm", "web", NS, "c1")
NOW = START + timedelta(hours=2)
HELM3 = Tool("helm", "/bin/helm", "3.18.0", "PATH")


def item(kind: str, live: dict[str, Any] | None, after: dict[str, Any] | None, **more: Any) -> Item:
    group = {
        "StatefulSet": "apps/v1",
        "Deployment": "apps/v1",
        "DaemonSet": "apps/v1",
        "Job": "batch/v1",
        "StorageClass": "storage.k8s.io/v1",
        "IngressClass": "networking.k8s.io/v1",
        "ClusterRoleBinding": "rbac.authorization.k8s.io/v1",
        "Thing": "example.org/v1",
    }
    version = group.get(kind, "v1")

    def whole(part: dict[str, Any] | None) -> dict[str, Any] | None:
        if part is None:
            return None
        return {"apiVersion": version, "kind": kind, "metadata": {"name": "web"}, **copy.deepcopy(part)}

    found, wanted = whole(live), whole(after)
    values: dict[str, Any] = {
        "ref": ObjectRef(version, kind, "web", NS, "uid"),
        "resource": Resource(version, kind, kind.lower() + "s"),
        "base": found,
        "target": wanted,
        "live": found,
        "after": wanted,
        "fields": diff_objects(found, wanted) if wanted else (),
        "asked": True,
    }
    return Item(**(values | more))


def analysis(*items: Item, status: str = "deployed", head: int = 2, server_side: bool = False) -> Analysis:
    old, new = fact(1, "web:1"), fact(head, "web:2" if head > 1 else "web:1", status=status)
    assert old.release and new.release
    return Analysis(
        head=new.record,
        head_release=new.release,
        target=old.record,
        target_release=old.release,
        server_side=server_side,
        items=items,
    )


def planned(*items: Item, **more: Any) -> list[Any]:
    return steps(analysis(*items, **more), TARGET, "secret", NOW)


SCALE = item("StatefulSet", {"spec": {"replicas": 3}}, {"spec": {"replicas": 2}})
INVALID = Invalid("The API server refused: spec: Forbidden: field is immutable")
