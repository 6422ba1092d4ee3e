# SPDX-License-Identifier: Apache-2.0
"""Whether what Ingresses name is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from backout.cluster.port import INGRESSES, SECRETS, SERVICES, ClusterReader, Object
from backout.errors import AccessDenied
from backout.kube.projections import Named
from backout.kube.references import of_ingress
from backout.mechanisms.common.measuring import Placed, namespace_of
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, listed, passed
from backout.model.message import msg

_ISSUED = ("cert-manager.io/issuer", "cert-manager.io/cluster-issuer", "kubernetes.io/tls-acme")


async def references_exist(check: CheckOf[Placed], cluster: ClusterReader) -> Measured:
    """The Services and ports, and the TLS Secrets, that the Ingresses of a namespace name are there."""
    namespace = namespace_of(check)
    ingresses, services = await asyncio.gather(
        cluster.list_all(INGRESSES, namespace), cluster.list_all(SERVICES, namespace)
    )
    known = {service["metadata"]["name"]: service for service in services}
    secrets: set[str] | None = None
    try:
        secrets = {item.metadata.name for item in await cluster.list_as(Named, SECRETS, namespace, metadata_only=True)}
    except AccessDenied:
        secrets = None
    bad: list[str] = []
    named = 0
    for ingress in ingresses:
        issued = any(key in (ingress["metadata"].get("annotations") or {}) for key in _ISSUED)
        for reference in of_ingress(ingress):
            if reference.kind == "Service":
                named += 1
                if reference.name not in known:
                    bad.append(f"service/{reference.name}")
            elif secrets is not None and not issued:
                named += 1
                if reference.name not in secrets:
                    bad.append(f"secret/{reference.name}")
        bad += [f"service/{name} port {port}" for name, port in _ports(ingress) if not _has_port(known.get(name), port)]
    bad = sorted(dict.fromkeys(bad))
    if bad:
        return failed(msg("named by Ingresses, but not there: {objects}", objects=listed(bad)), missing=bad)
    if secrets is None:
        return passed(msg("Services that Ingresses name, all there: {count}; Secrets may not be listed", count=named))
    return passed(msg("Services and Secrets that Ingresses name, all there: {count}", count=named), named=named)


def _ports(ingress: Object) -> Iterable[tuple[str, int | str]]:
    spec = ingress.get("spec") or {}
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or ():
        backends += [path.get("backend") or {} for path in (rule.get("http") or {}).get("paths") or ()]
    for backend in backends:
        service = backend.get("service") or {}
        port = service.get("port") or {}
        wanted = port.get("name") or port.get("number")
        if service.get("name") and wanted:
            yield str(service["name"]), wanted


def _has_port(service: Object | None, port: int | str) -> bool:
    """Of a missing Service something else is told; one that stands for a name elsewhere need not list ports."""
    spec = (service or {}).get("spec") or {}
    if service is None or spec.get("type") == "ExternalName":
        return True
    return any(port in (entry.get("name"), entry.get("port")) for entry in spec.get("ports") or ())
