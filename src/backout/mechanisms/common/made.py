# SPDX-License-Identifier: Apache-2.0
"""What operators made of custom resources: the workloads under each.

An operator's workload has a controlling ownerReference to the resource, maybe through another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from backout.cluster.port import DAEMONSETS, DEPLOYMENTS, STATEFULSETS, ClusterReader
from backout.errors import AccessDenied, NotFoundError, ServerError
from backout.helm.customs import CustomId, CustomResource
from backout.kube.projections import TemplatedWorkload
from backout.kube.rollout import desired, ordered
from backout.mechanisms.common.evidence import WorkloadId

MAX_DEPTH = 4


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that an operator made."""

    api_version: str = "apps/v1"
    kind: str
    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    ordered: bool = False
    """It never replaces a pod that is stuck."""
    on_delete: bool = False
    labels: dict[str, str] = {}
    """Of its pods."""
    desired: int = 1

    @property
    def id(self) -> WorkloadId:
        """Kind, namespace, name."""
        return self.kind, self.namespace, self.name


async def children_of(reader: ClusterReader, resources: Iterable[CustomResource]) -> dict[CustomId, tuple[Child, ...]]:
    """The workloads under each of ``resources``; a resource of which nothing was made is not in it.

    What may not be listed is left out: then nothing is known of what was made.
    """
    wanted = {resource.id for resource in resources}
    found: dict[CustomId, list[Child]] = {}
    above: dict[tuple[str, str, str, str], asyncio.Task[CustomId | None]] = {}

    async def owner(api_version: str, kind: str, name: str, namespace: str, depth: int) -> CustomId | None:
        if (kind, namespace, name) in wanted:
            return kind, namespace, name
        if depth >= MAX_DEPTH or "." not in api_version.partition("/")[0]:
            return None
        try:
            parent = await reader.get(await reader.resource(api_version, kind), name, namespace)
        except (NotFoundError, AccessDenied, ServerError):
            return None
        for reference in parent["metadata"].get("ownerReferences") or ():
            if reference.get("controller"):
                return await once(reference["apiVersion"], reference["kind"], reference["name"], namespace, depth + 1)
        return None

    async def once(api_version: str, kind: str, name: str, namespace: str, depth: int = 0) -> CustomId | None:
        key = (api_version, kind, name, namespace)
        if key not in above:
            above[key] = asyncio.ensure_future(owner(api_version, kind, name, namespace, depth))
        return await above[key]

    async def listed(namespace: str) -> None:
        for resource in (STATEFULSETS, DEPLOYMENTS, DAEMONSETS):
            try:
                items = await reader.list_as(TemplatedWorkload, resource, namespace)
            except AccessDenied:
                continue
            for item in items:
                controller = item.metadata.controller
                if controller is None:
                    continue
                top = await once(controller.api_version, controller.kind, controller.name, namespace)
                if top is not None:
                    found.setdefault(top, []).append(
                        Child(
                            kind=resource.kind,
                            name=item.metadata.name,
                            namespace=namespace,
                            uid=item.metadata.uid,
                            generation=item.metadata.generation,
                            ordered=ordered(resource.kind, item),
                            on_delete=item.on_delete,
                            labels=(item.spec.template.get("metadata") or {}).get("labels") or {},
                            desired=desired(resource.kind, item),
                        )
                    )

    await asyncio.gather(*(listed(namespace) for namespace in sorted({identity[1] for identity in wanted})))
    return {identity: tuple(children) for identity, children in found.items()}
