# SPDX-License-Identifier: Apache-2.0
"""Finds how a kind is served. Built-in kinds are known; of others only their own group is asked, so that a broken
aggregated API of another group does no harm."""

from __future__ import annotations

import msgspec

from backout.cluster.listing import decoder
from backout.cluster.port import Resource
from backout.cluster.wire import Wire, decode_failed
from backout.errors import ObjectNotFound
from backout.model.decoding import UNREADABLE

_BUILTIN = """
v1 ConfigMap configmaps; v1 Endpoints endpoints; v1 Event events; v1 LimitRange limitranges
v1 Namespace namespaces -; v1 Node nodes -; v1 PersistentVolume persistentvolumes -
v1 PersistentVolumeClaim persistentvolumeclaims; v1 Pod pods; v1 PodTemplate podtemplates
v1 ReplicationController replicationcontrollers; v1 ResourceQuota resourcequotas; v1 Secret secrets
v1 Service services; v1 ServiceAccount serviceaccounts
apps/v1 ControllerRevision controllerrevisions; apps/v1 DaemonSet daemonsets; apps/v1 Deployment deployments
apps/v1 ReplicaSet replicasets; apps/v1 StatefulSet statefulsets
batch/v1 CronJob cronjobs; batch/v1 Job jobs
autoscaling/v1 HorizontalPodAutoscaler horizontalpodautoscalers
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers
coordination.k8s.io/v1 Lease leases
discovery.k8s.io/v1 EndpointSlice endpointslices
networking.k8s.io/v1 Ingress ingresses; networking.k8s.io/v1 IngressClass ingressclasses -
networking.k8s.io/v1 NetworkPolicy networkpolicies
policy/v1 PodDisruptionBudget poddisruptionbudgets
rbac.authorization.k8s.io/v1 ClusterRole clusterroles -; rbac.authorization.k8s.io/v1 Role roles
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings -
rbac.authorization.k8s.io/v1 RoleBinding rolebindings
scheduling.k8s.io/v1 PriorityClass priorityclasses -
storage.k8s.io/v1 StorageClass storageclasses -; storage.k8s.io/v1 VolumeAttachment volumeattachments -
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions -
apiregistration.k8s.io/v1 APIService apiservices -
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations -
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations -
"""


def builtin() -> dict[tuple[str, str], Resource]:
    """The kinds that every supported API server (1.26 and later) serves in the same way."""
    table = {}
    for entry in _BUILTIN.replace("\n", ";").split(";"):
        if words := entry.split():
            table[words[0], words[1]] = Resource(words[0], words[1], words[2], len(words) == 3)
    return table


class _ApiResource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False


class _ApiResourceList(msgspec.Struct):
    resources: list[_ApiResource] | None = None


class Discovery:
    """Remembers what was asked once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known = builtin()
        self._asked: set[str] = set()

    async def find(self, api_version: str, kind: str) -> Resource:
        """How ``kind`` is served.

        Raises:
            ObjectNotFound: the cluster does not serve it.
        """
        if (found := self._known.get((api_version, kind))) is not None:
            return found
        await self._ask(api_version)
        try:
            return self._known[api_version, kind]
        except KeyError:
            # A CustomResourceDefinition may come into being later on.
            self._asked.discard(api_version)
            raise _not_served(api_version, kind) from None

    async def _ask(self, api_version: str) -> None:
        if api_version in self._asked:
            return
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            response = await self._wire.request("GET", path)
        except ObjectNotFound:
            return
        try:
            answer = decoder(_ApiResourceList).decode(response.content)
        except UNREADABLE:
            raise decode_failed(api_version) from None
        for item in answer.resources or []:
            if "/" not in item.name:
                resource = Resource(api_version, item.kind, item.name, item.namespaced)
                self._known.setdefault((api_version, item.kind), resource)
        self._asked.add(api_version)


def _not_served(api_version: str, kind: str) -> ObjectNotFound:
    return ObjectNotFound(
        "The cluster does not serve the kind {kind} of {api}.",
        kind=kind,
        api=api_version,
        hint="Its CustomResourceDefinition, or that version of it, may have been removed.",
    )
