# SPDX-License-Identifier: Apache-2.0
"""What has to be there so that pods of a template can be made and started: the one list of it. Pure.

Pods that run keep what they got as they started; the next one waits, or is refused (kubernetes.io/docs: ConfigMaps and Secrets
that are not optional: CreateContainerConfigError, FailedMount; plugin/pkg/admission/{serviceaccount,priority} and
node/runtimeclass: a pod that names what is not there is refused; claims: FailedScheduling).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from backout.cluster.port import CONFIGMAPS, PVCS, SECRETS, Resource
from backout.kube.references import references
from backout.model.target import ObjectRef

NEEDED: Final[dict[str, Resource]] = {
    "ConfigMap": CONFIGMAPS,
    "Secret": SECRETS,
    "ServiceAccount": Resource("v1", "ServiceAccount", "serviceaccounts"),
    "PersistentVolumeClaim": PVCS,
    "PriorityClass": Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False),
    "RuntimeClass": Resource("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False),
}
"""The kinds, and where they are."""
_BUILT_IN = frozenset({"system-cluster-critical", "system-node-critical"})


class Need(msgspec.Struct, frozen=True, order=True):
    """One object by kind and name."""

    kind: str
    name: str

    def ref(self, namespace: str) -> ObjectRef:
        """It, for pods of a namespace."""
        resource = NEEDED[self.kind]
        return ObjectRef(resource.api_version, self.kind, self.name, namespace if resource.namespaced else "")


def needs_of(spec: dict[str, Any]) -> tuple[Need, ...]:
    """What pods with that spec need, in a fixed order. Accounts and classes that every cluster has are left out."""
    found = {Need(one.kind, one.name) for one in references(spec) if not one.optional}
    account = str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "")
    if account not in ("", "default"):
        found.add(Need("ServiceAccount", account))
    for volume in spec.get("volumes") or ():
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName") if isinstance(volume, dict) else None
        if claim:
            found.add(Need("PersistentVolumeClaim", str(claim)))
    for kind, field in (("PriorityClass", "priorityClassName"), ("RuntimeClass", "runtimeClassName")):
        if spec.get(field) and spec[field] not in _BUILT_IN:
            found.add(Need(kind, str(spec[field])))
    return tuple(sorted(found))
