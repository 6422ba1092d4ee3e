# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects as plain dictionaries, and where they live in the API."""

from __future__ import annotations

import base64
import json
from typing import Any

from kubetwin import kinds
from kubetwin.client import Obj, Resource

RBAC = "rbac.authorization.k8s.io"
MONITORING = "monitoring.coreos.com"
RESOURCES: dict[str, Resource] = {
    "alertmanager": Resource(MONITORING, "v1", "alertmanagers", "Alertmanager"),
    "configmap": kinds.CONFIGMAPS,
    "cronjob": kinds.CRONJOBS,
    "daemonset": kinds.DAEMONSETS,
    "deployment": kinds.DEPLOYMENTS,
    "endpointslice": kinds.ENDPOINTSLICES,
    "horizontalpodautoscaler": Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    "ingress": kinds.INGRESSES,
    "job": kinds.JOBS,
    "limitrange": Resource("", "v1", "limitranges", "LimitRange"),
    "networkpolicy": Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    "persistentvolumeclaim": kinds.PVCS,
    "poddisruptionbudget": kinds.PDBS,
    "prometheus": Resource(MONITORING, "v1", "prometheuses", "Prometheus"),
    "resourcequota": Resource("", "v1", "resourcequotas", "ResourceQuota"),
    "role": Resource(RBAC, "v1", "roles", "Role"),
    "rolebinding": Resource(RBAC, "v1", "rolebindings", "RoleBinding"),
    "rollout": Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout"),
    "secret": kinds.SECRETS,
    "service": kinds.SERVICES,
    "serviceaccount": kinds.SERVICEACCOUNTS,
    "statefulset": kinds.STATEFULSETS,
}
WORKLOADS = ("deployment", "statefulset", "daemonset")
CUSTOM = ("rollout", "prometheus", "alertmanager")
"""Custom resources whose operators run on the cluster that situations are played on."""
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def ref(obj: Obj) -> str:
    """``kind/name``, the kind in lower case."""
    return f"{obj['kind'].lower()}/{obj['metadata']['name']}"


def resource(of: str) -> Resource:
    """Of ``kind/name``."""
    return RESOURCES[of.partition("/")[0]]


def name(of: str) -> str:
    """Of ``kind/name``."""
    return of.partition("/")[2]


def make(kind: str, called: str, **rest: Any) -> Obj:
    """An object of a kind."""
    found = RESOURCES[kind]
    return {"apiVersion": found.api_version, "kind": found.kind, "metadata": {"name": called}, **rest}


def workload(
    kind: str, called: str, image: str, *, replicas: int = 2, port: int = 8080, probe: bool = True, **container: Any
) -> Obj:
    """A workload of one container, which has the workload's name."""
    main: dict[str, Any] = {
        "name": called,
        "image": image,
        "ports": [{"name": "http", "containerPort": port}],
        **container,
    }
    if probe:
        main["readinessProbe"] = {
            "httpGet": {"path": "/healthz", "port": "http"},
            "periodSeconds": 5,
            "failureThreshold": 3,
        }
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": called}},
        "template": {"metadata": {"labels": {"app": called}}, "spec": {"containers": [main]}},
    }
    if kind != "daemonset":
        spec["replicas"] = replicas
    if kind == "deployment":
        spec["progressDeadlineSeconds"] = 20
    if kind == "statefulset":
        spec["serviceName"] = called
    found = make(kind, called, spec=spec)
    found["metadata"]["labels"] = {"app": called}
    return found


def service(called: str, port: int = 8080, **spec: Any) -> Obj:
    """A Service before the workload of the same name."""
    wanted = {"selector": {"app": called}, "ports": [{"name": "http", "port": port, "targetPort": port}], **spec}
    return make("service", called, spec=wanted)


def configmap(called: str, **data: str) -> Obj:
    """A ConfigMap."""
    return make("configmap", called, data=data)


def secret(called: str, kind: str = "Opaque", **data: str) -> Obj:
    """A Secret."""
    return make("secret", called, type=kind, data={key: encoded(value) for key, value in data.items()})


def encoded(text: str) -> str:
    """As values of Secrets are written."""
    return base64.b64encode(text.encode()).decode()


def ingress(called: str, backend: str, port: int = 8080, **spec: Any) -> Obj:
    """An Ingress that leads everything to one Service."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": port}}}}
    return make(
        "ingress", called, spec={"rules": [{"host": f"{called}.example.com", "http": {"paths": [path]}}], **spec}
    )


def pod(obj: Obj) -> dict[str, Any]:
    """The pod's spec in a workload."""
    found: dict[str, Any] = obj["spec"]["template"]["spec"]
    return found


def main(obj: Obj) -> dict[str, Any]:
    """The first container of a workload."""
    found: dict[str, Any] = pod(obj)["containers"][0]
    return found


def mount_configmap(obj: Obj, called: str, path: str) -> None:
    """Mounts a ConfigMap into the first container."""
    main(obj).setdefault("volumeMounts", []).append({"name": called, "mountPath": path})
    pod(obj).setdefault("volumes", []).append({"name": called, "configMap": {"name": called}})


def applied(obj: Obj) -> Obj:
    """As `kubectl apply` sends it first: with the note of what was applied."""
    text = json.dumps(obj, separators=(",", ":"))
    annotations = {**obj["metadata"].get("annotations", {}), APPLIED: text + "\n"}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
