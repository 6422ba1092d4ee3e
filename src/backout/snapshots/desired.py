# SPDX-License-Identifier: Apache-2.0
"""What has to be written so that an object is again as a snapshot has it. Pure.

Facts: kubernetes.io/docs/reference/using-api/api-concepts (resourceVersion as precondition), and the update rules of
Services (pkg/registry/core/service) and ConfigMaps, Secrets, RoleBindings (their validation of updates).
"""

from __future__ import annotations

from typing import Any

from backout.cluster.port import Object
from backout.kube.sanitise import controller, controllers_note, sanitise

ORDER = (
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "HorizontalPodAutoscaler",
    "Ingress",
)
"""What others need comes first; kinds that are not named (custom resources) come last."""


def rank(kind: str) -> int:
    """The place of a kind in `ORDER`."""
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def update(content: Object, live: Object) -> Object:
    """The body of a PUT: all that the snapshot has and nothing else, but what belongs to the cluster stays.

    The write is conditional on the uid and resourceVersion of ``live``.
    """
    body = {**content, "metadata": dict(content["metadata"])}
    meta, now = body["metadata"], live["metadata"]
    for name in ("uid", "resourceVersion", "ownerReferences", "finalizers", "creationTimestamp", "generation"):
        if now.get(name):
            meta[name] = now[name]
    bookkeeping = {k: v for k, v in (now.get("annotations") or {}).items() if controllers_note(k)}
    if bookkeeping:
        meta["annotations"] = {**(meta.get("annotations") or {}), **bookkeeping}
    if "status" in live:
        # Custom resources without a status subresource would lose it.
        body["status"] = live["status"]
    if content["kind"] == "Service" and content["apiVersion"] == "v1":
        body["spec"] = _service(content.get("spec") or {}, live.get("spec") or {})
    return body


def _service(wanted: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """An address can't be changed once it was given, so the present one stays; node ports can, and go back."""
    spec = dict(wanted)
    if spec.get("type") == "ExternalName":
        return spec
    if live.get("clusterIP"):
        spec["clusterIP"] = live["clusterIP"]
        addresses = live.get("clusterIPs") or [live["clusterIP"]]
        spec["clusterIPs"] = addresses[: max(1, len(wanted.get("clusterIPs") or [1]))]
    if live.get("healthCheckNodePort") and spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = live["healthCheckNodePort"]
    return spec


def without_node_ports(body: Object, live: Object | None) -> Object:
    """A Service whose node ports are taken by others now: with those that ``live`` has, by name, else with new ones."""
    now = {port.get("name", ""): port.get("nodePort") for port in ((live or {}).get("spec") or {}).get("ports") or ()}
    ports = []
    for port in body["spec"].get("ports") or ():
        kept = {key: value for key, value in port.items() if key != "nodePort"}
        if now.get(port.get("name", "")):
            kept["nodePort"] = now[port.get("name", "")]
        ports.append(kept)
    return {**body, "spec": {**body["spec"], "ports": ports}}


def without_addresses(body: Object) -> Object:
    """A Service to be created that gets new addresses; ``None`` is no address but the wish for none."""
    spec = {key: value for key, value in body["spec"].items() if key != "healthCheckNodePort"}
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    return without_node_ports({**body, "spec": spec}, None)


def must_recreate(content: Object, live: Object) -> bool:
    """True when the API server takes no update that leads there."""
    kind = content["kind"]
    if kind in ("ConfigMap", "Secret"):
        if kind == "Secret" and content.get("type", "Opaque") != live.get("type", "Opaque"):
            return True
        if not live.get("immutable"):
            return False
        return not content.get("immutable") or any(
            (content.get(part) or {}) != (live.get(part) or {}) for part in ("data", "binaryData")
        )
    if kind == "Service" and content["apiVersion"] == "v1":
        wanted, now = content.get("spec") or {}, live.get("spec") or {}
        if "ExternalName" in (wanted.get("type"), now.get("type")):
            return False
        return (wanted.get("clusterIP") == "None") != (now.get("clusterIP") == "None")
    return bool(kind == "RoleBinding" and content.get("roleRef") != live.get("roleRef"))


def equal(body: Object, live: Object) -> bool:
    """True when writing ``body`` would change nothing that counts."""
    return sanitise(body) == sanitise(live)


def refreshed(body: Object, live: Object, now: Object) -> Object | None:
    """The body of a PUT on ``now``, where only the status or bookkeeping moved since ``live``; None when more did."""
    if now["metadata"].get("uid") != live["metadata"].get("uid") or now["metadata"].get("deletionTimestamp"):
        return None
    if not equal(live, now) or controller(live) != controller(now):
        return None
    return update({**body, "metadata": sanitise(body)["metadata"]}, now)
