# SPDX-License-Identifier: Apache-2.0
"""Defaults of the core group, pods apart (pkg/apis/core/v1)."""

from __future__ import annotations

import base64
from typing import Any

_Object = dict[str, Any]


def service(obj: _Object) -> None:
    """A Service."""
    spec = obj.get("spec")
    if spec is None:
        return
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if client.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    external = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if external:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def secret(obj: _Object) -> None:
    """A Secret; the conversion moves ``stringData`` into ``data``."""
    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None)
    if plain:
        data = obj["data"] = dict(obj.get("data") or {})
        for name, value in plain.items():
            data[name] = base64.b64encode(value.encode()).decode()


def namespace(obj: _Object) -> None:
    """A Namespace: its name as a label."""
    metadata = obj.setdefault("metadata", {})
    if metadata.get("name"):
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    status = obj.setdefault("status", {})
    status.setdefault("phase", "Active")


def node(obj: _Object) -> None:
    """A Node: everything may be allocated unless said otherwise."""
    status = obj.get("status") or {}
    if status.get("allocatable") is None and status.get("capacity") is not None:
        status["allocatable"] = dict(status["capacity"])


def endpoints(obj: _Object) -> None:
    """An Endpoints object."""
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def limit_range(obj: _Object) -> None:
    """A LimitRange: limits of containers follow from one another."""
    for item in (obj.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        limits = dict(item.get("default") or {})
        for name, amount in (item.get("max") or {}).items():
            limits.setdefault(name, amount)
        requests = dict(item.get("defaultRequest") or {})
        for name, amount in limits.items():
            requests.setdefault(name, amount)
        for name, amount in (item.get("min") or {}).items():
            requests.setdefault(name, amount)
        if limits:
            item["default"] = limits
        if requests:
            item["defaultRequest"] = requests


def persistent_volume(obj: _Object) -> None:
    """A PersistentVolume."""
    obj.setdefault("status", {}).setdefault("phase", "Pending")
    spec = obj.get("spec")
    if spec is None:
        return
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("hostPath") is not None:
        spec["hostPath"].setdefault("type", "")


def persistent_volume_claim(obj: _Object) -> None:
    """A PersistentVolumeClaim, also as a template of a StatefulSet."""
    obj.setdefault("status", {}).setdefault("phase", "Pending")
    spec = obj.get("spec")
    if spec is not None:
        spec.setdefault("volumeMode", "Filesystem")
