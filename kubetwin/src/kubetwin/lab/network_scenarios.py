# SPDX-License-Identifier: Apache-2.0
"""Scenarios in which a Service or an Ingress was changed by hand."""

from __future__ import annotations

import asyncio
from typing import Any

from kubetwin.client import Obj
from kubetwin.errors import NotVerifiedError, TimedOut
from kubetwin.kinds import ENDPOINTSLICES, INGRESSES, SECRETS, SERVICES
from kubetwin.lab.builder import Lab
from kubetwin.lab.config_scenarios import as_before, healthy, keep
from kubetwin.meta import SERVICE_NAME
from kubetwin.serving.certs import new_identity

TLS_SECRET = "grafana-tls"  # noqa: S105 - a name
_POLL = 0.1
_ADDRESSES = ("clusterIP", "clusterIPs", "type", "selector", "ports")


# -- E2 ----------------------------------------------------------------------------------------------------------------


def _services(lab: Lab) -> tuple[str, str]:
    return f"{lab.release}-receive-lb", f"{lab.release}-query"


async def prepare_services(lab: Lab) -> None:
    """A healthy stack, and the addresses of its Services."""
    await healthy(lab)
    for name in _services(lab):
        lab.kept[name] = await _addresses(lab, name)


async def _addresses(lab: Lab, name: str) -> dict[str, Any]:
    spec = (await lab.api.get(SERVICES, name, lab.namespace))["spec"]
    return {field: spec.get(field) for field in _ADDRESSES}


async def edit_services(lab: Lab) -> None:
    """One Service loses its pods and its node port, the other points to a port where nobody listens."""
    balancer, query = _services(lab)
    selector = {"app.kubernetes.io/name": "receiver"}
    ports = [
        {key: port[key] for key in ("name", "port", "protocol")} | {"targetPort": port["targetPort"]}
        for port in lab.kept[balancer]["ports"]
    ]
    await lab.edit(SERVICES, balancer, {"spec": {"selector": selector, "type": "ClusterIP", "ports": ports}})
    wrong = [{**port, "targetPort": 10999} for port in lab.kept[query]["ports"]]
    await lab.edit(SERVICES, query, {"spec": {"ports": wrong}})
    async with lab.watching(ENDPOINTSLICES) as slices:
        await lab.until(slices, lambda: not _endpoints(lab, lab.mine(slices), balancer), "no endpoints are left")
        await lab.until(
            slices, lambda: {port["port"] for port in _ports(lab.mine(slices), query)} == {10999}, "the port is wrong"
        )


def _endpoints(lab: Lab, slices: list[Obj], service: str) -> list[Obj]:
    return [e for piece in slices if _of(piece, service) for e in piece.get("endpoints") or ()]


def _ports(slices: list[Obj], service: str) -> list[Obj]:
    return [port for piece in slices if _of(piece, service) for port in piece.get("ports") or ()]


def _of(piece: Obj, service: str) -> bool:
    return (piece["metadata"].get("labels") or {}).get(SERVICE_NAME) == service


async def services_back(lab: Lab) -> None:
    """
    Raises:
        NotVerifiedError: a cluster IP or node port is another one, or a selector or port is still wrong.
    """
    for name in _services(lab):
        now = await _addresses(lab, name)
        moved = [field for field in _ADDRESSES if now[field] != lab.kept[name][field]]
        if moved:
            raise NotVerifiedError(
                "Service {name} is not reached as before.",
                name=name,
                expected="the addresses and ports it had",
                found="others in: {fields}",
                fields=", ".join(moved),
            )


# -- E3 ----------------------------------------------------------------------------------------------------------------


def _ingress(lab: Lab) -> str:
    return f"{lab.release}-grafana"


async def prepare_ingress(lab: Lab) -> None:
    """A healthy stack whose Ingress has a certificate."""
    await lab.make_namespace()
    identity = await asyncio.to_thread(new_identity, "grafana.example", 90)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": TLS_SECRET},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": identity.certificate.decode(), "tls.key": identity.key.decode()},
    }
    await lab.api.create(SECRETS, body, lab.namespace)
    await healthy(lab, grafana={"tlsSecret": TLS_SECRET})
    await keep(lab, SECRETS, TLS_SECRET)
    lab.kept["ingress"] = (await lab.api.get(INGRESSES, _ingress(lab), lab.namespace))["spec"]
    await _until_answer(lab, 200)


async def edit_ingress(lab: Lab) -> None:
    """The backend is renamed to a Service that does not exist, and the certificate is deleted."""
    rules = [dict(rule) for rule in lab.kept["ingress"]["rules"]]
    backend = {"service": {"name": f"{lab.release}-grafana-v2", "port": {"name": "http"}}}
    rules[0] = {**rules[0], "http": {"paths": [{**rules[0]["http"]["paths"][0], "backend": backend}]}}
    await lab.edit(INGRESSES, _ingress(lab), {"spec": {"rules": rules}})
    await lab.api.delete(SECRETS, TLS_SECRET, lab.namespace)
    await _until_answer(lab, 503)


async def _until_answer(lab: Lab, wanted: int) -> None:
    """The Ingress answers with that status, where its controller says on which port it listens.

    Raises:
        TimedOut: it answers otherwise.
    """
    deadline = asyncio.get_running_loop().time() + lab.timeout
    seen: int | None = None
    while asyncio.get_running_loop().time() < deadline:
        found = await lab.api.get(INGRESSES, _ingress(lab), lab.namespace)
        points = ((found.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        if points and not points[0].get("ports"):
            return
        if points:
            host = found["spec"]["rules"][0]["host"]
            seen = await http_status(points[0]["ip"], points[0]["ports"][0]["port"], host)
            if seen == wanted:
                return
        # Nothing tells when a routing table has changed.
        await asyncio.sleep(_POLL)
    raise TimedOut("The Ingress answers {seen}, not {wanted}.", seen=str(seen), wanted=wanted)


async def http_status(address: str, port: int, host: str) -> int:
    """The status of GET / for that host. Raises OSError when nobody listens."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        first = await reader.readline()
        await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    return int(first.split()[1])


async def ingress_back(lab: Lab) -> None:
    """
    Raises:
        NotVerifiedError: the rules or the certificate are not as they were.
        TimedOut: the Ingress does not answer as before.
    """
    spec = (await lab.api.get(INGRESSES, _ingress(lab), lab.namespace))["spec"]
    if spec != lab.kept["ingress"]:
        raise NotVerifiedError(
            "Ingress {name} is not as it was.",
            name=_ingress(lab),
            expected="the rules of the snapshot",
            found="other rules",
        )
    await as_before(lab, SECRETS, TLS_SECRET)
    await _until_answer(lab, 200)
