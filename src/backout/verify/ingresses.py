# SPDX-License-Identifier: Apache-2.0
"""Whether what Ingresses name is there."""

from __future__ import annotations

import asyncio

from backout.cluster.port import INGRESSES, SECRETS, SERVICES, ClusterReader
from backout.errors import AccessDenied
from backout.kube.projections import Named
from backout.kube.references import of_ingress, ports_of_ingress
from backout.kube.services import has_port
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
        # Of a missing Service something else is told.
        bad += [
            f"service/{name} port {port}"
            for name, port in ports_of_ingress(ingress)
            if name in known and not has_port(known[name], port)
        ]
    bad = sorted(dict.fromkeys(bad))
    if bad:
        return failed(msg("named by Ingresses, but not there: {objects}", objects=listed(bad)), missing=bad)
    if secrets is None:
        return passed(msg("Services that Ingresses name, all there: {count}; Secrets may not be listed", count=named))
    return passed(msg("Services and Secrets that Ingresses name, all there: {count}", count=named), named=named)
