# SPDX-License-Identifier: Apache-2.0
"""Which resource stands for which kind. The resources themselves are the cluster port's: it speaks of some itself."""

from __future__ import annotations

from typing import Final

from backout.cluster.port import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource
from backout.model.kinds import plural
from backout.model.target import OBJECTS

WORKLOAD_RESOURCES: Final[dict[str, Resource]] = {
    "Deployment": DEPLOYMENTS,
    "StatefulSet": STATEFULSETS,
    "DaemonSet": DAEMONSETS,
}
"""The kinds that keep pods running and roll out templates."""
OBJECT_RESOURCES: Final[dict[str, Resource]] = {
    kind: Resource(api_version, kind, plural(name)) for name, (api_version, kind) in OBJECTS.items()
}
"""The kinds of single objects of a namespace that hold what people set: content, ways in, rights and limits."""
