# SPDX-License-Identifier: Apache-2.0
"""What a new cluster holds before anybody used it."""

from __future__ import annotations

import uuid
from typing import Any

from kubetwin.apiserver import bootstrap_roles, clock
from kubetwin.apiserver.resources import Registry
from kubetwin.apiserver.store import Store, object_key

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
SERVICE_IP = "10.96.0.1"
_PRIORITIES = (("system-cluster-critical", 2000000000), ("system-node-critical", 2000001000))


def put(store: Store, group: str, resource: str, obj: dict[str, Any]) -> None:
    meta = obj["metadata"]
    meta.setdefault("uid", str(uuid.uuid4()))
    meta.setdefault("creationTimestamp", clock.now())
    key = object_key(meta.get("namespace", ""), meta["name"])
    store.collection((group, resource)).put(key, obj)


def populate(store: Store, registry: Registry) -> None:
    """Fill an empty store with the namespaces, roles, classes and the ``kubernetes`` service."""
    for name in NAMESPACES:
        obj = {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }
        put(store, "", "namespaces", obj)
    for role in bootstrap_roles.cluster_roles():
        put(store, "rbac.authorization.k8s.io", "clusterroles", role)
    for binding in bootstrap_roles.cluster_role_bindings():
        put(store, "rbac.authorization.k8s.io", "clusterrolebindings", binding)
    for name, value in _PRIORITIES:
        priority: dict[str, Any] = {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": name, "generation": 1},
            "value": value,
            "description": _DESCRIPTIONS[name],
            "preemptionPolicy": "PreemptLowerPriority",
        }
        put(store, "scheduling.k8s.io", "priorityclasses", priority)
    put(store, "", "services", _kubernetes_service())
    for group, version in sorted({(t.group, t.version) for t in registry if t.crd_version is None}):
        put(store, "apiregistration.k8s.io", "apiservices", api_service(group, version))


_DESCRIPTIONS = {
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to another"
    " node if necessary.",
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
}


def _kubernetes_service() -> dict[str, Any]:
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
            "clusterIP": SERVICE_IP,
            "clusterIPs": [SERVICE_IP],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def publish_address(store: Store, port: int) -> None:
    """Point the ``kubernetes`` service at the started server."""
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    endpoints = store.collection(("", "endpoints"))
    known = endpoints.get("default", "kubernetes")
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]
    if known is not None and known.obj.get("subsets") == subsets:
        return
    meta: dict[str, Any] = {"name": "kubernetes", "namespace": "default"}
    if known is not None:
        meta.update(uid=known.obj["metadata"]["uid"], creationTimestamp=known.obj["metadata"]["creationTimestamp"])
    put(
        store,
        "",
        "endpoints",
        {"kind": "Endpoints", "apiVersion": "v1", "metadata": {**meta, "labels": dict(labels)}, "subsets": subsets},
    )
    slice_meta = {"name": "kubernetes", "namespace": "default", "generation": 1}
    put(
        store,
        "discovery.k8s.io",
        "endpointslices",
        {
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {**slice_meta, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "protocol": "TCP", "port": port}],
        },
    )


def api_service(group: str, version: str) -> dict[str, Any]:
    """The APIService of a group version that this server answers itself."""
    name = f"{version}.{group}" if group else f"{version}."
    spec: dict[str, Any] = {"version": version, "groupPriorityMinimum": 17000 if group else 18000}
    if group:
        spec["group"] = group
    spec["versionPriority"] = 15 if group else 1
    condition = {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": clock.now(),
        "reason": "Local",
        "message": "Local APIServices are always available",
    }
    return {
        "kind": "APIService",
        "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {"name": name, "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
        "spec": spec,
        "status": {"conditions": [condition]},
    }
