# SPDX-License-Identifier: Apache-2.0
"""Which resource stands for which kind. The resources themselves are the cluster port's: it speaks of some itself."""

from __future__ import annotations

from typing import Final

from backout.cluster.port import (
    CONFIGMAPS,
    DAEMONSETS,
    DEPLOYMENTS,
    INGRESSES,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    Resource,
)

WORKLOAD_RESOURCES: Final[dict[str, Resource]] = {
    "Deployment": DEPLOYMENTS,
    "StatefulSet": STATEFULSETS,
    "DaemonSet": DAEMONSETS,
}
"""The kinds that keep pods running and roll out templates."""
OBJECT_RESOURCES: Final[dict[str, Resource]] = {
    "ConfigMap": CONFIGMAPS,
    "Secret": SECRETS,
    "Service": SERVICES,
    "Ingress": INGRESSES,
}
"""The kinds of single objects whose content workloads depend on."""
