# SPDX-License-Identifier: Apache-2.0
"""Custom resources that deploy Helm releases: which release is whose.

Flux (helm-controller api/v2/helmrelease_types.go): the release is called ``spec.releaseName``, else the target namespace and
the name joined by ``-`` where ``spec.targetNamespace`` is set, else as the HelmRelease; its records are in
``spec.storageNamespace``, its objects in ``spec.targetNamespace``, each by default the HelmRelease's own.
k3s and RKE2 (helm-controller pkg/apis/helm.cattle.io/v1): the release is called as the HelmChart, in ``spec.targetNamespace``.
"""

from __future__ import annotations

import asyncio

import msgspec

from backout.cluster.port import ClusterReader
from backout.errors import AccessDenied, NotFoundError, ServerError
from backout.kube.projections import Name
from backout.ownership.signs import Manager, helm_chart, helm_release


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    release_name: str = ""
    target_namespace: str = ""
    storage_namespace: str = ""


class _Deployer(msgspec.Struct, frozen=True):
    metadata: Name
    spec: _Spec = _Spec()


async def release_managers(reader: ClusterReader) -> dict[tuple[str, str], Manager]:
    """Namespace and name of each release → what deploys it. What may not be listed is left out: objects bear marks, too."""
    fluxes, charts = await asyncio.gather(
        _served(reader, ("helm.toolkit.fluxcd.io/v2", "helm.toolkit.fluxcd.io/v2beta2"), "HelmRelease"),
        _served(reader, ("helm.cattle.io/v1",), "HelmChart"),
    )
    found: dict[tuple[str, str], Manager] = {}
    for item in charts:
        meta, target = item.metadata, item.spec.target_namespace
        found[(target or meta.namespace, meta.name)] = helm_chart(meta.name, meta.namespace)
    for item in fluxes:
        meta, spec = item.metadata, item.spec
        name = spec.release_name or (f"{spec.target_namespace}-{meta.name}" if spec.target_namespace else meta.name)
        for namespace in {spec.storage_namespace or meta.namespace, spec.target_namespace or meta.namespace}:
            found[(namespace, name)] = helm_release(meta.name, meta.namespace)
    return found


async def _served(reader: ClusterReader, versions: tuple[str, ...], kind: str) -> list[_Deployer]:
    for version in versions:
        try:
            return await reader.list_as(_Deployer, await reader.resource(version, kind))
        except NotFoundError:
            continue
        except (AccessDenied, ServerError):
            return []
    return []
