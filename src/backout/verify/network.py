# SPDX-License-Identifier: Apache-2.0
"""``service-answers``, ``ingress-answers``: what is reached over the network, and what answers there."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NamedTuple

from backout.cluster.port import INGRESSES, SERVICES, ClusterReader, Object
from backout.errors import BackoutError, ObjectNotFound
from backout.mechanisms.common.measuring import namespace_of
from backout.mechanisms.port import CheckOf
from backout.model.measured import Measured, failed, passed, unknown
from backout.model.message import Message, msg
from backout.probes.ingress import Answer, ask
from backout.probes.service import Connection, connection, port_of
from backout.verify.params import IngressParams, Route, ServicesParams

AT_ONCE = 16
MOMENT = 2.5
"""Seconds that looking for Services that can be asked may take, when nobody asked for it."""
BROKEN = frozenset({502, 503, 504})
"""How a controller answers for a backend that is missing, without endpoints, or refuses."""
_CHANGES_ANSWERS = ("rewrite", "auth", "redirect", "middleware", "app-root", "snippet", "oauth", "canary", "whitelist")
_LIKELY_HTTP = frozenset({80, 443, 3000, 8000, 8080, 8443, 9090, 9093, 10902})
_HTTP_NAMES = ("http", "web", "metrics")


class _Asked(NamedTuple):
    service: str
    port: str
    connection: Connection


async def service_answers(check: CheckOf[ServicesParams], cluster: ClusterReader) -> Measured:
    """Every TCP port of ``services`` accepts a connection (with ``any``: one port that speaks HTTP does)."""
    namespace, only_any = namespace_of(check), check.params.any
    names = check.params.services
    services = {service["metadata"]["name"]: service for service in await cluster.list_all(SERVICES, namespace)}
    if missing := sorted(set(names) - services.keys()):
        return failed(msg("no such Service: {names}", names=", ".join(missing)))
    found = await _connections(cluster, namespace, [services[name] for name in names], http=only_any)
    refused = [entry for entry in found if entry.connection.state in ("refused", "no-endpoints")]
    if only_any:
        alive = {entry.service for entry in found if entry.connection.state not in ("refused", "no-endpoints")}
        refused = [entry for entry in refused if entry.service not in alive]
    data: dict[str, Any] = {
        "ports": [
            {"service": e.service, "port": e.port, "state": e.connection.state, "status": e.connection.status}
            for e in found
        ]
    }
    if refused:
        return failed(_told(refused), msg("connections are accepted"), again=True, **data)
    unreached = [entry for entry in found if entry.connection.state == "unreachable"]
    if unreached and not only_any:
        return unknown(_told(unreached), **data)
    answering = [entry for entry in found if entry.connection.state == "answers"]
    if not answering:
        return unknown(msg("no port could be asked"), **data)
    shown = ", ".join(f"{e.service}:{e.port} {e.connection.status or 'TCP'}" for e in answering[:5])
    more = f" (+{len(answering) - 5})" if len(answering) > 5 else ""
    return passed(msg("answering: {ports}", ports=f"{shown}{more}"), **data)


async def answering(cluster: ClusterReader, namespace: str) -> list[str]:
    """Services with a port that looks like HTTP and can be asked from here, whether or not somebody listens.

    Those that take longer than a moment are left out.
    """
    try:
        services = await cluster.list_all(SERVICES, namespace)
    except BackoutError:
        return []
    found: list[_Asked] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOMENT):
            await _connections(cluster, namespace, services, http=True, timeout=MOMENT, into=found)
    return sorted({entry.service for entry in found if entry.connection.state in ("answers", "refused")})


async def _connections(
    cluster: ClusterReader,
    namespace: str,
    services: list[Object],
    *,
    http: bool = False,
    timeout: float = 5.0,
    into: list[_Asked] | None = None,
) -> list[_Asked]:
    """One for each port; ``into`` gets each as soon as it is known."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(service: Object, port: dict[str, Any]) -> _Asked:
        async with gate:
            found = await connection(cluster, namespace, service, port, timeout=timeout)
        asked = _Asked(service["metadata"]["name"], str(port.get("name") or port.get("port")), found)
        if into is not None:
            into.append(asked)
        return asked

    return list(
        await asyncio.gather(
            *(
                one(service, port)
                for service in services
                for port in (service.get("spec") or {}).get("ports") or ()
                if (port.get("protocol") or "TCP") == "TCP" and (not http or _speaks_http(service, port))
            )
        )
    )


def _speaks_http(service: Object, port: dict[str, Any]) -> bool:
    """Other programs take an HTTP request for an attack, or count it as an error: they are not asked unless told to."""
    spec = service.get("spec") or {}
    if not spec.get("selector") or spec.get("type") == "ExternalName":
        return False
    protocol = str(port.get("appProtocol") or "").lower()
    if protocol:
        return protocol in ("http", "https")
    name = str(port.get("name") or "").lower()
    return name.startswith(_HTTP_NAMES) or (not name and port.get("port") in _LIKELY_HTTP)


def _told(entries: list[_Asked]) -> Message:
    first = entries[0]
    text = msg("{service}:{port}: {why}", service=first.service, port=first.port, why=first.connection.message)
    if len(entries) == 1:
        return text
    return msg("{first} (and {count} more)", first=text, count=len(entries) - 1)


