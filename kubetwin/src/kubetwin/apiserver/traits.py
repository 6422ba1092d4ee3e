# SPDX-License-Identifier: Apache-2.0
"""In what kinds differ when they are written. Source: the strategies in pkg/registry."""

from __future__ import annotations

from collections.abc import Mapping


def _keys(resources: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Storage keys of the resources (in one text) by group."""
    return frozenset((group, resource) for group, named in resources.items() for resource in named.split())


_ADMISSION = " ".join(
    f"{effect}{what}"
    for effect in ("mutating", "validating")
    for what in ("admissionpolicies", "admissionpolicybindings", "webhookconfigurations")
)
GENERATION = _keys(
    {
        "": "pods podtemplates replicationcontrollers",
        "admissionregistration.k8s.io": _ADMISSION,
        "apiextensions.k8s.io": "customresourcedefinitions",
        "apps": "daemonsets deployments replicasets statefulsets",
        "batch": "cronjobs jobs",
        "discovery.k8s.io": "endpointslices",
        "flowcontrol.apiserver.k8s.io": "flowschemas prioritylevelconfigurations",
        "networking.k8s.io": "ingressclasses ingresses networkpolicies",
        "policy": "poddisruptionbudgets",
        "resource.k8s.io": "deviceclasses resourceslices",
        "scheduling.k8s.io": "priorityclasses",
    }
)
"""metadata.generation counts the changes of the desired state."""
STATUS_ON_CREATE = _keys({"": "nodes", "apiregistration.k8s.io": "apiservices"})
"""The status is part of the object when it is created: it says what the creator knows."""
CREATE_ON_UPDATE = _keys(
    {
        "": "endpoints events limitranges services",
        "coordination.k8s.io": "leases",
        "node.k8s.io": "runtimeclasses",
        "rbac.authorization.k8s.io": "clusterrolebindings clusterroles rolebindings roles",
    }
)
"""A PUT may create (AllowCreateOnUpdate)."""
VERSION_REQUIRED = _keys(
    {
        "admissionregistration.k8s.io": _ADMISSION,
        "apiextensions.k8s.io": "customresourcedefinitions",
        "apiregistration.k8s.io": "apiservices",
        "coordination.k8s.io": "leases",
        "node.k8s.io": "runtimeclasses",
        "policy": "poddisruptionbudgets",
        "storage.k8s.io": "csidrivers csinodes csistoragecapacities volumeattachments",
    }
)
"""A PUT may only change under a resourceVersion (AllowUnconditionalUpdate is false)."""
