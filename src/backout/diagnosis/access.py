# SPDX-License-Identifier: Apache-2.0
"""The rights that a diagnosis reads with. Where one is missing, it says what it could not see."""

from __future__ import annotations

from collections.abc import Iterable

from backout.cluster.port import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    INGRESSES,
    JOBS,
    PODS,
    PVCS,
    REPLICASETS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
)
from backout.diagnosis.evidence.namespace import (
    AUTOSCALERS,
    CRONJOBS,
    LIMITRANGES,
    NETWORKPOLICIES,
    QUOTAS,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
)
from backout.model.part import Access

LISTED = (
    PODS,
    EVENTS,
    DEPLOYMENTS,
    STATEFULSETS,
    DAEMONSETS,
    REPLICASETS,
    CONTROLLERREVISIONS,
    SERVICES,
    ENDPOINTSLICES,
    INGRESSES,
    CONFIGMAPS,
    SECRETS,
    PVCS,
    CRONJOBS,
    JOBS,
    AUTOSCALERS,
    NETWORKPOLICIES,
    QUOTAS,
    LIMITRANGES,
    SERVICEACCOUNTS,
    ROLES,
    ROLEBINDINGS,
)


def reading(namespace: str) -> Iterable[Access]:
    """In one namespace, or in all when it is empty."""
    for resource in LISTED:
        for verb in ("get", "list"):
            yield Access(verb, resource.group, resource.plural, namespace)
    yield Access("get", "", "pods/log", namespace)