# -- Ingresses ---------------------------------------------------------------------------------------------------------


async def ingress_answers(check: CheckOf[IngressParams], cluster: ClusterReader) -> Measured:
    """Every route answers as ``expect`` says, else as the Service that it names answers by itself."""
    namespace = namespace_of(check)
    name = check.params.ingress or check.target.name
    try:
        ingress = await cluster.get(INGRESSES, name, namespace)
    except ObjectNotFound:
        return failed(msg("{object} does not exist", object=f"ingress/{name}"))
    answers = await ask(cluster, ingress)
    if not answers:
        return unknown(msg("it has no route that could be asked"))
    expected = {(route.host, route.path): route for route in check.params.expect}
    gone = sorted(f"{host}{path}" for host, path in set(expected) - {(a.host, a.path) for a in answers})
    if gone:
        return failed(msg("it has no route {routes}", routes=", ".join(gone[:5])))
    judged = await asyncio.gather(
        *(_judged(cluster, ingress, answer, expected.get((answer.host, answer.path))) for answer in answers)
    )
    data: dict[str, Any] = {
        "routes": [
            {name: getattr(answer, name) for name in ("host", "path", "address", "status", "marker", "certificate")}
            for answer in answers
        ]
    }
    for status in ("fail", "unknown"):
        worse = [found for found in judged if found.status == status]
        if worse:
            value = worse[0].value
            if len(worse) > 1:
                value = msg("{first} (and {count} more)", first=value, count=len(worse) - 1)
            again = any(found.again for found in worse)
            if status == "fail":
                return failed(value, worse[0].expected, again=again, **data)
            return unknown(value, again=again, **data)
    if len(judged) == 1:
        return passed(judged[0].value, **data)
    return passed(msg("all {count} routes answer; {first}", count=len(judged), first=judged[0].value), **data)


async def _judged(cluster: ClusterReader, ingress: Object, answer: Answer, expected: Route | None) -> Measured:
    where = f"{answer.host or '*'}{answer.path}"
    if answer.error is not None:
        if not answer.address and not (ingress.get("status") or {}).get("loadBalancer"):
            return unknown(msg("{where}: {why}", where=where, why=answer.error), again=True)
        return unknown(msg("{where} could not be asked: {why}", where=where, why=answer.error))
    if answer.certificate in ("missing", "default"):
        return failed(
            msg(
                "{where} is served with the controller's own certificate, not with the one of its TLS Secret",
                where=where,
            ),
            again=True,
        )
    if expected is not None:
        return _against(where, answer, expected.status or 0, expected.marker, msg("expected"))
    service, why = await _of_service(cluster, ingress, answer)
    if service is None:
        return _by_itself(where, answer, why)
    if service.status == answer.status and service.marker != answer.marker and answer.status < 300:
        second, _ = await _of_service(cluster, ingress, answer)
        if second is None or second.marker != service.marker:
            return _by_itself(where, answer, msg("its Service answers something else each time"))
    return _against(where, answer, service.status, service.marker, msg("Service {name}", name=answer.service))


def _against(where: str, answer: Answer, status: int, marker: str, whose: Message) -> Measured:
    same = (not status or answer.status == status) and (not marker or answer.marker == marker)
    if same:
        return passed(
            msg(
                "{where} answers {said}, as {whose}", where=where, said=_said(answer.status, answer.marker), whose=whose
            )
        )
    return failed(
        msg("{where} answers {said}", where=where, said=_said(answer.status, answer.marker)),
        msg("{said} ({whose})", said=_said(status, marker), whose=whose),
        again=True,
    )


def _by_itself(where: str, answer: Answer, why: Message) -> Measured:
    """Nothing to compare with: only what is plain is said."""
    said = _said(answer.status, answer.marker)
    if answer.status in BROKEN or (answer.status == 404 and "default backend" in answer.marker):
        return failed(msg("{where} answers {said}", where=where, said=said), again=True)
    if answer.status < 400:
        return passed(
            msg("{where} answers {said} (not compared with its Service: {why})", where=where, said=said, why=why)
        )
    return unknown(
        msg("{where} answers {said}, and it can't be compared with its Service: {why}", where=where, said=said, why=why)
    )


def _said(status: int, marker: str) -> str:
    return f"{status or 'any'}{f' “{marker}”' if marker else ''}"


async def _of_service(cluster: ClusterReader, ingress: Object, answer: Answer) -> tuple[Connection | None, Message]:
    """What the Service behind a route answers to the same path; None, and why, where that can't be compared."""
    notes = ingress["metadata"].get("annotations") or {}
    changing = next((key for key in notes if any(word in key for word in _CHANGES_ANSWERS)), "")
    if changing:
        return None, msg("annotation {key} changes what is answered", key=changing)
    if not answer.service:
        return None, msg("the route names no Service")
    namespace = str(ingress["metadata"].get("namespace", ""))
    try:
        service = await cluster.get(SERVICES, answer.service, namespace)
    except BackoutError as error:
        return None, msg("{error}", error=error.message)
    port = port_of(service, answer.port)
    if port is None:
        return None, msg("Service {service} has no port {port}", service=answer.service, port=str(answer.port))
    found = await connection(cluster, namespace, service, port, answer.path)
    if found.state != "answers" or not found.status:
        return None, found.message
    return found, msg("")
