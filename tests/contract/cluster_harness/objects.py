# SPDX-License-Identifier: Apache-2.0
"""Small objects that many tests create."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]

IMAGE = "registry.example/app:1.0"


def container(name: str = "app", image: str = IMAGE, **more: Any) -> Obj:
    return {"name": name, "image": image, **more}


def pod_template(labels: dict[str, str], *, image: str = IMAGE, **spec: Any) -> Obj:
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [container(image=image)], "terminationGracePeriodSeconds": 0, **spec},
    }


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data or {}}


def pod(name: str, *, image: str = IMAGE, labels: dict[str, str] | None = None, **spec: Any) -> Obj:
    template = pod_template(labels or {"app": name}, image=image, **spec)
    template["metadata"]["name"] = name
    return {"apiVersion": "v1", "kind": "Pod", **template}


def workload(
    kind: str, name: str, *, replicas: int | None = 1, image: str = IMAGE, spec: Obj | None = None, **pod_spec: Any
) -> Obj:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet whose pods are labelled `app: NAME`."""
    labels = {"app": name}
    own: Obj = {"selector": {"matchLabels": labels}, "template": pod_template(labels, image=image, **pod_spec)}
    if replicas is not None:
        own["replicas"] = replicas
    if kind == "StatefulSet":
        own["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {**own, **(spec or {})}}


def deployment(name: str, **more: Any) -> Obj:
    return workload("Deployment", name, **more)
