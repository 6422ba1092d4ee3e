# SPDX-License-Identifier: Apache-2.0
"""Checks for a namespace as it is, without a plan: what `backout verify` measures."""

from __future__ import annotations

import asyncio
from typing import Any

from backout.cluster.port import PVCS, SERVICES, ClusterReader, Resource
from backout.errors import AccessDenied, BackoutError
from backout.kube.find_customs import denied, find_customs
from backout.kube.projections import Meta, Projection, TemplateMeta
from backout.kube.resources import WORKLOAD_RESOURCES
from backout.kube.services import Maker, wants_addresses
from backout.mechanisms.common.params import CustomParams
from backout.mechanisms.port import wire
from backout.model.message import msg
from backout.model.part import Check
from backout.model.target import WORKLOADS, Target
from backout.verify.customs import EVERY


class _Template(Projection, frozen=True):
    metadata: TemplateMeta = TemplateMeta()


class _Spec(Projection, frozen=True):
    replicas: int | None = None
    selector: dict[str, Any] | None = None
    template: _Template = _Template()


class _Status(Projection, frozen=True):
    desired_number_scheduled: int = 0


class _Object(Projection, frozen=True):
    metadata: Meta
    spec: _Spec | None = None
    status: _Status | None = None

    def maker(self, kind: str) -> Maker:
        """What a workload makes."""
        spec = self.spec or _Spec()
        if kind == "DaemonSet":
            wanted = self.status.desired_number_scheduled if self.status else 0
        else:
            wanted = 1 if spec.replicas is None else spec.replicas
        return Maker(spec.template.metadata.labels or {}, wanted)


async def namespace_checks(cluster: ClusterReader, namespace: str) -> tuple[Check, ...]:
    """Every workload ready, no restart, claims Bound, Services with ready addresses, and custom resources as their
    operators say.

    What may not be listed still gets its check, which then says unknown. Services are asked only where the API server
    gets to them: that it can't is no fault of the namespace.
    """
    from backout.verify.network import answering

    resources = (*WORKLOAD_RESOURCES.values(), SERVICES, PVCS)
    reachable, customs, found = await asyncio.gather(
        answering(cluster, namespace),
        _custom_resources(cluster, namespace),
        asyncio.gather(*(_listed(cluster, resource, namespace) for resource in resources)),
    )
    checks: list[Check] = []
    blind = False
    makers: list[Maker] = []
    for resource, objects in zip(resources, found, strict=True):
        whole = Target("namespace", namespace, namespace, cluster.name)
        if isinstance(objects, AccessDenied):
            kind = next((short for short, full in WORKLOADS.items() if full == resource.kind), "")
            if kind:
                blind = True
                title = msg("{kind}s of {namespace} are ready", kind=resource.kind, namespace=namespace)
                checks.append(
                    Check(code="workload-ready", target=whole, title=title, params={"kind": kind, "name": "*"})
                )
            continue
        if resource.kind in WORKLOAD_RESOURCES:
            for obj in sorted(objects, key=lambda entry: entry.metadata.name):
                checks.append(_ready(Target(resource.kind.lower(), obj.metadata.name, namespace, cluster.name)))
                makers.append(obj.maker(resource.kind))
        if resource is SERVICES:
            names = sorted(obj.metadata.name for obj in objects if obj.spec and obj.spec.selector)
            wanted = {obj.metadata.name for obj in objects if obj.spec and wants_addresses(obj.spec.selector, makers)}
            idle = [] if blind else [name for name in names if name not in wanted]
            if names:
                checks.append(
                    Check(
                        code="endpoints",
                        target=whole,
                        title=msg("Services have ready addresses"),
                        params={"services": names, **({"idle": idle} if idle else {})},
                    )
                )
            asleep = [maker._replace(pods=1) for maker in makers if maker.pods == 0]
            stopped = {obj.metadata.name for obj in objects if obj.spec and wants_addresses(obj.spec.selector, asleep)}
            names = [name for name in names if name not in idle or name not in stopped]
            if asked := sorted(set(names) & set(reachable)):
                checks.append(
                    Check(
                        code="service-answers",
                        target=whole,
                        title=msg("Services answer"),
                        params={"services": asked, "any": True},
                    )
                )
        if resource is PVCS and objects:
            checks.append(Check(code="pvc-bound", target=whole, title=msg("volume claims are Bound")))
    checks += customs
    if blind or not makers or any(maker.pods for maker in makers):
        # Where nothing is to run, there is nothing to watch.
        checks.append(
            Check(
                code="no-new-restarts",
                target=Target("namespace", namespace, namespace, cluster.name),
                title=msg("no container restarts"),
            )
        )
    return tuple(checks)


async def _listed(cluster: ClusterReader, resource: Resource, namespace: str) -> list[_Object] | AccessDenied:
    try:
        return await cluster.list_as(_Object, resource, namespace)
    except AccessDenied as error:
        return error


async def _custom_resources(cluster: ClusterReader, namespace: str) -> list[Check]:
    """One for each custom resource that says how it is, or is to; one for each kind that should be listed and can't be."""
    try:
        kinds = await find_customs(cluster, namespace)
    except BackoutError:
        return []
    found = []
    for one in kinds:
        if one.error is not None and denied(one):
            continue
        names = [EVERY] if one.error is not None else [obj["metadata"]["name"] for obj in one.objects if one.ask(obj)]
        for name in sorted(names):
            params = CustomParams(
                api_version=one.resource.api_version,
                kind=one.resource.kind,
                name=name,
                namespace=namespace,
                plural=one.resource.plural,
            )
            found.append(
                Check(
                    code="custom-resource",
                    target=Target(one.resource.kind.lower(), name, namespace, cluster.name),
                    title=msg("{resource} is as its operator says that it should be", resource=params.label),
                    params=wire(params),
                )
            )
    return found


def workload_checks(target: Target) -> tuple[Check, ...]:
    """The checks of one workload."""
    return (
        _ready(target),
        Check(
            code="no-new-restarts", target=target, title=msg("no container of {target} restarts", target=str(target))
        ),
        Check(
            code="endpoints", target=target, title=msg("Services of {target} have ready addresses", target=str(target))
        ),
        Check(code="pvc-bound", target=target, title=msg("volume claims of {target} are Bound", target=str(target))),
    )


def _ready(target: Target) -> Check:
    return Check(code="workload-ready", target=target, title=msg("{target} is ready", target=str(target)))
