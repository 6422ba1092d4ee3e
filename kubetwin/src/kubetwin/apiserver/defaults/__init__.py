# SPDX-License-Identifier: Apache-2.0
"""Defaults that a server fills in on every write and read of a versioned object.

Source: ``SetDefaults_…`` of pkg/apis/*/v1*/defaults.go, for custom resources the defaults of their schema. What a
resource's own preparation adds (allocated addresses, generated selectors …) is not here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubetwin.apiserver.defaults import core, custom, groups, pods, workloads
from kubetwin.apiserver.schema import Schema

Defaulter = Callable[[dict[str, Any]], None]

_BY_KIND: dict[tuple[str, str], Defaulter] = {
    ("v1", "Pod"): pods.pod,
    ("v1", "PodTemplate"): pods.pod_template_object,
    ("v1", "ReplicationController"): workloads.replication_controller,
    ("v1", "Service"): core.service,
    ("v1", "Secret"): core.secret,
    ("v1", "Namespace"): core.namespace,
    ("v1", "Node"): core.node,
    ("v1", "Endpoints"): core.endpoints,
    ("v1", "LimitRange"): core.limit_range,
    ("v1", "PersistentVolume"): core.persistent_volume,
    ("v1", "PersistentVolumeClaim"): core.persistent_volume_claim,
    ("apps/v1", "Deployment"): workloads.deployment,
    ("apps/v1", "ReplicaSet"): workloads.replica_set,
    ("apps/v1", "StatefulSet"): workloads.stateful_set,
    ("apps/v1", "DaemonSet"): workloads.daemon_set,
    ("batch/v1", "Job"): workloads.job,
    ("batch/v1", "CronJob"): workloads.cron_job,
    ("autoscaling/v1", "HorizontalPodAutoscaler"): groups.autoscaler_v1,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): groups.autoscaler_v2,
    ("discovery.k8s.io/v1", "EndpointSlice"): groups.endpoint_slice,
    ("networking.k8s.io/v1", "NetworkPolicy"): groups.network_policy,
    ("networking.k8s.io/v1", "IngressClass"): groups.ingress_class,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): groups.role_binding,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): groups.role_binding,
    ("storage.k8s.io/v1", "StorageClass"): groups.storage_class,
    ("storage.k8s.io/v1", "CSIDriver"): groups.csi_driver,
    ("scheduling.k8s.io/v1", "PriorityClass"): groups.priority_class,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): groups.validating_webhooks,
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): groups.mutating_webhooks,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): groups.admission_policy,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"): groups.admission_policy,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): groups.custom_resource_definition,
    ("apiregistration.k8s.io/v1", "APIService"): groups.api_service,
}


def apply(api_version: str, kind: str, obj: dict[str, Any], schema: Schema | None = None) -> None:
    """Fill in the defaults of a decoded object, in place. ``schema``: that of a custom resource."""
    if schema is not None and not schema.definition:
        custom.apply(obj, schema)
        return
    defaulter = _BY_KIND.get((api_version, kind))
    if defaulter is not None:
        defaulter(obj)


__all__ = ["apply"]
